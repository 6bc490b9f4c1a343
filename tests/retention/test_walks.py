"""Walks of retention: one a day, in as many runs as it takes, many transactions side by side."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from shared.retention.retain import LONGEST_RUN_SECONDS
from shared.storage.requests import counted
from shared.storage.tables import EVENTS, SESSIONS, STORE
from shared.storage.together import SIDE_BY_SIDE
from tests import payloads
from tests.retention.test_retain import DAY, THEN, Store, slow


async def test_a_day_has_one_walk() -> None:
    """Of many runs a day those after the walk's end do nothing; the next day begins another one."""
    store = Store()
    await store.take(payloads.state_v2())
    assert (await store.retain(after=timedelta(0))).finished
    with counted() as requests:
        again = await store.retain(after=timedelta(hours=11))
    assert (again.finished, again.deleted, requests.total) == (True, {}, 1)

    assert (await store.retain(after=timedelta(hours=12))).finished
    (progress,) = store.tables.rows(STORE)
    assert progress.columns["began"] == "2026-11-03T00:00:00.000000Z"


async def test_a_walk_that_takes_days_says_for_how_long() -> None:
    """A run that stops before the end tells how long ago its walk began; the last one nothing."""
    store = Store()
    for number in range(20):
        await store.take(payloads.state_v2(chargerId=f"CH-{number}", socketId=number))
    behind: list[float] = []
    while len(behind) < 99:
        store.now = THEN + 402 * DAY + len(behind) * timedelta(hours=16)
        done = await store.retention(slow(LONGEST_RUN_SECONDS / 2)).run()
        behind.append(done.behind / timedelta(hours=1))
        if done.finished:
            break

    assert behind == [*(16.0 * number for number in range(len(behind) - 1)), 0.0]
    assert len(behind) > 3
    assert store.count(EVENTS) == 0


@pytest.mark.parametrize("table", [EVENTS, SESSIONS])
async def test_much_is_deleted_side_by_side(table: str) -> None:
    """Several transactions are under way at once, and never more than there may be."""
    store = Store()
    for number in range(60):
        await store.take(
            payloads.full_v2(
                chargerId=f"CH-{number}",
                receivedTimestamp=f"2026-{number % 12 + 1:02}-02T10:41:43Z",
                deviceTimeStampStart=f"2026-{number % 12 + 1:02}-02T09:00:00Z",
                deviceTimeStampEnd=f"2026-{number % 12 + 1:02}-02T10:41:43Z",
            )
        )
    under_way, most = 0, 0

    async def write(name: str, moment: str) -> None:
        nonlocal under_way, most
        if name == table and moment.endswith("_write"):
            under_way += 1 if moment == "before_write" else -1
            most = max(most, under_way)
            await asyncio.sleep(0)

    store.tables.pause = write
    await store.retain(after=4100 * DAY)

    assert store.count(table) == 0
    assert 4 < most <= SIDE_BY_SIDE
