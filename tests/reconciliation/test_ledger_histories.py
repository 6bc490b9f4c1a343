"""Many runs that sleep, die and lose answers, in any order: the ledger is right at each instant."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random

import pytest

from shared.errors import LeaseHeldError, LeaseLostError, StoreUnavailableError
from shared.reconciliation import ledger as ledgers
from shared.reconciliation.finding_book import repaired
from shared.reconciliation.findings import FindingClass
from shared.reconciliation.lease import standing_of
from shared.reconciliation.ledger import Ledger
from shared.reconciliation.passes import Pass
from shared.reconciliation.windows import Window, covers, window_from_row
from shared.storage import limits
from shared.storage.ledger_keys import LEASE, WINDOW_ROWS
from shared.storage.memory import MemoryTables
from shared.storage.rows import Row
from shared.storage.tables import RECONCILIATION
from tests.reconciliation.books import Clock
from tests.reconciliation.ledgers import StoppedError, at, finding, take, window

HOURS, FINDINGS, WORKERS = 5, 9, 3

MET = ("took over", "LeaseHeldError", "LeaseLostError", "StoppedError", "StoreUnavailableError")


class History:
    """Workers on one store, of which chance decides who goes on, sleeps, dies or hears nothing."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.clock = Clock()
        self.tables = MemoryTables(RECONCILIATION, clock=self.clock)
        self.tables.pause = self._pause
        self.met = Counter[str]()
        self.runs = 0
        self._holding: dict[str, Ledger] = {}
        self._broken: list[str] = []

    async def play(self) -> list[str]:
        """Until the front is at its end; what was wrong on the way."""
        await asyncio.gather(*(self._worker() for _ in range(WORKERS)))
        return self._broken

    async def _worker(self) -> None:
        while self.runs < 500 and not self._done():
            self.runs += 1
            try:
                await self._run(f"run-{self.runs}")
            except (LeaseHeldError, LeaseLostError, StoreUnavailableError, StoppedError) as error:
                self.met[type(error).__name__] += 1
                self.clock.advance(seconds=self.chance.choice((1, 60)))
                await asyncio.sleep(0)

    async def _run(self, name: str) -> None:
        held = await take(self.tables, self.clock, name)
        self.met["took over"] += held.took_over
        # Also a run that died holds its lease until that is over; one that slept, no longer.
        self._holding[name] = held
        hold = [each for each in self._holding.values() if each.standing.until > self.clock()]
        others = [each for each in hold if each is not held and held in hold]
        self._broken += [f"{name} took the lease of {each.standing.run}" for each in others]
        while held.front is None or held.front < at(HOURS):
            first = 0 if held.front is None else round((held.front - at(0)).total_seconds() / 3600)
            await held.announce(Pass.FRONT, at(first), at(first + 1))
            found = [
                repaired(finding(first * 1000 + n, FindingClass.MISSING_IN_STORE))
                for n in range(FINDINGS)
            ]
            await held.commit(
                windows=[window(first, first + 1, run=name)],
                front=at(first + 1),
                findings=found,
                run=held.opening(windows=first + 1),
            )
        del self._holding[name]
        await held.release()

    async def _pause(self, _table: str, moment: str) -> None:
        if moment == "after_write":
            self._check()
        fate = self.chance.random()
        if fate < 0.02:
            raise StoppedError
        if moment == "after_write" and fate < 0.04:
            raise StoreUnavailableError("no answer", code="store_away")
        if fate < 0.08:
            # Asleep past its lease, while others go on.
            self.clock.advance(minutes=4)
            for _ in range(self.chance.randrange(40)):
                await asyncio.sleep(0)
        elif fate < 0.5:
            await asyncio.sleep(0)

    def rows(self) -> dict[str, Row]:
        return {key: row for (_, key), row in self.tables._tables[RECONCILIATION].items()}

    def windows(self) -> list[Window]:
        rows = self.rows().items()
        return [window_from_row(row) for key, row in rows if key.startswith(WINDOW_ROWS)]

    def _check(self) -> None:
        """No front is ahead of its windows, and no window ahead of what it stands for."""
        rows, windows = self.rows(), self.windows()
        front = standing_of(rows[LEASE]).front
        if front is not None and not covers(windows, at(0), front):
            self._broken.append(f"the front is at {front}, and there is a gap before it")
        for each in windows:
            first = round((each.first - at(0)).total_seconds() / 3600)
            for number in (first * 1000, first * 1000 + FINDINGS - 1):
                key = f"closed|CH-{number}|{number}|missing_in_store"
                if key not in rows:
                    self._broken.append(f"{each.key} is there without {key}")

    def _done(self) -> bool:
        row = self.rows().get(LEASE)
        front = None if row is None else standing_of(row).front
        return front is not None and front >= at(HOURS)


@pytest.fixture(autouse=True)
def _small_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five operations fit a transaction, not a hundred: a commit takes several all the same."""
    monkeypatch.setattr(limits, "MAX_OPERATIONS", 5)


async def test_in_any_history_the_ledger_is_right() -> None:
    """Sixty histories: nothing is ahead of what it stands for, and all come to their end."""
    met = Counter[str]()
    for seed in range(60):
        history = History(seed)
        assert await history.play() == [], seed
        assert covers(history.windows(), at(0), at(HOURS)), seed
        met += history.met

    # The histories are such that it could have gone wrong.
    assert min(met[each] for each in MET) > 30, met


@pytest.mark.parametrize("planted", ["the front goes first", "a held lease is taken"])
async def test_a_planted_mistake_is_found(planted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same histories catch a front that is moved before its writes, and a lease of two."""
    if planted == "the front goes first":
        monkeypatch.setattr(ledgers, "moves", lambda number, _count: number == 0)
    else:
        monkeypatch.setattr(ledgers, "is_free", lambda _standing, _now: True)

    for seed in range(200):
        if await History(seed).play():
            return
    pytest.fail("not found in 200 histories")
