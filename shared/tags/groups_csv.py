"""Groups in CSV, and into the store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from shared.errors import RowConflictError, StoreUnavailableError
from shared.identifiers import key_part
from shared.instants import format_instant
from shared.storage.rows import Insert, Replace, Tables
from shared.storage.tables import TAG_GROUPS
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
from shared.tags.groups import GROUP_KEY, Group, group_from_row, group_row

COLUMNS = ("group", "blocked", "valid_until", "chargers", "sites", "most_sessions")
_MAX_ROUNDS = 20


def read_groups(lines: Iterable[str]) -> Iterator[Line[Group]]:
    """Read CSV with a header: `group`, and any of the other columns. A line is the whole group.

    Raises:
        ValueError: The header is not one.
    """
    reader = read_header(lines, COLUMNS, "group")
    return read_lines(reader, COLUMNS, _group, lambda group: group.name)


def _group(texts: Mapping[str, str]) -> Group:
    if not texts["group"]:
        raise ValueError("group is empty")
    return Group(
        name=identifier("group", texts["group"]),
        blocked=boolean("blocked", texts["blocked"]),
        valid_until=instant("valid_until", texts["valid_until"]),
        scope=scope(texts),
        most_sessions=most_sessions(texts["most_sessions"]),
    )


def fields_of(group: Group) -> dict[str, str]:
    """A group as the fields of a line: what `read_groups` makes it from."""
    return {
        "group": group.name,
        "blocked": yes_no(group.blocked),
        "valid_until": format_instant(group.valid_until) if group.valid_until else "",
        "chargers": joined(group.scope.chargers),
        "sites": joined(group.scope.sites),
        "most_sessions": str(group.most_sessions or ""),
    }


async def all_groups(tables: Tables) -> AsyncIterator[Group]:
    """All groups, by their names as keys have them.

    Raises:
        StoreUnavailableError: They cannot be read now.
    """
    async for row in tables.scan(TAG_GROUPS, keys_from=GROUP_KEY, keys_to=f"{GROUP_KEY}~"):
        yield group_from_row(row)


async def change_group(
    tables: Tables, name: str, change: Callable[[Group | None], Group | None]
) -> tuple[Group | None, Group | None]:
    """Change a group under its ETag; before and after. None leaves it as it is.

    Raises:
        StoreUnavailableError: It cannot be read or written now, or keeps changing.
    """
    for _ in range(_MAX_ROUNDS):
        row = await tables.get(TAG_GROUPS, key_part(name), GROUP_KEY)
        before = group_from_row(row) if row else None
        after = change(before)
        if after is None or after == before:
            return before, before
        new = group_row(after)
        try:
            operation = Replace(replace(new, etag=row.etag)) if row else Insert(new)
            await tables.write(TAG_GROUPS, [operation])
        except RowConflictError:
            continue
        return before, after
    raise StoreUnavailableError("a group kept changing", code="store_contended")
