"""Whether a row is beyond its age: by its own time and by the store's clock, both."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from shared.errors import RowConflictError
from shared.storage.rows import Delete, Row, Tables

AHEAD = timedelta(days=2)
"""No plausible time lies further after the writing of its row (a device may be a day ahead)."""


def is_due(own: datetime | None, written: datetime | None, cutoff: datetime) -> bool:
    """Whether a row goes.

    Args:
        own: the row's own time, from its key or a column; None where it has none.
        written: the store's timestamp. A row without one stays.
        cutoff: what lies before it is beyond its age.

    A clock that is behind (1970) does not delete a row that was just written; a clock that is ahead
    (2099) does not keep one for ever: a time that was not yet when the row was written is no time,
    and the timestamp alone decides.
    """
    if written is None or written >= cutoff:
        return False
    return own is None or own < cutoff or own > written + AHEAD


def end_of_day(text: str) -> datetime | None:
    """The end of a day `yyyymmdd`; None where the text is no day."""
    try:
        return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC) + timedelta(days=1)
    except (ValueError, OverflowError):
        return None


async def delete_as_read(tables: Tables, table: str, rows: Sequence[Row]) -> bool:
    """Delete rows of one partition that are all still as they were read; else none of them."""
    try:
        await tables.write(table, [Delete(row.partition, row.key, row.etag) for row in rows])
    except RowConflictError:
        return False
    return True


async def delete_unchanged(tables: Tables, table: str, rows: Sequence[Row]) -> list[Row]:
    """Delete those rows of one partition that are still as they were read; which they were."""
    if await delete_as_read(tables, table, rows):
        return list(rows)
    if len(rows) == 1:
        return []
    return [row for row in rows if await delete_as_read(tables, table, [row])]
