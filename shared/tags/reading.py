"""What is known of a tag: its record and its open sessions, from one range of its partition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.identifiers import NAMELESS
from shared.instants import format_instant, parse_instant
from shared.storage.rows import Row, Tables
from shared.storage.tables import TAGS
from shared.storage.together import all_done
from shared.tags.records import (
    AFTER_TAG_ROWS,
    SESSION_ROWS,
    START,
    TAG_ROWS,
    UNDATED,
    Tag,
    instant_in,
    tag_from_row,
)

_SAME_START = timedelta(seconds=2)
"""As close as the starts of two claims of one session are, as in reconciliation's pairing."""


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session of a tag that started and did not end: its key, and its latest start."""

    session: str
    start: datetime

    @property
    def charger(self) -> str:
        """The charger, as `key_part` writes it."""
        return _charger(self.session)


@dataclass(frozen=True, slots=True)
class KnownTag:
    """A tag, None where the operator knows none, and the sessions that are open with it."""

    tag: Tag | None
    open_sessions: tuple[OpenSession, ...]


async def read_tag(tables: Tables, hashes: Sequence[str], since: datetime) -> KnownTag:
    """Read a tag under each of the hashes that it may have, side by side, one range each.

    Args:
        tables: The store.
        hashes: The tag's hash first, then those of a previous key and of other spellings: the
            first that has a record counts. Sessions of all of them are the tag's.
        since: Sessions that started before count as over.

    Raises:
        StoreUnavailableError: One of them cannot be read now.
    """
    start = f"{SESSION_ROWS}{format_instant(since)}"
    found = await all_done(_rows(tables, hashed, start) for hashed in hashes)
    return fold_rows(row for rows in found for row in rows)


async def _rows(tables: Tables, hashed: str, start: str) -> list[Row]:
    return [row async for row in tables.range(TAGS, hashed, start, AFTER_TAG_ROWS)]


def fold_rows(rows: Iterable[Row]) -> KnownTag:
    """Fold the rows of a tag; of several records the first counts.

    A session is open when its latest start is later than its latest end. A start without a time
    opens nothing, since nobody could tell when it is over; an end without a time ends it for good.
    Whatever is no start ends a session, also that REST lists it no longer as ongoing.

    Start and end without a transaction id are sessions of their own, until reconciliation pairs
    them. Here such an end is also the end of one that began at the same charger when it did.
    """
    tag: Tag | None = None
    starts: dict[str, str] = {}
    ends: dict[str, str] = {}
    began: list[tuple[str, datetime]] = []
    for row in rows:
        if row.key.startswith(TAG_ROWS):
            tag = tag or tag_from_row(row)
            continue
        session, instant = str(row.columns["session"]), str(row.columns["instant"])
        if row.columns["source"] != START:
            # "undated" sorts after every instant.
            ends[session] = max(instant, ends.get(session, ""))
            if (then := instant_in(row.columns, "began")) is not None:
                began.append((_charger(session), then))
        elif instant != UNDATED:
            starts[session] = max(instant, starts.get(session, ""))
    return KnownTag(
        tag,
        tuple(
            OpenSession(session, started)
            for session, text in sorted(starts.items())
            if text > ends.get(session, "")
            and (started := parse_instant(text)) is not None
            and not (_is_nameless(session) and _is_among(began, _charger(session), started))
        ),
    )


def _charger(session: str) -> str:
    return session.partition("|")[0]


def _is_nameless(session: str) -> bool:
    return session.partition("|")[2].startswith(NAMELESS)


def _is_among(began: Sequence[tuple[str, datetime]], charger: str, start: datetime) -> bool:
    return any(name == charger and abs(then - start) <= _SAME_START for name, then in began)
