"""The clock of reconciliation: the store's own, told on from there by the machine's monotonic one.

Two machines may differ in what time it is, and each may be wrong. All runs write to one store, so
its time orders what they saw: instants of observation and the lease are its `Date` plus the time
that passed since.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Self

from shared.storage.rows import Tables


@dataclass(frozen=True, slots=True)
class StoreClock:
    """Tells the store's time; it is behind by up to a second and one answer's way, never ahead.

    Behind is the safe side: what was asked at an instant holds for each one before it as well. As
    a `Clock` it goes into a client's `Surroundings`, so that each page's `asked` is the store's.
    """

    date: datetime
    heard: float
    elapsed: Callable[[], float] = monotonic

    @classmethod
    async def read(cls, tables: Tables, elapsed: Callable[[], float] = monotonic) -> Self:
        """Ask the store for its time: at each start of a run.

        Raises:
            StoreUnavailableError: The store is away.
        """
        date = await tables.now()
        # From the answer on, not from the request: the date was cut, and said before it came.
        return cls(date, elapsed(), elapsed)

    def __call__(self) -> datetime:
        """The present instant by the store's clock, UTC."""
        return self.date + timedelta(seconds=self.elapsed() - self.heard)
