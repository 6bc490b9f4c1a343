"""Reading sessions' summaries: of one charger in one range, or of all."""

from __future__ import annotations

from collections.abc import AsyncIterator

from shared.identifiers import bucket_of, key_part
from shared.sessions.summary import is_summary
from shared.storage.rows import Row, Tables
from shared.storage.tables import SESSIONS


async def read_summaries(
    tables: Tables, *, charger: str | None, buckets: int
) -> AsyncIterator[Row]:
    """The rows of summaries, by charger and transaction within each bucket."""
    if charger is not None:
        part = key_part(charger)
        rows = tables.range(SESSIONS, bucket_of(charger, buckets), f"{part}|", f"{part}|~")
    else:
        rows = tables.scan(SESSIONS)
    async for row in rows:
        if is_summary(row):
            yield row
