"""Records from CSV with a header: lines, and faults by their number. What tags and groups share."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.identifiers import MAX_ID_CHARACTERS
from shared.instants import parse_instant
from shared.tags.records import Scope

BETWEEN = "|"
"""Parts the ids of a list in one field."""

_BOOLEANS = {"": False, "no": False, "false": False, "0": False}
_BOOLEANS |= {"yes": True, "true": True, "1": True}
_MOST_SESSIONS = 10_000
_MOST_IDS = 500


@dataclass(frozen=True, slots=True)
class Line[T]:
    """One line of the file: its number, and the record that it is or what is wrong with it."""

    number: int
    record: T | None
    fault: str | None = None


def read_header(lines: Iterable[str], columns: Sequence[str], needed: str) -> csv.DictReader[str]:
    """A reader of the lines whose header names some of these columns, each once, and `needed`.

    Raises:
        ValueError: The header is not one.
    """
    reader = csv.DictReader(lines, restkey="", strict=True)
    message = f"the first line has to name the columns: {','.join(columns)}"
    try:
        header = reader.fieldnames or ()
    except csv.Error as error:
        raise ValueError(message) from error
    unknown = [name for name in header if name not in columns]
    if unknown:
        message += f"; unknown: {', '.join(unknown)}"
    if len(set(header)) < len(header):
        message += "; each once"
    if needed not in header or unknown or len(set(header)) < len(header):
        raise ValueError(message)
    return reader


def read_lines[T](
    reader: csv.DictReader[str],
    columns: Sequence[str],
    make: Callable[[Mapping[str, str]], T],
    same: Callable[[T], str] | None,
) -> Iterator[Line[T]]:
    """The lines as records: `make` raises ValueError for a fault.

    `same` names what may stand in the file once; None where that was checked already.
    """
    seen: dict[int, int] = {}
    while True:
        try:
            record = make(_texts(next(reader), columns))
        except StopIteration:
            return
        except csv.Error as error:
            # The reader of dictionaries counts a line when it has read it.
            yield Line(reader.reader.line_num, None, f"is no CSV: {error}")
            continue
        except ValueError as error:
            yield Line(reader.line_num, None, str(error))
            continue
        number = reader.line_num
        # The hash of a text has 64 bits: two tags of a file that share one are not to be expected.
        first = number if same is None else seen.setdefault(hash(same(record)), number)
        if first == number:
            yield Line(number, record)
        else:
            yield Line(number, None, f"the same {columns[0]} as in line {first}")


def _texts(fields: Mapping[str, str | None], columns: Sequence[str]) -> dict[str, str]:
    if "" in fields:
        raise ValueError("more fields than the header has")
    return {name: (fields.get(name) or "").strip() for name in columns}


def identifier(name: str, text: str) -> str:
    """An id of at most 255 characters.

    Raises:
        ValueError: It is longer.
    """
    if len(text) > MAX_ID_CHARACTERS:
        message = f"{name} has more than {MAX_ID_CHARACTERS} characters"
        raise ValueError(message)
    return text


def boolean(name: str, text: str) -> bool:
    """Yes or no; nothing is no.

    Raises:
        ValueError: It is neither.
    """
    if text.lower() not in _BOOLEANS:
        message = f"{name} is none of yes, no, true, false, 1, 0"
        raise ValueError(message)
    return _BOOLEANS[text.lower()]


def instant(name: str, text: str) -> datetime | None:
    """An instant, or a day: its beginning, UTC.

    Raises:
        ValueError: It is none.
    """
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        found = parse_instant(text)
    if found is None:
        message = f"{name} is no instant such as 2026-11-01 or 2026-11-01T08:30:00Z"
        raise ValueError(message)
    return found


def most_sessions(text: str) -> int | None:
    """How many sessions may be open at once; nothing is any number.

    Raises:
        ValueError: It is no such number.
    """
    if not text:
        return None
    if not re.fullmatch(r"[1-9]\d{0,4}", text) or int(text) > _MOST_SESSIONS:
        message = f"most_sessions is no whole number from 1 to {_MOST_SESSIONS}"
        raise ValueError(message)
    return int(text)


def scope(texts: Mapping[str, str]) -> Scope:
    """The scope of the fields `chargers` and `sites`: ids parted by `|`.

    Raises:
        ValueError: There are too many, or one is too long.
    """
    return Scope(_ids("chargers", texts["chargers"]), _ids("sites", texts["sites"]))


def _ids(name: str, text: str) -> tuple[str, ...]:
    ids = [identifier(name, each.strip()) for each in text.split(BETWEEN)]
    found = tuple(dict.fromkeys(filter(None, ids)))
    if len(found) > _MOST_IDS or sum(map(len, found)) > 10 * _MOST_IDS:
        message = (
            f"{name} holds more than {_MOST_IDS} ids, or more than {10 * _MOST_IDS} characters"
        )
        raise ValueError(message)
    if any("\n" in each for each in found):
        message = f"{name} holds an id of two lines"
        raise ValueError(message)
    return found


def yes_no(value: bool | None) -> str:  # noqa: FBT001 - a value to be written
    """A boolean as a field."""
    return "" if value is None else "yes" if value else "no"


def joined(ids: Sequence[str]) -> str:
    """Ids as a field."""
    return BETWEEN.join(ids)
