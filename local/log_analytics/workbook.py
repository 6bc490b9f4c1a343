"""The workbook's sections and parts, as `infra/monitoring/workbook/layout.json` has them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local.log_analytics.rules import MONITORING


@dataclass(frozen=True, slots=True)
class Part:
    """One picture.

    Attributes:
        name: of the query's file.
        title: what stands above the picture.
        kind: `area`, `bars`, `line` (over time), `categories`, `pie` (of one text and one number)
            or `tiles`.
        width: in percent.
        names: what the picture calls columns of the query.
        query: KQL.
    """

    name: str
    title: str
    kind: str
    width: int
    query: str
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Section:
    """A question and the pictures that answer it."""

    question: str
    parts: Sequence[Part]


def read_workbook(folder: Path = MONITORING) -> list[Section]:
    """The sections in their order."""
    layout = json.loads((folder / "workbook" / "layout.json").read_text(encoding="utf-8"))
    return [
        Section(
            section["question"],
            [
                Part(
                    part["query"],
                    part["title"],
                    part["as"],
                    part["width"],
                    (folder / "workbook" / f"{part['query']}.kql").read_text(encoding="utf-8"),
                    part.get("names", {}),
                )
                for part in section["parts"]
            ],
        )
        for section in layout["sections"]
    ]


def all_parts(sections: Sequence[Section]) -> Iterator[Part]:
    """The pictures of all sections."""
    for section in sections:
        yield from section.parts
