"""Reading the journal: by charger, time and type, day by day, in ranges where there are some."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.identifiers import bucket_of, key_part
from shared.ingestion.journal import UNDATED
from shared.instants import day_of, format_instant
from shared.push.events import TYPE_NAMES
from shared.storage.rows import Row, Tables
from shared.storage.tables import EVENTS
from shared.storage.together import in_order


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events; None is any. `start` is held, `end` is not. Undated ones have no time."""

    charger: str | None = None
    type: str | None = None
    transaction: str | None = None
    start: datetime | None = None
    end: datetime | None = None

    def holds(self, row: Row) -> bool:
        """Whether a row is one of those asked for."""
        columns = row.columns
        instant = str(columns["instant"])
        return (
            (self.charger is None or columns["charger"] == self.charger)
            and (self.type is None or columns["type"] == self.type)
            and (self.transaction is None or columns.get("transaction") == self.transaction)
            and (self.start is None or UNDATED > instant >= format_instant(self.start))
            and (self.end is None or instant < format_instant(self.end))
        )


async def read_events(
    tables: Tables, wanted: EventFilter, *, buckets: int, now: datetime
) -> AsyncIterator[Row]:
    """The rows of the journal that are asked for.

    With a start they are read day by day from there on: of a charger one small range for each type,
    many of them side by side; of a type its own stretch of each day. Without a start all of the
    journal is walked.
    """
    names = [str(n) for n in range(buckets)]
    if wanted.charger is not None:
        names = [bucket_of(wanted.charger, buckets)]
    if wanted.start is None:
        for name in names:
            async for row in tables.scan(EVENTS, f"{name}-", f"{name}."):
                if wanted.holds(row):
                    yield row
        return
    # No event lies further ahead than a plausible clock: a day after its reception.
    partitions = (
        f"{name}-{day}"
        for day in _days(wanted.start, wanted.end or now + timedelta(days=2))
        for name in names
    )
    stretches = (
        tables.range(EVENTS, partition, start, end)
        for partition in partitions
        for start, end in _stretches(wanted)
    )
    # A charger's day is small enough to be held; a fleet's is not.
    found = in_order(stretches) if wanted.charger is not None else _one_by_one(stretches)
    async for row in found:
        if wanted.holds(row):
            yield row


def _days(first: datetime, last: datetime) -> Iterator[str]:
    day = first
    while day_of(day) <= day_of(last):
        yield day_of(day)
        day += timedelta(days=1)


def _stretches(wanted: EventFilter) -> list[tuple[str, str | None]]:
    """The ranges of keys of one day in which the wanted rows lie."""
    types = [wanted.type] if wanted.type else list(TYPE_NAMES.values())
    if wanted.charger is not None:
        prefixes = [f"{name}|{key_part(wanted.charger)}|" for name in types]
    elif wanted.type:
        prefixes = [f"{wanted.type}|"]
    else:
        return [("", None)]
    return [(prefix, f"{prefix}~") for prefix in prefixes]


async def _one_by_one(stretches: Iterable[AsyncIterator[Row]]) -> AsyncIterator[Row]:
    for stretch in stretches:
        async for row in stretch:
            yield row
