"""Rows under tags: those of a session go with it, and those whose session is gone go by themselves.

A session's rows are found by its claims. A row whose claim was replaced, or told after an erasure,
is found by no claim any more: each day a share of all tags is looked through for such rows, so that
one goes within `SHARES` days after its age.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Sequence

from shared.identifiers import hash_tag
from shared.instants import format_instant, parse_instant
from shared.retention.due import delete_unchanged, is_due
from shared.retention.sweeps import Place, Position, Swept
from shared.sessions.claims import BEGINNINGS, Claim
from shared.sessions.summary import SUMMARY_NAME
from shared.sessions.writer import row_of_unlisted, rows_under_tag
from shared.storage.limits import MAX_OPERATIONS
from shared.storage.rows import Row
from shared.storage.tables import SESSIONS, TAGS
from shared.storage.together import all_done
from shared.tags.records import SESSION_ROWS

SHARES = 256
"""Keyed hashes are spread evenly: those that begin with one pair of hex digits are a share."""


async def delete_tag_rows(
    place: Place, hash_keys: Sequence[bytes], session: str, claims: Sequence[Claim]
) -> int:
    """Delete the rows that a session has under its tags; how many."""
    deleted = 0
    tags = sorted({claim.tag for claim in claims if claim.tag})
    for hashed in [hash_tag(tag, key) for tag in tags for key in hash_keys]:
        names = [row for claim in claims for row in rows_under_tag(hashed, session, claim)]
        names += [row_of_unlisted(hashed, session, c) for c in claims if c.source in BEGINNINGS]
        found = await all_done(place.tables.get(TAGS, hashed, row.key) for row in names)
        present = [row for row in found if row is not None]
        for first in range(0, len(present), MAX_OPERATIONS):
            part = present[first : first + MAX_OPERATIONS]
            deleted += len(await delete_unchanged(place.tables, TAGS, part))
    return deleted


async def sweep_tag_rows(place: Place, stretch: int, start: Position) -> AsyncGenerator[Swept]:
    """Rows of sessions that are gone, in the share of the day; `stretch` is this walk's first."""
    share = place.clock().toordinal() % SHARES
    first, end = f"{share:02x}", f"{share:02x}~"
    cutoff, ahead = format_instant(place.cutoff), format_instant(place.ahead)
    spans = ((SESSION_ROWS, f"{SESSION_ROWS}{cutoff}"), (f"{SESSION_ROWS}{ahead}", "session|~"))
    for number, (keys_from, keys_to) in enumerate(spans, stretch):
        if number < start.stretch:
            continue
        begin = max(first, start.at) if number == start.stretch else first
        async for row in place.tables.scan(TAGS, begin, end, keys_from=keys_from, keys_to=keys_to):
            if _may_be_due(place, row) and not await _is_there(place, str(row.columns["session"])):
                gone = await delete_unchanged(place.tables, TAGS, [row])
                yield Swept(Position(number, row.partition), Counter({TAGS: len(gone)}))


def _may_be_due(place: Place, row: Row) -> bool:
    own = parse_instant(str(row.columns["instant"]))
    return is_due(own, row.timestamp, place.cutoff)


async def _is_there(place: Place, session: str) -> bool:
    """Whether a session is there, in any bucket: a long id of a charger does not tell which."""
    found = await all_done(
        place.tables.get(SESSIONS, str(bucket), f"{session}|{SUMMARY_NAME}")
        for bucket in range(place.buckets)
    )
    return any(row is not None for row in found)
