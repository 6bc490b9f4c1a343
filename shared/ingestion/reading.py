"""Reading the journal: by charger, time and type, day by day, in ranges where there are some."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.identifiers import bucket_of
from shared.ingestion.journal import UNDATED
from shared.instants import day_of, format_instant
from shared.storage.rows import Row, Tables
from shared.storage.tables import EVENTS


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
    """The rows of the journal that are asked for; with a start, day by day from there on."""
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
    end = wanted.end or now + timedelta(days=2)
    day = wanted.start
    while day_of(day) <= day_of(end):
        for name in names:
            async for row in tables.range(EVENTS, f"{name}-{day_of(day)}"):
                if wanted.holds(row):
                    yield row
        day += timedelta(days=1)
