"""Sessions beyond their age go whole: claims, summary, what finds them, the rows of their tags.

The rows of the tags go first, since they are found by the claims; the session follows in one
transaction, under the ETags that were read, so that a claim that comes meanwhile saves it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from shared.errors import RowConflictError
from shared.instants import format_instant, parse_instant
from shared.retention.due import delete_as_read, is_due
from shared.retention.sweeps import Place, Position, Swept
from shared.retention.tag_rows import delete_tag_rows, sweep_tag_rows
from shared.sessions.claims import Claim, claim_from_row
from shared.sessions.indexes import (
    END_ROWS,
    NAMELESS_ROWS,
    OPEN_ROWS,
    index_rows,
    session_named_by,
)
from shared.sessions.summary import fold, is_summary
from shared.storage.limits import MAX_OPERATIONS
from shared.storage.rows import Delete, Row
from shared.storage.tables import SESSIONS, TAGS
from shared.storage.together import all_done

_LOOK_UP = 200

_AT_ONCE = 8
"""Sessions that go side by side; each has a few requests under way."""


async def sweep_sessions(
    place: Place, hash_keys: Sequence[bytes], start: Position
) -> AsyncGenerator[Swept]:
    """Sessions by their ends; open ones, whose end nobody told, by their start; left-over rows."""
    cutoff, ahead = format_instant(place.cutoff), format_instant(place.ahead)
    stretches = [
        (str(bucket), first, end)
        for bucket in range(place.buckets)
        for first, end in (
            (END_ROWS, f"{END_ROWS}{cutoff}"),
            (f"{END_ROWS}{ahead}", f"{END_ROWS}~"),
            (OPEN_ROWS, f"{OPEN_ROWS}~"),
            (NAMELESS_ROWS, f"{NAMELESS_ROWS}~"),
        )
    ]
    for number, (bucket, first, end) in enumerate(stretches):
        if number < start.stretch:
            continue
        begin = max(first, start.at) if number == start.stretch else first
        looked_at = 0
        due: dict[str, Row] = {}
        async for row in place.tables.range(SESSIONS, bucket, begin, end):
            looked_at += 1
            if _may_be_due(place, row):
                # Of a session with several rows here the first is enough.
                due.setdefault(session_named_by(row), row)
            if len(due) == _AT_ONCE:
                yield await _delete_sessions(place, hash_keys, number, due)
                due = {}
            elif looked_at % _LOOK_UP == 0:
                yield Swept(Position(number, next(iter(due.values()), row).key))
        if due:
            yield await _delete_sessions(place, hash_keys, number, due)
    async for swept in sweep_tag_rows(place, len(stretches), start):
        yield swept


async def _delete_sessions(
    place: Place, hash_keys: Sequence[bytes], stretch: int, due: Mapping[str, Row]
) -> Swept:
    """Delete sessions side by side; a walk goes on at the first of them, some of which may stay."""
    gone = await all_done(_delete_session(place, hash_keys, index) for index in due.values())
    return Swept(Position(stretch, next(iter(due.values())).key), sum(gone, Counter()))


def _may_be_due(place: Place, index: Row) -> bool:
    """Of an open session the start stands for its end; its claims are read only where it may go."""
    if index.key.startswith(END_ROWS):
        return is_due(None, index.timestamp, place.cutoff)
    start = parse_instant(str(index.columns.get("start", "")))
    return is_due(start, index.timestamp, place.cutoff)


async def _delete_session(place: Place, hash_keys: Sequence[bytes], index: Row) -> Counter[str]:
    bucket, session = index.partition, session_named_by(index)
    stretch = place.tables.range(SESSIONS, bucket, f"{session}|", f"{session}|~")
    rows = [row async for row in stretch]
    claims = [claim_from_row(row) for row in rows if not is_summary(row)]
    keys = {index.key}
    if claims:
        keys |= {row.key for row in index_rows(bucket, session, claims, fold(claims))}
    # With the claims the rows that find them were written, and none of them alone.
    dated = rows or [index]
    written = [row.timestamp for row in dated if row.timestamp is not None]
    if not is_due(_last(claims), max(written, default=None), place.cutoff):
        return Counter()
    deleted = Counter({TAGS: await delete_tag_rows(place, hash_keys, session, claims)})
    deleted[SESSIONS] += await _delete_rows(place, bucket, rows, sorted(keys))
    return +deleted


async def _delete_rows(place: Place, bucket: str, rows: list[Row], index_keys: list[str]) -> int:
    """Delete a session's rows as they were read, with what finds it; how many."""
    # The summary in the first transaction: under its ETag nobody adds a claim meanwhile.
    rows.sort(key=lambda row: not is_summary(row))
    if rows and is_summary(rows[0]) and len(rows) + len(index_keys) <= MAX_OPERATIONS:
        deletes = [Delete(row.partition, row.key, row.etag) for row in rows]
        deletes += [Delete(bucket, key) for key in index_keys]
        with suppress(RowConflictError):
            await place.tables.write(SESSIONS, deletes)
            return len(deletes)
    # One of them is not there, or was changed.
    found = await all_done(place.tables.get(SESSIONS, bucket, key) for key in index_keys)
    rows += [row for row in found if row is not None]
    deleted = 0
    for first in range(0, len(rows), MAX_OPERATIONS):
        part = rows[first : first + MAX_OPERATIONS]
        if not await delete_as_read(place.tables, SESSIONS, part):
            break
        deleted += len(part)
    return deleted


def _last(claims: Iterable[Claim]) -> datetime | None:
    instants = [instant for claim in claims if (instant := claim.end or claim.start)]
    return max(instants, default=None)
