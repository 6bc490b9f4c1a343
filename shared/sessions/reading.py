"""Reading sessions' summaries: of one charger in one range, or of all."""

from __future__ import annotations

from collections.abc import AsyncIterator

from shared.identifiers import bucket_of, key_part
from shared.sessions.indexes import SESSION_ROWS
from shared.sessions.summary import is_summary
from shared.storage.rows import Row, Tables
from shared.storage.tables import SESSIONS


async def read_summaries(
    tables: Tables, *, charger: str | None, buckets: int
) -> AsyncIterator[Row]:
    """The rows of summaries, by charger and transaction within each bucket."""
    end: str | None
    if charger is not None:
        part = key_part(charger)
        names, start, end = [bucket_of(charger, buckets)], f"{part}|", f"{part}|~"
    else:
        names, start, end = [str(n) for n in range(buckets)], SESSION_ROWS, None
    for bucket in names:
        async for row in tables.range(SESSIONS, bucket, start, end):
            if is_summary(row):
                yield row
