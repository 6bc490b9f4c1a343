"""The arithmetic of docs/decisions/0008-outages.md, played to its end in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random

import pytest

from shared.errors import TransientError
from shared.ingestion.messages import IncomingMessage
from shared.ingestion.weather import Outlasted
from shared.storage.memory import MemoryTables
from shared.storage.tables import ALL_TABLES, EVENTS, PARKED
from tests import payloads
from tests.simulation.ingestion import delivery
from tests.simulation.queue import LOCK_SECONDS, MAX_DELIVERIES, Queue
from tests.simulation.store import CALM, StoreOfOneWorker, Weather
from tests.simulation.virtual_time import run

HOUR = 3600.0
BATCH = 4
BRIDGED_SECONDS = 10 + 20 + 40 + 80 + 96 * 120
"""What a hundred deliveries of one message wait in all, as the record says."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of the messages, and how often the one delivered most often was delivered."""

    stored: int
    dead: int
    parked: int
    deliveries: int


def outage(seconds: float, *, messages: int) -> Ending:
    """One worker that takes a batch at a time, and a store that is away from the start."""
    return run(_outage(seconds, messages))


async def _outage(seconds: float, messages: int) -> Ending:
    tables, random = MemoryTables(*ALL_TABLES), Random(1)
    weather = Weather([(0.0, seconds)])
    worker = delivery(StoreOfOneWorker(tables, random, CALM, weather))
    queue = Queue(random)
    for n in range(messages):
        queue.send(payloads.state_v2(chargerId=f"CH-{n}"))
    deliveries = 0
    while queue.messages:
        taken = queue.receive(BATCH)
        until = min((m.locked_until for m, _ in taken), default=0.0)
        batch = [
            IncomingMessage(body=message.body, delivery_count=message.deliveries)
            for message, _ in taken
        ]
        settle = queue.complete
        try:
            await worker.take(batch, Outlasted())
        except TransientError:
            settle = queue.abandon
        # Azure does not tell the app when a lock ends: the arithmetic keeps within it by itself.
        assert not taken or until - asyncio.get_running_loop().time() > LOCK_SECONDS - 180
        for message, lock in taken:
            deliveries = max(deliveries, message.deliveries)
            settle(message, lock)
    parked = len(tables.rows(PARKED))
    return Ending(len(tables.rows(EVENTS)), len(queue.dead), parked, deliveries)


def test_two_hours_are_bridged_with_deliveries_to_spare() -> None:
    """A store that is away for two hours: dead letters 0, stored = sent, 63 of 100 deliveries."""
    ending = outage(2 * HOUR, messages=BATCH)

    assert (ending.stored, ending.dead, ending.parked) == (BATCH, 0, 0)
    # 150 s in the first four deliveries, 120 s in each of the others.
    assert ending.deliveries == 4 + round((2 * HOUR - 150) / 120 + 0.5)


def test_a_backlog_takes_turns_and_is_bridged_for_longer() -> None:
    """With more messages than a batch holds, each is delivered less often in the same outage."""
    ending = outage(2 * HOUR, messages=2 * BATCH + 2)

    assert (ending.stored, ending.dead, ending.parked) == (2 * BATCH + 2, 0, 0)
    assert ending.deliveries < 63


@pytest.mark.parametrize(
    ("seconds", "lost"), [(BRIDGED_SECONDS - 60, 0), (BRIDGED_SECONDS + 60, BATCH)]
)
def test_the_limit_is_where_the_record_says(seconds: float, lost: int) -> None:
    """A hundred deliveries bridge 11,670 s; a minute longer, and messages are dead letters."""
    ending = outage(seconds, messages=BATCH)

    assert (ending.dead, ending.stored, ending.parked) == (lost, BATCH - lost, 0)
    assert ending.deliveries == MAX_DELIVERIES
