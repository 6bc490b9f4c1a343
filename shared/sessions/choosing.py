"""Sessions by time and state, found by their index rows: what is not asked for is not read.

Who asks while sessions change may see one that moves meanwhile twice or never, as in any walk over
a table that is written.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from heapq import heapify, heappop, heapreplace

from shared.instants import format_instant
from shared.sessions.claims import Source
from shared.sessions.indexes import (
    END_ROWS,
    OPEN_ROWS,
    UNDATED,
    named_by,
    session_named_by,
)
from shared.sessions.reading import read_summaries
from shared.sessions.summary import SUMMARY_NAME, State
from shared.storage.rows import Row, Tables
from shared.storage.tables import SESSIONS
from shared.storage.together import ahead, all_done

_AFTER_DATES = ":"
"""Sorts after every digit, and before `UNDATED`."""

_COLUMNS = ("start", "part_of", "other", "push")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which sessions: of one charger or of all, of one state or of all but parts, of one time.

    The time is from `start` on and before `end` (UTC; None: no bound). A session belongs to the
    time that its end lies in, and one that has none to that of its start: of times that follow
    each other to one, once. Of a time, open sessions are told only where they are asked for.

    `touching`: a session belongs to each time in which some of it lies; an open one lasts until
    now.
    """

    charger: str | None = None
    state: State | None = None
    start: datetime | None = None
    end: datetime | None = None
    touching: bool = False

    @property
    def of_a_time(self) -> bool:
        """Whether a time is asked for."""
        return self.start is not None or self.end is not None

    def holds(self, summary: Row) -> bool:
        """Whether a session is one of these."""
        columns = summary.columns
        is_open = columns["state"] == State.OPEN
        if self.state is not None and columns["state"] != self.state:
            return False
        if not self.of_a_time:
            return True
        if is_open and self.state is None and not self.touching:
            return False
        start, end = str(columns.get("start", "")), str(columns.get("end", ""))
        last = end or start
        if not last:
            return False
        late_enough = self.start is None or last >= format_instant(self.start)
        if not self.touching:
            return late_enough and self._begins_in_time(last)
        return (late_enough or is_open) and self._begins_in_time(start or end)

    def _begins_in_time(self, instant: str) -> bool:
        return self.end is None or instant < format_instant(self.end)


async def read_wanted(tables: Tables, wanted: Wanted, *, buckets: int) -> AsyncGenerator[Row]:
    """The summaries of the sessions that are wanted.

    Those of a time, all chargers together, come by their end; then those that have none. Others
    come by charger and transaction within each bucket.
    """
    async with aclosing(_candidates(tables, wanted, buckets)) as found:
        async for row in found:
            if wanted.holds(row):
                yield row


async def _candidates(tables: Tables, wanted: Wanted, buckets: int) -> AsyncGenerator[Row]:
    by_index = wanted.of_a_time or wanted.state is State.OPEN
    if wanted.charger is not None or wanted.state is State.PART or not by_index:
        parts = wanted.state is State.PART
        rows = read_summaries(tables, charger=wanted.charger, buckets=buckets, parts=parts)
        async for row in rows:
            yield row
        return

    async def summary_of(index: Row) -> Row | None:
        key = f"{session_named_by(index)}|{SUMMARY_NAME}"
        row = await tables.get(SESSIONS, index.partition, key)
        # Of the ends that were told of a session its summary shows one.
        return row if row is not None and _end_in(index) in (None, _end_of(row)) else None

    async with aclosing(ahead(_index_rows(tables, wanted, buckets), summary_of)) as found:
        async for found_row in found:
            if found_row is not None:
                yield found_row


def _stretches(wanted: Wanted) -> list[tuple[str, str]]:
    """The index rows that find the sessions: from which key on, and before which."""
    opens = (OPEN_ROWS, f"{OPEN_ROWS}~")
    if wanted.state is State.OPEN:
        return [opens]
    first = format_instant(wanted.start) if wanted.start else ""
    # What touches the time may have ended at any time after it.
    last = format_instant(wanted.end) if wanted.end and not wanted.touching else _AFTER_DATES
    stretches = [
        (f"{END_ROWS}{first}", f"{END_ROWS}{last}"),
        (f"{END_ROWS}{UNDATED}|", f"{END_ROWS}{UNDATED}|~"),
    ]
    return [*stretches, opens] if wanted.touching and wanted.state is None else stretches


async def _index_rows(tables: Tables, wanted: Wanted, buckets: int) -> AsyncIterator[Row]:
    """The index rows of sessions that may be wanted; of several of one session and end one."""
    before: tuple[str, str | None] | None = None
    for first, last in _stretches(wanted):
        async for row in _merged(tables, first, last, buckets):
            found = session_named_by(row), _end_in(row)
            # The rows of one end and session follow each other.
            if found != before and _may_be(row, wanted):
                before = found
                yield row


def _may_be(index: Row, wanted: Wanted) -> bool:
    """Whether the session has to be read: its row may tell that another row finds it."""
    columns = index.columns
    if "part_of" in columns or "other" in columns:
        return False
    # Beside a stop, which always has an end, REST's end is not the session's.
    if Source.STOP in str(columns.get("push", "")).split(","):
        return False
    source = named_by(index).split("|")[2]
    # What a stop tells of the start is the session's; of an open session the row tells it.
    is_start = source == SUMMARY_NAME or (wanted.touching and source == Source.STOP)
    start = str(columns.get("start", "")) if is_start else ""
    return wanted.end is None or start < format_instant(wanted.end)


def _end_in(index: Row) -> str | None:
    """The end that a row by end stands under; None of a row of an open session."""
    if not index.key.startswith(END_ROWS):
        return None
    return index.key.removeprefix(END_ROWS).partition("|")[0]


def _end_of(summary: Row) -> str:
    return str(summary.columns.get("end", UNDATED))


async def _merged(tables: Tables, first: str, last: str, buckets: int) -> AsyncIterator[Row]:
    """The rows of a stretch of keys of all buckets, by key."""
    streams = [
        tables.range(SESSIONS, str(number), first, last, columns=_COLUMNS)
        for number in range(buckets)
    ]
    firsts = await all_done(anext(stream, None) for stream in streams)
    heads = [(row.key, number, row) for number, row in enumerate(firsts) if row is not None]
    heapify(heads)
    while heads:
        _, number, row = heads[0]
        yield row
        following = await anext(streams[number], None)
        if following is None:
            heappop(heads)
        else:
            heapreplace(heads, (following.key, number, following))
