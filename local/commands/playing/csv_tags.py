"""Tags as an operator brings them: a CSV file for `manage.py tags import`."""

import csv
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class CsvTag:
    """One line of the file; times are ISO 8601, empty means without a limit."""

    tag: str
    blocked: str = ""
    valid_from: str = ""
    valid_until: str = ""
    type: str = ""
    chargers: str = ""
    most_sessions: str = ""


def write_tags(path: Path, tags: Iterable[CsvTag]) -> Path:
    """Write the file and give its path."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(field.name for field in fields(CsvTag))
        writer.writerows(astuple(tag) for tag in tags)
    return path
