"""Reading sessions: one whole, and the summaries of one charger or of all."""

from __future__ import annotations

from collections.abc import AsyncIterator

from shared.identifiers import bucket_of, key_part
from shared.sessions.claims import Claim, claim_from_row
from shared.sessions.indexes import SESSION_ROWS
from shared.sessions.planning import Stored
from shared.sessions.summary import State, is_summary
from shared.storage.rows import Row, Tables
from shared.storage.tables import SESSIONS


async def read_session(tables: Tables, bucket: str, session: str) -> Stored:
    """One session's claims and summary, in one range; without any where it is not there."""
    claims: dict[str, tuple[Claim, Row]] = {}
    summary: Row | None = None
    async for row in tables.range(SESSIONS, bucket, f"{session}|", f"{session}|~"):
        if is_summary(row):
            summary = row
        else:
            claims[row.key] = (claim_from_row(row), row)
    return Stored(claims, summary)


async def read_summaries(
    tables: Tables, *, charger: str | None, buckets: int, parts: bool = False
) -> AsyncIterator[Row]:
    """The rows of summaries, by charger and transaction within each bucket.

    Those that are part of another session are left out, or `parts` alone are told.
    """
    end: str | None
    if charger is not None:
        part = key_part(charger)
        names, start, end = [bucket_of(charger, buckets)], f"{part}|", f"{part}|~"
    else:
        names, start, end = [str(n) for n in range(buckets)], SESSION_ROWS, None
    for bucket in names:
        async for row in tables.range(SESSIONS, bucket, start, end):
            if is_summary(row) and (row.columns["state"] == State.PART) is parts:
                yield row
