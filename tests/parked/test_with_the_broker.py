"""Parked messages and dead letters through the broker, with Microsoft's own SDK."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.amqp import AmqpAnnotatedMessage

from local.service_bus import Queue, ServiceBusBroker
from shared.errors import QueueUnavailableError, StoreUnavailableError
from shared.ingestion.messages import IncomingMessage
from shared.instants import as_utc
from shared.messaging.dead_letters import DeadLetter, DeadLetters, open_dead_letters
from shared.messaging.queue import ServiceBusQueue
from shared.parked.collecting import collect, count
from shared.parked.records import DEAD_LETTERED, ParkedState, properties_of, state_of
from shared.parked.replaying import FIRST_ENQUEUED, Outcome, first_enqueued, replay
from shared.storage.tables import EVENTS, PARKED
from tests import payloads
from tests.parked.support import HAND, NOW, Store, new_release

POISON = payloads.start_v2(socketId="left")


@pytest.fixture(scope="module")
async def broker() -> AsyncIterator[ServiceBusBroker]:
    node = os.environ.get("NODE", "node")
    queues = [Queue("push", max_deliveries=2), Queue("small", max_message_bytes=5_000)]
    async with await ServiceBusBroker.start(queues, node=node) as broker:
        yield broker


@dataclass
class Bus:
    """One queue through the SDK."""

    client: ServiceBusClient
    queue: ServiceBusQueue
    broker: ServiceBusBroker
    store: Store = field(default_factory=Store)

    def connect(self) -> ServiceBusClient:
        return ServiceBusClient.from_connection_string(self.broker.connection_string, retry_total=1)

    async def take_all(self) -> dict[str, int]:
        """Ingest what the queue holds, as the function does."""
        parked: dict[str, int] = {}
        receiver = self.client.get_queue_receiver("push")
        async with receiver:
            while batch := await receiver.receive_messages(50, max_wait_time=1):
                messages = [
                    IncomingMessage(
                        body=b"".join(message.body),
                        enqueued=as_utc(message.enqueued_time_utc),
                        first_enqueued=first_enqueued(properties),
                        properties=properties,
                    )
                    for message in batch
                    for properties in [_texts(message.application_properties)]
                ]
                parked |= (await self.store.ingestion.ingest(messages)).parked
                for message in batch:
                    await receiver.complete_message(message)
        return parked

    async def dead_letter(self, *bodies: bytes) -> None:
        """Send messages and let each be delivered as often as it may."""
        properties: dict[str | bytes, Any] = {"type": "x", "n": 7}
        await self.dead_letter_all(
            *(ServiceBusMessage(body, application_properties=properties) for body in bodies)
        )

    async def dead_letter_all(self, *bodies: ServiceBusMessage | AmqpAnnotatedMessage) -> None:
        async with self.client.get_queue_sender("push") as sender:
            for body in bodies:
                await sender.send_messages(body)
        async with self.client.get_queue_receiver("push") as receiver:
            for _ in range(2):
                left = len(bodies)
                while left:
                    batch = await receiver.receive_messages(left, max_wait_time=5)
                    assert batch
                    for message in batch:
                        await receiver.abandon_message(message)
                    left -= len(batch)

    async def collected(self) -> dict[str, int]:
        async with open_dead_letters("push", self.connect, wait=1.5) as letters:
            return await self._collect(letters)

    async def _collect(self, letters: DeadLetters) -> dict[str, int]:
        return dict(
            await collect(
                self.store.tables,
                self.store.blobs,
                letters,
                clock=lambda: NOW,
                declared_type=lambda told: str(told.get("type")),
            )
        )

    async def replay_all(self, *, again: bool = False) -> list[Outcome]:
        states = {ParkedState.PARKED} | ({ParkedState.REPLAYED} if again else set())
        return [
            await replay(self.store.tables, self.queue, message, HAND)
            for message in await self.store.parked(states=states)
        ]


def _texts(properties: object) -> dict[str, object]:
    assert isinstance(properties, dict | None)
    return {
        name.decode(): value.decode() if isinstance(value, bytes) else value
        for name, value in (properties or {}).items()
    }


@pytest.fixture
async def bus(broker: ServiceBusBroker) -> AsyncIterator[Bus]:
    for name in ("push", "small"):
        await broker.purge(name)
    client = ServiceBusClient.from_connection_string(broker.connection_string)
    queue = ServiceBusQueue(
        "push", lambda: ServiceBusClient.from_connection_string(broker.connection_string)
    )
    yield Bus(client, queue, broker)
    await queue.close()
    await client.close()


async def test_poison_comes_back_through_the_queue(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parked by one release, replayed as often as wanted, stored once by the next."""
    await bus.store.take(POISON)
    assert await bus.replay_all() == [Outcome.REPLAYED]
    assert await bus.take_all() == {"bad_field": 1}
    assert bus.store.row().columns["times_parked"] == 2

    new_release(monkeypatch)
    for again in (False, True, True):
        assert await bus.replay_all(again=again) == [Outcome.REPLAYED]
        assert await bus.take_all() == {}

    (event,) = bus.store.tables.rows(EVENTS)
    assert event.columns["enqueued"] == "2026-11-02T10:00:00.000000Z"
    assert state_of(bus.store.row()) is ParkedState.REPLAYED
    assert bus.store.row().columns["replays"] == 4


async def test_dead_letters_are_parked_and_replayed(bus: Bus) -> None:
    """With reason, description, count and properties; taken out; stored once by a replay."""
    await bus.dead_letter(payloads.state_v2(), payloads.start_v2())
    async with open_dead_letters("push", bus.connect) as letters:
        assert (await count(letters)).total() == 2

    assert await bus.collected() == {"MaxDeliveryCountExceeded": 2}
    assert await bus.collected() == {}

    rows = bus.store.tables.rows(PARKED)
    assert {row.columns["reason"] for row in rows} == {DEAD_LETTERED}
    assert all(str(r.columns["detail"]).startswith("MaxDeliveryCountExceeded: ") for r in rows)
    assert all(int(str(row.columns["delivery_count"])) >= 2 for row in rows)
    assert all(properties_of(row) == {"type": "x", "n": 7} for row in rows)
    assert all(row.columns["declared_type"] == "x" for row in rows)
    for again in (False, True):
        await bus.replay_all(again=again)
        assert await bus.take_all() == {}
    assert len(bus.store.tables.rows(EVENTS)) == 2
    assert (await bus.broker.counts("push")).dead_lettered == 0


async def test_a_letter_with_an_odd_body_holds_up_no_other(bus: Bus) -> None:
    """Without a body, or with a value in place of bytes, it is parked as its text."""
    values: list[Any] = [None, 7, "text", {"a": 1}, ["a", b"b", 2]]
    await bus.dead_letter_all(
        *(AmqpAnnotatedMessage(value_body=v, application_properties={"n": 7}) for v in values),
        AmqpAnnotatedMessage(data_body=[b"one ", b"two"]),
    )

    assert await bus.collected() == {"MaxDeliveryCountExceeded": 6}

    bodies = {message.body for message in await bus.store.parked()}
    assert bodies >= {b"", b"7", b"text", b"one two"}
    assert len(bodies) == 6
    assert (await bus.broker.counts("push")).dead_lettered == 0


async def test_a_letter_is_taken_out_only_after_it_is_written(bus: Bus) -> None:
    """Stopped before or after the row is written, the letter is still in the queue."""
    await bus.dead_letter(payloads.state_v2())
    calm = bus.store.tables.pause

    async def away(table: str, moment: str) -> None:
        if (table, moment) == (PARKED, "before_write"):
            raise StoreUnavailableError("away")

    bus.store.tables.pause = away
    with pytest.raises(StoreUnavailableError):
        await bus.collected()
    assert (await bus.broker.counts("push")).dead_lettered == 1
    bus.store.tables.pause = calm
    await bus.broker.expire_locks("push/$DeadLetterQueue")

    async with open_dead_letters("push", bus.connect) as letters:
        with pytest.raises(QueueUnavailableError):
            await bus._collect(_StopsBeforeCompleting(letters))
    before = bus.store.row()
    await bus.broker.expire_locks("push/$DeadLetterQueue")
    assert await bus.collected() == {"MaxDeliveryCountExceeded": 1}
    assert bus.store.row() == before


class _StopsBeforeCompleting:
    def __init__(self, letters: DeadLetters) -> None:
        self._letters = letters

    async def receive(self, most: int) -> list[DeadLetter]:
        return await self._letters.receive(most)

    async def complete(self, letter: DeadLetter) -> None:
        raise QueueUnavailableError(f"stopped before {letter.message_id} was completed")

    async def peek(self, most: int, after: int) -> tuple[list[DeadLetter], int]:
        return await self._letters.peek(most, after)


async def test_a_first_time_survives_a_dead_letter(bus: Bus) -> None:
    """A replayed message that is dead-lettered again keeps the time of its first enqueueing."""
    await bus.store.take(POISON)
    await bus.replay_all()
    async with bus.client.get_queue_receiver("push") as receiver:
        (message,) = await receiver.receive_messages(1, max_wait_time=5)
        await receiver.dead_letter_message(message, reason="by hand", error_description="a test")

    assert await bus.collected() == {"by hand": 1}

    row = bus.store.row()
    assert (row.columns["reason"], row.columns["detail"]) == (DEAD_LETTERED, "by hand: a test")
    assert row.columns["enqueued"] == "2026-11-02T10:00:00.000000Z"
    assert FIRST_ENQUEUED in properties_of(row)
    assert row.columns["times_parked"] == 2


async def test_a_message_larger_than_the_queue_takes_is_told(bus: Bus) -> None:
    """It is no weather: the row says so and the next message goes on."""
    small = ServiceBusQueue("small", bus.connect)
    await bus.store.take(b"x" * 6_000)
    (message,) = await bus.store.parked()

    assert await replay(bus.store.tables, small, message, HAND) is Outcome.TOO_LARGE
    assert state_of(bus.store.row()) is ParkedState.PARKED
    await small.close()


async def test_a_queue_that_is_not_there_is_told() -> None:
    """No broker: one error that names the queue, none of the SDK's."""

    def nobody() -> ServiceBusClient:
        return ServiceBusClient.from_connection_string(
            "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=n;SharedAccessKey=k;"
            "UseDevelopmentEmulator=true;",
            retry_total=0,
        )

    with pytest.raises(QueueUnavailableError, match="dead letters of queue push"):
        async with open_dead_letters("push", nobody) as letters:
            await letters.receive(1)
