"""Whether the roster of tags is whole: a row of the table `store`.

A store that is stamped while it is empty has a roster of no tags, which is whole. Whoever writes
records of tags otherwise than by `shared/tags`, as a restore does, takes the row away: the next one
who walks the tags makes the roster anew.
"""

from __future__ import annotations

from contextlib import suppress

from shared.errors import RowExistsError, RowMissingError
from shared.storage.rows import SCHEMA, Delete, Insert, Row, Tables
from shared.storage.tables import STORE, TAGS

ROSTER = "roster"
"""The partition of the row in the table `store`."""
KEY = "tags"


def roster_row(*, whole: bool, after: str = "", etag: str | None = None) -> Row:
    """That the roster is whole, or how far it was made: through the tag of the hash `after`."""
    return Row(ROSTER, KEY, {"schema": SCHEMA, "whole": whole, "after": after}, etag)


async def roster_is_whole(tables: Tables) -> None:
    """Say that the roster is whole, where the table of the tags is empty.

    Raises:
        StoreUnavailableError: It is not said; then the first walk makes a roster.
    """
    async for _ in tables.scan(TAGS):
        return
    with suppress(RowExistsError):
        await tables.write(STORE, [Insert(roster_row(whole=True))])


async def make_roster_anew(tables: Tables) -> None:
    """Let the next walk of the tags make the roster anew, whatever it holds.

    Raises:
        StoreUnavailableError: It may stay as it is.
    """
    with suppress(RowMissingError):
        await tables.write(STORE, [Delete(ROSTER, KEY)])
