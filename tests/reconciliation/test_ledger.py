"""The ledger, on the fake and on Azurite: one run writes, and one that lost the lease does not."""

from __future__ import annotations

import asyncio

import pytest

from shared.errors import LeaseHeldError, LeaseLostError
from shared.reconciliation.finding_book import FindingBook, repaired
from shared.reconciliation.findings import FindingClass, known_from_row
from shared.reconciliation.ledger import Ledger, read_standing
from shared.reconciliation.lease import Work
from shared.reconciliation.passes import Marks, Pass, Schedule, finished, tasks
from shared.reconciliation.runs import RUN_ROWS, Outcome, read_runs, run_from_row
from shared.reconciliation.windows import Window
from shared.storage.rows import Delete, Tables
from shared.storage.tables import RECONCILIATION
from tests.reconciliation.books import NOW, Clock
from tests.reconciliation.ledgers import (
    LASTS,
    Deaf,
    StoppedError,
    Stopping,
    at,
    closed,
    content,
    finding,
    open_keys,
    rows,
    take,
    window,
    windows,
)
from tests.stores import Stores


@pytest.fixture
async def tables(stores: Stores) -> Tables:
    (tables,) = await stores.fresh()
    return tables


async def test_what_a_run_writes_down_is_there_for_the_next(tables: Tables, clock: Clock) -> None:
    """Front, marks, windows, findings and the run itself outlast the lease that wrote them."""
    ledger = await take(tables, clock)
    assert (ledger.epoch, ledger.took_over, ledger.front, ledger.began) == (1, False, None, NOW)
    (task, *_) = tasks(ledger.marks, Schedule(), NOW, None)
    marks = finished(ledger.marks, task)
    book = await FindingBook.read(tables)
    writes = book.seen(
        [finding()], compared=["CH-1|1"], classes=[FindingClass.ENERGY_DIFFERS], as_of=NOW
    )
    missing = repaired(finding(2, FindingClass.MISSING_IN_STORE))

    await ledger.commit(
        windows=[window(0, 1), window(1, 2)],
        front=at(2),
        marks=marks,
        findings=[*writes, missing],
        run=ledger.opening(windows=2),
    )
    await ledger.release()

    clock.advance(minutes=15)
    again = await take(tables, clock, "b")
    assert (again.epoch, again.took_over, again.front, again.began) == (2, False, at(2), NOW)
    assert again.marks == marks
    assert await windows(tables) == [window(0, 1), window(1, 2)]
    assert await open_keys(tables) == ["open|CH-1|1|energy_differs"]
    assert [row.columns["state"] for row in await closed(tables)] == ["repaired"]
    (run,) = [each async for each in read_runs(tables)]
    assert (run.id, run.holder, run.windows, run.outcome) == ("a", "a test", 2, Outcome.RUNNING)
