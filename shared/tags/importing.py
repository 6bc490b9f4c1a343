"""Tags in CSV: the columns, a line as a tag and a tag as a line."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from shared.identifiers import normalise_tag
from shared.instants import format_instant
from shared.tags.csv_reading import (
    Line,
    boolean,
    identifier,
    instant,
    joined,
    most_sessions,
    read_header,
    read_lines,
    scope,
    yes_no,
)
from shared.tags.records import Scope, Tag

COLUMNS = (
    "tag",
    "blocked",
    "valid_from",
    "valid_until",
    "type",
    "group",
    "chargers",
    "sites",
    "most_sessions",
    "offline",
)
_MAX_TYPE_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class TagFile:
    """The lines of a file, and which columns its header names: the others are left as they are."""

    columns: frozenset[str]
    lines: Iterator[Line[Tag]]


def read_tags(lines: Iterable[str], groups: Collection[str] | None = None) -> TagFile:
    """Read CSV with a header: `tag`, and any of the other columns.

    Instants are ISO 8601; a day is its beginning, UTC. Ids of a list are parted by `|`. A tag may
    stand in the file once, however it is spelled. With `groups`, a group has to be one of them.

    Raises:
        ValueError: The header is not one.
    """
    return _file(lines, groups, check=True)


def read_tags_again(lines: Iterable[str]) -> TagFile:
    """Read a file that was read before: what was checked over all lines is not checked again.

    Raises:
        ValueError: The header is not one.
    """
    return _file(lines, None, check=False)


def _file(lines: Iterable[str], groups: Collection[str] | None, *, check: bool) -> TagFile:
    reader = read_header(lines, COLUMNS, "tag")

    def make(texts: Mapping[str, str]) -> Tag:
        tag = _tag(texts)
        if groups is not None and tag.group is not None and tag.group not in groups:
            raise ValueError("there is no group of that name (manage.py groups list)")
        return tag

    same = (lambda tag: normalise_tag(tag.tag)) if check else None
    return TagFile(
        frozenset(reader.fieldnames or ()),
        read_lines(reader, COLUMNS, make, same),
    )


def _tag(texts: Mapping[str, str]) -> Tag:
    if not normalise_tag(texts["tag"]):
        raise ValueError("tag is empty")
    if len(texts["type"]) > _MAX_TYPE_CHARACTERS:
        message = f"type has more than {_MAX_TYPE_CHARACTERS} characters"
        raise ValueError(message)
    tag = Tag(
        tag=identifier("tag", texts["tag"]),
        blocked=boolean("blocked", texts["blocked"]),
        valid_from=instant("valid_from", texts["valid_from"]),
        valid_until=instant("valid_until", texts["valid_until"]),
        kind=texts["type"] or None,
        group=identifier("group", texts["group"]) or None,
        scope=scope(texts),
        most_sessions=most_sessions(texts["most_sessions"]),
        offline=boolean("offline", texts["offline"]) if texts["offline"] else None,
    )
    if tag.valid_from and tag.valid_until and tag.valid_until <= tag.valid_from:
        raise ValueError("valid_until is not after valid_from")
    return tag


def fields_of(tag: Tag) -> dict[str, str]:
    """A tag as the fields of a line: what `read_tags` makes it from."""
    return {
        "tag": tag.tag,
        "blocked": yes_no(tag.blocked),
        "valid_from": format_instant(tag.valid_from) if tag.valid_from else "",
        "valid_until": format_instant(tag.valid_until) if tag.valid_until else "",
        "type": tag.kind or "",
        "group": tag.group or "",
        "chargers": joined(tag.scope.chargers),
        "sites": joined(tag.scope.sites),
        "most_sessions": str(tag.most_sessions or ""),
        "offline": yes_no(tag.offline),
    }


_NAMES = {"type": "kind"}


def merged(present: Tag, read: Tag, columns: Collection[str]) -> Tag:
    """The tag that is there with what a line says of it: only the columns of the header count."""
    changes: dict[str, Any] = {
        _NAMES.get(name, name): getattr(read, _NAMES.get(name, name))
        for name in columns
        if name not in ("chargers", "sites", "tag")
    }
    changes["scope"] = Scope(
        read.scope.chargers if "chargers" in columns else present.scope.chargers,
        read.scope.sites if "sites" in columns else present.scope.sites,
    )
    return replace(present, tag=read.tag, **changes)


def write_csv(file: Any, columns: Iterable[str]) -> csv.DictWriter[str]:  # noqa: ANN401 - a text file
    """A writer of lines below a header."""
    writer = csv.DictWriter(file, list(columns), lineterminator="\n")
    writer.writeheader()
    return writer
