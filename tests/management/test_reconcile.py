"""`manage.py reconcile`: now, one stretch by hand, and a look that writes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from aiohttp.test_utils import TestServer

from local.emabler import BASE_PATH
from local.emabler.books import Books
from local.emabler.server import make_app
from shared.instants import system_clock
from shared.reconciliation.ledger import Ledger, read_standing
from shared.storage.tables import ALL_TABLES
from tests.management.operator import Operator
from tests.reconciliation.two_sides import item

KEY = "k" * 40
DAY = timedelta(days=1)


@pytest.fixture
async def operator() -> AsyncIterator[Operator]:
    """Somebody whose eMabler lists two sessions: one of an hour ago, one of forty days ago."""
    operator, books, now = Operator(), Books(), system_clock()
    books.put(
        "sessions",
        [
            item(
                1, evse_transaction_id="1", timestamp_start=now - DAY, timestamp_end=now - DAY / 24
            ),
            item(
                2,
                evse_transaction_id="2",
                timestamp_start=now - 41 * DAY,
                timestamp_end=now - 40 * DAY,
            ),
        ],
    )
    async with TestServer(make_app(books, KEY)) as emabler:
        operator.settings |= {
            "EMABLER_API_KEY": KEY,
            "EMABLER_REQUESTS_PER_SECOND": "1000",
            "RECONCILE_SCHEDULE": "0 */15 * * * *",
            "EMABLER_BASE_URL": str(emabler.make_url(f"{BASE_PATH}/")),
        }
        yield operator


async def transactions(operator: Operator) -> list[str]:
    return sorted((await operator.run("sessions", "list", "--json")).all("transaction"))


async def test_it_does_at_once_what_the_timer_does(operator: Operator) -> None:
    """The front is where it is to be, and the run is told with its counts."""
    ran = await operator.run("reconcile", "--json", "--as", "anna")

    assert ran.code == 0, ran.err
    (row,) = ran.rows
    assert row["complete"]
    assert row["sessions"]["history"] == 1
    assert await transactions(operator) == ["1"]
    (told,) = (await operator.run("runs", "list", "--json")).rows
    assert told["holder"] == "manage.py, anna"


async def test_a_stretch_by_hand_leaves_the_front(operator: Operator) -> None:
    """What is older than the first run's days is loaded by hand."""
    start = f"{system_clock() - 45 * DAY:%Y-%m-%d}"
    end = f"{system_clock() - 35 * DAY:%Y-%m-%d}"

    ran = await operator.run("reconcile", "--from", start, "--to", end)

    assert ran.code == 0, ran.err
    assert await transactions(operator) == ["2"]
    standing = await read_standing(operator.tables)
    assert standing is not None
    assert standing.front is None


async def test_a_look_writes_nothing(operator: Operator) -> None:
    """A dry run compares, and every table is as before."""
    await operator.run("reconcile")
    before = {table: operator.tables.rows(table) for table in ALL_TABLES}
    start = f"{system_clock() - 45 * DAY:%Y-%m-%d}"

    ran = await operator.run("reconcile", "--from", start, "--dry-run")

    assert "nothing was written" in ran.err
    assert {table: operator.tables.rows(table) for table in ALL_TABLES} == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("--dry-run",),
        ("--to", "2026-11-01"),
        ("--from", "2999-01-01"),
        ("--from", "0001-01-01"),
        ("--from", "0001-01-01", "--dry-run"),
        ("--from", "2014-12-31"),
        ("--from", "2026-11-01", "--to", "9999-12-30"),
    ],
)
async def test_a_range_that_is_none_is_wrong_usage(
    operator: Operator, arguments: tuple[str, ...]
) -> None:
    """A stretch needs its beginning, before its end, in times in which sessions end."""
    ran = await operator.run("reconcile", *arguments)

    assert ran.code == 2
    assert "--from" in ran.err


async def test_who_meets_another_run_is_told_to_wait(operator: Operator) -> None:
    """The lease is held: the command says by whom, and what to do."""
    clock = operator.tables.clock
    await Ledger.take(operator.tables, clock, run="r", holder="timer", lasts=timedelta(minutes=10))

    with pytest.raises(Exception, match="timer"):
        await operator.run("reconcile")
