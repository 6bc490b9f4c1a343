"""Runs against every REST fault at once: what is proven is in the store, and in the end all is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta

import pytest

from shared.emabler.client import EmablerClient
from shared.errors import RestRefusedError, RestUnavailableError
from shared.reconciliation.means import Means
from shared.reconciliation.pairing_writer import Pairing
from shared.reconciliation.run import Reconciliation
from shared.reconciliation.shelf import read_windows
from shared.sessions.claims import Claim, Source, claim_from_row
from shared.sessions.summary import is_summary
from shared.sessions.writer import SessionWriter
from shared.storage.memory import MemoryTables
from shared.storage.tables import ALL_TABLES, SESSIONS
from tests.emabler.rest import NOW
from tests.reconciliation.books import HASH_KEY
from tests.reconciliation.simulated import Simulated, a_day_of
from tests.reconciliation.test_asking_simulated import FAULTS, Changes, drawn_changes, rule
from tests.reconciliation.two_sides import USUAL

RUNS_WITH_FAULTS, MOST_RUNS_AFTER = 6, 8
FAR = timedelta(days=36_000)


class Store:
    """A store in memory whose clock is the simulation's."""

    def __init__(self, simulated: Simulated) -> None:
        self.simulated = simulated
        self.tables = MemoryTables(*ALL_TABLES)
        self.tables.clock = simulated.now

    async def reconcile(self) -> bool:
        """One run of the timer, a quarter of an hour after the one before; whether it did all."""
        self.simulated.time.seconds += 900
        async with self.simulated.client(page_size=20) as client:
            try:
                reconciliation = Reconciliation(
                    self._means(client),
                    USUAL,
                    clock=self.simulated.now,
                    elapsed=lambda: self.simulated.time.seconds,
                )
                run = await reconciliation.run(reconciliation.begin(holder="timer"))
            except (RestRefusedError, RestUnavailableError):
                return False
        return run.complete

    def _means(self, client: EmablerClient) -> Means:
        return Means(
            tables=self.tables,
            sessions=SessionWriter(self.tables, buckets=2, tag_hash_key=HASH_KEY),
            client=client,
            pairing=Pairing(self.tables, tag_hash_key=HASH_KEY),
            buckets=2,
            tag_hash_key=HASH_KEY,
        )

    @property
    def claims(self) -> dict[int, Claim]:
        rows = self.tables.rows(SESSIONS)
        claims = (claim_from_row(r) for r in rows if r.key[0] != "!" and not is_summary(r))
        return {int(claim.name): claim for claim in claims if claim.source is Source.REST}

    async def check(self, strange: Iterable[int]) -> None:
        """Every session of a proven window, as the books were at its instant, is in the store."""
        there = self.claims.keys() | set(strange)
        async for window in read_windows(self.tables, NOW - FAR, NOW + FAR):
            truth = self.simulated.truth(window.as_of)
            inside = {n for n, end in truth.items() if window.first <= end < window.last}
            assert inside <= there, window


async def played(seed: int, rate: float) -> None:
    simulated = Simulated(a_day_of(40))
    simulated.spoil(seed, *(rule(fault, rate) for fault in FAULTS))
    plan = simulated.faults.plan
    strange = {
        number
        for number in range(2000)
        for fault in ("late_sessions", "changing_sessions")
        if plan.draw(fault, number) < rate
    }
    simulated.between = Changes(simulated, drawn_changes(seed))
    store = Store(simulated)
    for _ in range(RUNS_WITH_FAULTS):
        await store.reconcile()
        await store.check(strange)
    simulated.spoil(0)
    simulated.between = None
    simulated.time.seconds += 8 * 86_400
    complete = 0
    for _ in range(MOST_RUNS_AFTER):
        # A round that began amid the faults may end first; what is due after it is the next run's.
        complete = complete + 1 if await store.reconcile() else 0
        if complete > 1:
            break
    else:
        pytest.fail("the runs came to no end")

    books = simulated.truth(simulated.now())
    assert books.keys() <= store.claims.keys()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(20))
def test_all_faults_together_over_runs(seed: int) -> None:
    """Nothing is proven that is not there; when the faults are over, nothing is missing."""
    asyncio.run(played(seed, (0.03, 0.1, 0.3)[seed % 3]))
