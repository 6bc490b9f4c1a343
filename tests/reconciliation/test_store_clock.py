"""The clock of reconciliation: the store's time, never ahead of it, whatever the machine says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import StoreUnavailableError
from shared.reconciliation.store_clock import StoreClock
from shared.storage.memory import MemoryTables
from shared.storage.requests import counted
from tests.simulation.virtual_time import run

NOON = datetime(2026, 11, 2, 12, 0, 0, 700_000, tzinfo=UTC)


class World:
    """One time for all; the store tells it, and its answer takes so long to come."""

    def __init__(self, there: float = 0, back: float = 0) -> None:
        self.seconds = 0.0
        self.tables = MemoryTables(pause=self._pause, clock=self.now)
        self._there, self._back = there, back

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds)

    async def _pause(self, _table: str, _moment: str) -> None:
        self.seconds += self._there

    def elapsed(self) -> float:
        """A monotonic clock with a beginning of its own, read when the answer is there."""
        self.seconds, self._back = self.seconds + self._back, 0
        return 4711 + self.seconds


@given(
    there=st.floats(0, 5),
    back=st.floats(0, 5),
    later=st.lists(st.floats(0, 1000), max_size=5),
)
def test_it_is_never_ahead_of_the_store(there: float, back: float, later: list[float]) -> None:
    """Behind by less than a second and the answer's way, and it never goes back."""

    async def read() -> None:
        world = World(there, back)
        clock = await StoreClock.read(world.tables, world.elapsed)
        before = clock()
        for seconds in later:
            world.seconds += seconds
            told = clock()
            behind = world.now() - told
            assert timedelta(microseconds=-5) <= behind
            assert behind < timedelta(seconds=1 + back, microseconds=5)
            assert told >= before
            before = told

    run(read())


async def test_reading_it_is_one_request() -> None:
    """The store is asked once; each instant after that costs nothing."""
    world = World()
    with counted() as requests:
        clock = await StoreClock.read(world.tables, world.elapsed)
        instants = [clock(), clock()]

    assert requests.by_purpose == {"store_now": 1}
    assert instants == [NOON.replace(microsecond=0)] * 2


async def test_a_store_that_is_away_has_no_time() -> None:
    """No time of the machine takes its place."""

    async def away(_table: str, _moment: str) -> None:
        raise StoreUnavailableError("away")

    with pytest.raises(StoreUnavailableError):
        await StoreClock.read(MemoryTables(pause=away))
