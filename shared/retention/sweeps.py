"""The walks of a retention run: each goes on from a position, and tells where it is as it goes.

A row goes before its blob, so that no row that can be read points at nothing. Blobs go in the walk
over the container, by when they were written and as they were listed: ingestion writes a blob
before its row, so one that it has just written anew is young, or has another ETag, and stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.instants import Clock, day_of, parse_instant
from shared.retention.due import AHEAD, delete_unchanged, end_of_day, is_due
from shared.retention.policies import Part
from shared.storage.blobs import Blobs, Listed
from shared.storage.containers import BODIES
from shared.storage.erased import ERASED
from shared.storage.limits import MAX_OPERATIONS
from shared.storage.rows import Row, Tables
from shared.storage.tables import EVENTS, PARKED, STORE
from shared.storage.together import SIDE_BY_SIDE, all_done

_LOOK_UP = 1_000
"""Rows after which a walk tells where it is although it deleted nothing."""

_ORPHANED_AFTER = timedelta(days=1)


type Own = Callable[[Row], datetime | None]
"""A row's own time; None where it has none."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a walk is: which of its stretches, and the partition or key in it."""

    stretch: int = 0
    at: str = ""


@dataclass(frozen=True, slots=True)
class Swept:
    """One step of a walk: where it is now, and what it deleted since the step before."""

    position: Position
    deleted: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What every walk needs: the store, and the time beyond which things go."""

    tables: Tables
    blobs: Blobs
    buckets: int
    clock: Clock
    cutoff: datetime

    @property
    def ahead(self) -> datetime:
        """Times from here on are no times: nothing plausible lies there."""
        return self.clock() + AHEAD


async def sweep_days(place: Place, table: str, start: Position) -> AsyncGenerator[Swept]:
    """Rows under days beyond the age; and those under days that cannot be, or under none."""
    beyond, ahead = day_of(place.cutoff), day_of(place.ahead + timedelta(days=1))
    stretches = [
        stretch
        for bucket in range(place.buckets)
        for stretch in ((f"{bucket}-", f"{bucket}-{beyond}"), (f"{bucket}-{ahead}", f"{bucket}."))
    ]
    for number, (first, end) in enumerate(stretches):
        if number < start.stretch:
            continue
        begin = max(first, start.at) if number == start.stretch else first
        async for swept in _sweep_rows(
            place, table, place.tables.scan(table, begin, end), number, _day_of_partition
        ):
            yield swept


async def sweep_columns(
    place: Place, table: str, columns: Sequence[str], start: Position
) -> AsyncGenerator[Swept]:
    """Rows of a small table that tell an instant beyond the age, in the first column they have."""
    rows = place.tables.scan(table, start.at)
    async for swept in _sweep_rows(place, table, rows, 0, _told_by(columns)):
        yield swept


def _told_by(columns: Sequence[str]) -> Own:
    """A row's own time is that in the first of the columns that it has."""

    def own(row: Row) -> datetime | None:
        told = (row.columns[column] for column in columns if column in row.columns)
        return parse_instant(str(next(told, "")))

    return own


async def sweep_parts(
    parts: Sequence[tuple[Place, Part]], table: str, partition: str, start: Position
) -> AsyncGenerator[Swept]:
    """Rows of one partition, kind by kind; `Place` tells beyond which time each kind goes."""
    for number, (place, part) in enumerate(parts):
        if number < start.stretch:
            continue
        begin = max(part.prefix, start.at) if number == start.stretch else part.prefix
        rows = place.tables.range(table, partition, begin, f"{part.prefix}~")
        own = _told_by(part.columns)
        async for swept in _sweep_rows(place, table, rows, number, own, at=_key):
            yield swept


async def sweep_marks(place: Place, start: Position) -> AsyncGenerator[Swept]:
    """Marks of erased rows on days of the journal that are gone themselves."""

    def own(row: Row) -> datetime | None:
        return end_of_day(row.key.rpartition("-")[2])

    rows = place.tables.range(STORE, ERASED, start.at)
    async for swept in _sweep_rows(place, STORE, rows, 0, own, at=_key):
        yield swept


def _day_of_partition(row: Row) -> datetime | None:
    end = end_of_day(row.partition.rpartition("-")[2])
    # A day is beyond the age when its last instant is.
    return None if end is None else end - timedelta(microseconds=1)


def _partition(row: Row) -> str:
    return row.partition


def _key(row: Row) -> str:
    return row.key


async def _sweep_rows(
    place: Place,
    table: str,
    rows: AsyncIterator[Row],
    stretch: int,
    own: Own,
    *,
    at: Callable[[Row], str] = _partition,
) -> AsyncGenerator[Swept]:
    """Delete what is due, transactions side by side; `at` tells where a walk goes on at a row."""
    due: list[list[Row]] = []
    looked_at = 0
    async for row in rows:
        looked_at += 1
        if is_due(own(row), row.timestamp, place.cutoff):
            if not due or due[-1][0].partition != row.partition or len(due[-1]) == MAX_OPERATIONS:
                if len(due) == SIDE_BY_SIDE:
                    yield Swept(Position(stretch, at(due[0][0])), await _delete(place, table, due))
                    due = []
                due.append([])
            # A body may be long, and is not needed any more.
            due[-1].append(replace(row, columns={}))
        elif looked_at % _LOOK_UP == 0:
            yield Swept(Position(stretch, at(due[0][0] if due else row)))
    if due:
        yield Swept(Position(stretch, at(due[0][0])), await _delete(place, table, due))


async def _delete(place: Place, table: str, due: Sequence[Sequence[Row]]) -> Counter[str]:
    gone = await all_done(delete_unchanged(place.tables, table, rows) for rows in due)
    return Counter({table: sum(map(len, gone))})


async def sweep_orphans(place: Place, start: Position) -> AsyncGenerator[Swept]:
    """Blobs that no row points at: of journal days beyond the age, and of parked messages."""
    for number, walk in enumerate((_journal_orphans, _parked_orphans)):
        if number < start.stretch:
            continue
        begin = start.at if number == start.stretch else ""
        async for blob, orphan in walk(place):
            if blob.name < begin:
                continue
            deleted: Counter[str] = Counter()
            if orphan:
                deleted[BODIES] += await place.blobs.delete(BODIES, blob.name, blob.etag)
            yield Swept(Position(number, blob.name), deleted)


async def _journal_orphans(place: Place) -> AsyncIterator[tuple[Listed, bool]]:
    pointed_at: set[str] = set()
    partition_read = ""
    async for blob in place.blobs.listed(BODIES, f"{EVENTS}/"):
        partition = blob.name.split("/")[1]
        own = end_of_day(partition.rpartition("-")[2])
        if not is_due(own, blob.modified, place.cutoff):
            yield blob, False
            continue
        if partition != partition_read:
            # What is due there has just been deleted: these partitions are empty, or nearly so.
            rows = place.tables.range(EVENTS, partition)
            pointed_at = {str(row.columns.get("body_blob")) async for row in rows}
            partition_read = partition
        yield blob, blob.name not in pointed_at


async def _parked_orphans(place: Place) -> AsyncIterator[tuple[Listed, bool]]:
    async for blob in place.blobs.listed(BODIES, f"{PARKED}/"):
        digest = blob.name.rpartition("/")[2]
        row = await place.tables.get(PARKED, digest[:2], digest)
        pointed_at = row is not None and "body_blob" in row.columns
        # A blob is written before its row: one that is new may still get it.
        old = blob.modified < place.clock() - _ORPHANED_AFTER
        yield blob, old and not pointed_at
