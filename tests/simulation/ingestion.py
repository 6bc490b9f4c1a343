"""A history of ingestion: events sent, workers that are stopped and replaced, until all is calm."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from shared.errors import RejectedMessageError
from shared.ingestion.deliver import Delivery
from shared.ingestion.ingest import Ingestion
from shared.ingestion.messages import IncomingMessage
from shared.ingestion.weather import Outlasted
from shared.push.decode import decode
from shared.push.digest import digest_of
from shared.sessions.writer import SessionWriter
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.rows import Tables
from shared.storage.tables import ALL_TABLES, EVENTS
from tests import payloads
from tests.simulation.queue import LOCK_SECONDS, Queue, QueuedMessage
from tests.simulation.store import CALM, Faults, StoreOfOneWorker, Weather, WorkerStoppedError
from tests.simulation.virtual_time import run
from tests.stores import whole

EPOCH = datetime(2026, 11, 2, 12, tzinfo=UTC)

CALM_AFTER_SECONDS = 20_000.0
"""From here on nothing goes wrong any more, so that every history ends."""

type Take = Callable[[Delivery, list[IncomingMessage]], Any]


@dataclass(slots=True)
class History:
    """What happened, for a person to read when it ended badly."""

    sent: list[bytes] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.lines.append(f"{asyncio.get_running_loop().time():9.2f} {text}")


@dataclass(frozen=True, slots=True)
class Conditions:
    """What may happen in a history, apart from what its seed decides; the least is the calmest."""

    workers: int = 4
    most_events: int = 100
    faults: Faults = field(default_factory=Faults)
    outages: bool = True
    sleepers: bool = True


EVERYTHING = Conditions()


def clock() -> datetime:
    """Virtual time as an instant."""
    return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())


def delivery(tables: Tables) -> Delivery:
    """The product's own ingestion on a store."""
    sessions = SessionWriter(tables, buckets=2, tag_hash_key=b"k" * 32)
    ingestion = Ingestion(
        tables, MemoryBlobs(*ALL_CONTAINERS), buckets=2, sessions=sessions, clock=clock
    )
    return Delivery(
        ingestion,
        guard=_nothing_against_it,
        longest_wait=120,
        clock=clock,
        elapsed=asyncio.get_running_loop().time,
    )


async def _nothing_against_it() -> None:
    return


async def take_as_the_product_does(taker: Delivery, batch: list[IncomingMessage]) -> None:
    """Ingest a batch; what it raises abandons the batch."""
    await taker.take(batch, Outlasted())


def events(random: Random) -> list[bytes]:
    """Some sessions' events, with what chargers do to them, and some poison."""
    bodies: list[bytes] = []
    for charger in (f"CH-{n}" for n in range(random.randint(1, 3))):
        for transaction in random.sample(["11", "12", "0", "-1"], random.randint(1, 3)):
            bodies += session_events(random, charger, transaction)
        bodies += [
            payloads.state_v2(
                chargerId=charger,
                status=random.choice(["Available", "Charging", "Faulted"]),
                deviceTimeStamp=f"2026-11-02T09:{minute:02d}:00Z",
            )
            for minute in range(random.randint(0, 3))
        ]
        others = (payloads.measurements, payloads.boot_v2)
        bodies += [make(chargerId=charger) for make in others if random.random() < 0.5]
    if random.random() < 0.5:
        bodies.append(b"poison " + str(random.randint(1, 2)).encode())
    return bodies


def session_events(random: Random, charger: str, transaction: str) -> list[bytes]:
    """One session's start and what may come with it: a stop, another stop, another start."""
    common: dict[str, Any] = {"chargerId": charger, "transactionId": transaction}
    chances = (
        (0.8, payloads.full_v2(**common)),
        (0.3, payloads.full_v2(**common, consumptionWh=random.randint(1, 3))),
        (0.2, payloads.start_v2(**common, authorizedIdTag="OTHER")),
        (0.2, payloads.stop_v1(**common)),
    )
    return [payloads.start_v2(**common), *(b for chance, b in chances if random.random() < chance)]


def simulate(
    random: Random,
    conditions: Conditions = EVERYTHING,
    *,
    take: Take = take_as_the_product_does,
    make: Callable[[Tables], Delivery] = delivery,
) -> None:
    """Play one history and hold what it left to what the events say.

    Raises:
        AssertionError: Something was lost, doubled or left otherwise; with the whole history.
    """
    run(_simulate(random, conditions, take, make))


async def _simulate(
    random: Random, conditions: Conditions, take: Take, make: Callable[[Tables], Delivery]
) -> None:
    history = History(events(random)[: conditions.most_events])
    tables = MemoryTables(*ALL_TABLES)
    queue = Queue(random)
    weather = Weather()
    if conditions.outages and random.random() < 0.1:
        start = random.uniform(0, 60)
        lasting = random.choice([30.0] * 14 + [600.0] * 5 + [7200.0])
        weather.outages.append((start, start + lasting))
    sent = [*history.sent, *random.choices(history.sent, k=random.randint(0, 5))]
    random.shuffle(sent)

    async def send() -> None:
        for body in sent:
            queue.send(body)
            if random.random() < 0.3:
                await asyncio.sleep(random.uniform(0, 30))

    day = _Day(conditions, random, history, queue, take, asyncio.create_task(send()))
    stores: list[StoreOfOneWorker] = []

    async def worker(name: str) -> None:
        while not day.over:
            calm = asyncio.get_running_loop().time() > CALM_AFTER_SECONDS
            faults = CALM if calm else conditions.faults
            store = StoreOfOneWorker(tables, random, faults, weather)
            stores.append(store)
            try:
                await day.work(name, make(store))
            except WorkerStoppedError:
                history.note(f"{name} was stopped")
                await asyncio.sleep(random.uniform(0.1, 20))

    await asyncio.gather(
        *(worker(f"worker {n}") for n in range(random.randint(1, conditions.workers)))
    )
    for store in stores:
        await store.close()
    await _check(history, tables, queue, make)


@dataclass(slots=True)
class _Day:
    """What all workers of a history share."""

    conditions: Conditions
    random: Random
    history: History
    queue: Queue
    take: Take
    sending: asyncio.Task[None]

    @property
    def over(self) -> bool:
        return self.sending.done() and not self.queue.messages

    async def work(self, name: str, taker: Delivery) -> None:
        """One worker's life: batches until nothing is left, or until it is stopped."""
        while not self.over:
            taken = self.queue.receive(self.random.randint(1, 8))
            if taken:
                await self._take(name, taker, taken)
            else:
                await asyncio.sleep(5)

    async def _take(
        self, name: str, taker: Delivery, taken: list[tuple[QueuedMessage, int]]
    ) -> None:
        numbers = [message.number for message, _ in taken]
        self.history.note(f"{name} takes {numbers}")
        batch = [
            IncomingMessage(
                body=message.body,
                delivery_count=message.deliveries,
                locked_until=EPOCH + timedelta(seconds=message.locked_until),
            )
            for message, _ in taken
        ]
        if self.conditions.sleepers and self.random.random() < 0.03:
            self.history.note(f"{name} sleeps past its locks")
            await asyncio.sleep(LOCK_SECONDS + 100)
        settle = self.queue.complete
        try:
            await self.take(taker, batch)
        except Exception as error:  # noqa: BLE001 - the host abandons, whatever it was
            self.history.note(f"{name} abandons {numbers}: {error!r}")
            settle = self.queue.abandon
        else:
            self.history.note(f"{name} completes {numbers}")
        for message, lock in taken:
            settle(message, lock)


async def _check(
    history: History, tables: MemoryTables, queue: Queue, make: Callable[[Tables], Delivery]
) -> None:
    calm = MemoryTables(*ALL_TABLES)
    await make(calm).take(
        [IncomingMessage(body=b) for b in dict.fromkeys(history.sent)], Outlasted()
    )
    story = "\n".join([*history.lines, *map(repr, history.sent)])
    assert not queue.dead, f"dead letters: {queue.dead}\n{story}"
    for table in ALL_TABLES:
        left, right = (whole(table, each.rows(table)) for each in (tables, calm))
        assert left == right, f"{table} differs:\n{_difference(left, right)}\n{story}"
    journaled = {row.columns["digest"] for row in tables.rows(EVENTS)}
    assert journaled == digests(history.sent), story


def digests(sent: list[bytes]) -> set[str]:
    """What the journal must hold, told by the messages alone and not by another ingestion."""
    found = set()
    for body in sent:
        with suppress(RejectedMessageError):
            found.add(digest_of(decode(body)))
    return found


def _difference(left: list[Any], right: list[Any]) -> str:
    texts = [
        {json.dumps(row, default=repr, sort_keys=True) for row in rows} for rows in (left, right)
    ]
    extra, lacking = texts[0] - texts[1], texts[1] - texts[0]
    return "\n".join(
        [*(f"+ {row}" for row in sorted(extra)), *(f"- {row}" for row in sorted(lacking))]
    )
