"""Rows under tags: those of a session go with it, and those whose session is gone go by themselves.

A session's rows are found by its claims. A row whose claim was replaced, or told after an erasure,
is found by no claim any more: each day a share of all tags is looked through for such rows, so that
one goes within `SHARES` days after its age.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from string import hexdigits

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
    """Rows of sessions that are gone, in the share of the day; `stretch` is this walk's."""
    share = f"{place.clock().toordinal() % SHARES:02x}"
    cutoff, ahead = format_instant(place.cutoff), format_instant(place.ahead)
    spans = ((SESSION_ROWS, f"{SESSION_ROWS}{cutoff}"), (f"{SESSION_ROWS}{ahead}", "session|~"))
    reached = start.at if start.stretch == stretch else ""
    for digit in hexdigits[:16]:
        # The store looks at all rows of a stretch and sends few: a run has to end between.
        begin, end = f"{share}{digit}", f"{share}{digit}~"
        if end <= reached:
            continue
        deleted = 0
        for first, last in spans:
            rows = place.tables.scan(TAGS, begin, end, keys_from=first, keys_to=last)
            async for row in rows:
                if _may_be_due(place, row) and not await _has_session(place, row):
                    deleted += len(await delete_unchanged(place.tables, TAGS, [row]))
        yield Swept(Position(stretch, end), +Counter({TAGS: deleted}))


def _may_be_due(place: Place, row: Row) -> bool:
    own = parse_instant(str(row.columns["instant"]))
    return is_due(own, row.timestamp, place.cutoff)


async def _has_session(place: Place, row: Row) -> bool:
    """Whether a row's session is there, in any bucket: a charger's long id does not tell which."""
    key = f"{row.columns['session']!s}|{SUMMARY_NAME}"
    found = await all_done(
        place.tables.get(SESSIONS, str(bucket), key) for bucket in range(place.buckets)
    )
    return any(row is not None for row in found)
