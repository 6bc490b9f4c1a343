"""What the store says of reconciliation: few reads, bounded, on the fake and on Azurite."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.reconciliation import facts
from shared.reconciliation.facts import reconciliation_facts
from shared.reconciliation.finding_book import FindingBook
from shared.reconciliation.findings import FindingClass
from shared.storage.requests import counted
from shared.storage.rows import Tables
from tests.reconciliation.books import NOW, Clock
from tests.reconciliation.ledgers import at, finding, take, window
from tests.stores import Stores

MONTH = timedelta(days=35)


@pytest.fixture
async def tables(stores: Stores) -> Tables:
    (tables,) = await stores.fresh()
    return tables


async def commit_findings(tables: Tables, clock: Clock, count: int) -> None:
    """A run that meets so many findings and proves two hours, the first before the second."""
    ledger = await take(tables, clock)
    book = await FindingBook.read(tables)
    met = [finding(number) for number in range(count)]
    writes = book.seen(
        met,
        compared=[str(each.session) for each in met],
        classes=[FindingClass.ENERGY_DIFFERS],
        as_of=NOW,
    )
    await ledger.commit(
        windows=[window(20, 21, -10), window(21, 22, -1)],
        front=at(22),
        findings=writes,
        run=ledger.opening(windows=2),
    )
    await ledger.release()


async def test_a_store_that_was_never_reconciled_says_so(tables: Tables) -> None:
    """Nothing began, and one read tells it."""
    with counted() as requests:
        assert await reconciliation_facts(tables, NOW, watched=MONTH) == {"began": None}

    assert sum(requests.by_purpose.values()) == 1


async def test_front_proofs_findings_and_run_are_told(tables: Tables, clock: Clock) -> None:
    """How far all is proven, how old the oldest proof behind it is, what is open, who ran last."""
    await commit_findings(tables, clock, 3)

    found = await reconciliation_facts(tables, NOW + timedelta(hours=1), watched=MONTH)

    run = found.pop("run")
    assert isinstance(run, dict)
    assert (run["id"], run["outcome"], run["complete"], run["ended"]) == (
        *("a", "running", False, None),
    )
    assert found == {
        "began": "2026-11-02T12:00:00.000000Z",
        "front": "2026-11-01T22:00:00.000000Z",
        "front_age_s": 15 * 3600,
        "oldest_proof": "2026-11-02T02:00:00.000000Z",
        "oldest_proof_s": 11 * 3600,
        "unproven_s": 0,
        "findings_open": 3,
    }


async def test_a_gap_behind_the_front_is_told(tables: Tables, clock: Clock) -> None:
    """An hour between two windows that no window covers is not proven."""
    ledger = await take(tables, clock)
    await ledger.commit(windows=[window(18, 19), window(20, 22)], front=at(22))

    found = await reconciliation_facts(tables, NOW, watched=MONTH)

    assert found["unproven_s"] == 3600


async def test_a_proof_without_bounds_counts(tables: Tables, clock: Clock) -> None:
    """A walk of a whole month lies in one wide window, and covers what smaller ones do not."""
    ledger = await take(tables, clock)
    await ledger.commit(windows=[window(-1000, 22, -5), window(20, 22, -1)], front=at(22))

    found = await reconciliation_facts(tables, NOW, watched=MONTH)

    assert (found["oldest_proof_s"], found["unproven_s"]) == (5 * 3600, 0)


async def test_a_flood_of_findings_is_counted_to_a_bound(
    tables: Tables, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound it says at least so many, and reads no further."""
    monkeypatch.setattr(facts, "MOST_FINDINGS", 5)
    await commit_findings(tables, clock, 7)

    found = await reconciliation_facts(tables, NOW, watched=MONTH)

    assert found["findings_open_at_least"] == 5
    assert "findings_open" not in found


async def test_too_many_windows_are_not_taken_for_a_proof(
    tables: Tables, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not read to its end tells no oldest proof, rather than one that is too young."""
    monkeypatch.setattr(facts, "MOST_WINDOWS", 1)
    await commit_findings(tables, clock, 0)

    found = await reconciliation_facts(tables, NOW, watched=MONTH)

    assert (found["oldest_proof"], found["oldest_proof_s"]) == (None, None)
