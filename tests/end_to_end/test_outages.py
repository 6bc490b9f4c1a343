"""The app on Microsoft's runtime, while its store is away, busy or half-doing what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.sessions.summary import is_summary
from shared.storage.tables import SESSIONS
from tests import payloads
from tests.end_to_end.app import QUEUE, App, is_of, running_app

LONGEST_WAIT_SECONDS = 0.1
SCALE = LONGEST_WAIT_SECONDS / 120
"""A delivery waits 0.1 s where it would wait 120 s, and everything else of its waiting likewise."""

OUTAGE_SECONDS = 2 * 3600 * SCALE
"""Two hours at this scale: 6 s."""


def day_of(fleet: str) -> list[bytes]:
    """A state, a start and a stop of each of twelve chargers: less than a batch."""
    chargers = [f"{fleet}-{n}" for n in range(12)]
    shapes = (payloads.state_v2, payloads.start_v2, payloads.full_v2)
    return [make(chargerId=charger) for charger in chargers for make in shapes]


@pytest.fixture(scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    settings = {"INGEST_LONGEST_WAIT_SECONDS": str(LONGEST_WAIT_SECONDS)}
    async with running_app(tmp_path_factory.mktemp("outages"), settings=settings) as app:
        yield app


async def play(
    app: App, fleet: str, rule: str, *, lasting: float | None = None, poison: tuple[bytes, ...] = ()
) -> float:
    """Send a fleet's day while the store fails by a rule; how often each message was delivered.

    Nothing of it is lost, doubled, or a dead letter, and none but the poison is parked.
    """
    sent, parked = day_of(fleet), await app.parked()
    failed, before = len(app.proxy.decisions()), (await app.broker.counts(QUEUE)).totals.delivered
    number = app.proxy.add(rule)
    if lasting is not None:
        asyncio.get_running_loop().call_later(lasting, app.proxy.remove, number)
    await app.send([*sent, *poison])
    await app.drained()
    app.proxy.clear()
    await app.proxy.settle()

    assert len(app.proxy.decisions()) > failed, "the store never failed: nothing was tried"
    sessions = await app.rows(SESSIONS, lambda row: is_summary(row) and is_of(row, fleet))
    assert await app.events(fleet) == len(sent)
    assert [row.columns["state"] for row in sessions] == ["ended"] * (len(sent) // 3)
    assert await app.parked() == parked + len(poison)
    assert await app.dead() == 0
    delivered = (await app.broker.counts(QUEUE)).totals.delivered - before
    return delivered / (len(sent) + len(poison))


async def test_a_store_that_is_away_for_two_hours_costs_no_message(app: App) -> None:
    """Gone for two hours of the scale: stored = sent, no dead letters, and more than one try."""
    rule = f"absent service=table nth=1 seconds={OUTAGE_SECONDS}"

    assert await play(app, "away", rule) > 1


@pytest.mark.parametrize("fault", ["busy", "refused"])
async def test_a_store_that_answers_errors_for_two_hours_costs_no_message(
    app: App, fault: str
) -> None:
    """503 or 403 to everything for two hours of the scale: stored = sent, no dead letters.

    The SDK tries a 503 again by itself, and a 403 not: there all deliveries wait as recorded.
    """
    assert await play(app, fault, f"{fault} service=table", lasting=OUTAGE_SECONDS) > 1


@pytest.mark.parametrize(
    ("fleet", "rule"),
    [
        ("often", "busy service=table rate=0.3 count=60"),
        ("throttled", "throttled service=table rate=0.3 count=40"),
        ("missing", "missing_table service=table rate=0.3 count=40"),
        ("inside", "busy service=table kind=batch inside=yes rate=0.5 count=40"),
        ("unanswered", "error_after_write service=table kind=write rate=0.3 count=40"),
        ("reset", "reset_after service=table kind=write rate=0.3 count=40"),
        ("late", "late_write service=table kind=write rate=0.3 count=20 seconds=0.5"),
    ],
)
async def test_no_message_is_lost_while_the_store_fails_now_and_then(
    app: App, fleet: str, rule: str
) -> None:
    """Busy, done but not answered, done later than was answered: stored = sent, no dead letters."""
    await play(app, fleet, rule)


async def test_a_poisoned_batch_in_bad_weather_parks_the_poison_alone(app: App) -> None:
    """Poison is parked, the rest is stored, while the store is busy all along."""
    rule = "busy service=table rate=0.2 count=40"

    await play(app, "mixed", rule, poison=(b"not json", b"{}"))
