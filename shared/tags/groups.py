"""Groups of tags: one scope, one end and one limit for all of them, and who belongs to one.

A member's row is a hint that is written before the tag's own row, and taken away after it where
nobody wrote it since: a group never misses a member, and whoever reads one asks the tag which group
it is in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.identifiers import key_part
from shared.instants import format_instant
from shared.storage.rows import SCHEMA, Row, Tables, Value
from shared.storage.tables import TAG_GROUPS
from shared.tags.records import EVERYWHERE, Scope, instant_in, scope_columns, scope_in

GROUP_KEY = "!"
MEMBER_ROWS = "member|"
MOST_MEMBERS_TO_COUNT = 250
"""Members of a group that has a limit: each costs a read when a tap's sessions are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group. It ends before `valid_until`; its scope counts where a tag has none of its own.

    `most_sessions` is how many sessions all its tags together may have open at once.
    """

    name: str
    blocked: bool = False
    valid_until: datetime | None = None
    scope: Scope = EVERYWHERE
    most_sessions: int | None = None


def group_row(group: Group) -> Row:
    """The group's own row, the first of its partition."""
    columns: dict[str, Value] = {"schema": SCHEMA, "group": group.name, "blocked": group.blocked}
    if group.valid_until is not None:
        columns["valid_until"] = format_instant(group.valid_until)
    if group.most_sessions is not None:
        columns["most_sessions"] = group.most_sessions
    return Row(key_part(group.name), GROUP_KEY, columns | scope_columns(group.scope))


def group_from_row(row: Row) -> Group:
    """The group that a row holds."""
    most = row.columns.get("most_sessions")
    return Group(
        name=str(row.columns["group"]),
        blocked=bool(row.columns["blocked"]),
        valid_until=instant_in(row.columns, "valid_until"),
        scope=scope_in(row.columns),
        most_sessions=None if most is None else int(most),
    )


def member_row(group: str, hashed: str) -> Row:
    """That the tag of this hash is in a group."""
    return Row(key_part(group), f"{MEMBER_ROWS}{hashed}", {"schema": SCHEMA})


async def read_group(tables: Tables, name: str) -> Group | None:
    """A group by its name; None where there is none.

    Raises:
        StoreUnavailableError: It cannot be read now.
    """
    row = await tables.get(TAG_GROUPS, key_part(name), GROUP_KEY)
    return None if row is None else group_from_row(row)


async def read_members(tables: Tables, name: str) -> Sequence[str]:
    """The hashes of the tags that are, or were a moment ago, in a group.

    Raises:
        StoreUnavailableError: They cannot be read now.
    """
    rows = tables.range(TAG_GROUPS, key_part(name), MEMBER_ROWS, f"{MEMBER_ROWS}~")
    return [row.key.removeprefix(MEMBER_ROWS) async for row in rows]
