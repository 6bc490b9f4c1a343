"""What senders of the Python SDK can rely on."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.amqp import AmqpAnnotatedMessage
from azure.servicebus.exceptions import (
    MessageSizeExceededError,
    MessagingEntityNotFoundError,
    ServiceBusError,
    ServiceBusQuotaExceededError,
)

from tests.broker.bus import PATIENCE, Bus


async def test_a_list_of_messages_arrives_complete_and_in_order(bus: Bus, queue: str) -> None:
    """Messages sent together come in their order, numbered upwards, each for the first time."""
    await bus.send(queue, *(f"body {i}" for i in range(250)))
    received = await bus.receive(queue, 250)
    assert [str(message) for message in received] == [f"body {i}" for i in range(250)]
    numbers = [message.sequence_number for message in received]
    assert numbers == sorted(set(numbers), key=lambda number: number or 0)
    assert {message.delivery_count for message in received} == {0}


async def test_a_batch_object_arrives_as_its_messages(bus: Bus, queue: str) -> None:
    """A ServiceBusMessageBatch becomes one message for each that was added."""
    sender = bus.sender(queue)
    batch = await sender.create_message_batch()
    for number in range(5):
        batch.add_message(ServiceBusMessage(f"body {number}"))
    await sender.send_messages(batch)
    assert await bus.take_away(queue, 5) == [f"body {number}" for number in range(5)]


async def test_properties_arrive_with_their_types(bus: Bus, queue: str) -> None:
    """Application properties keep their AMQP types, and the fields of a message their values."""
    properties = {
        "text": "ü",
        "int": -7,
        "large": 2**31 - 1,
        "float": 1.5,
        "bool": True,
        "uuid": uuid4(),
        "when": datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC),
    }
    await bus.send(
        queue,
        '{"a": 1}',
        application_properties=properties,
        message_id="the id",
        correlation_id="other",
        subject="label",
        content_type="application/json",
        reply_to="there",
        partition_key="p",
        time_to_live=timedelta(hours=1),
    )
    message = await bus.receive_one(queue)
    found = {
        key.decode() if isinstance(key, bytes) else key: value
        for key, value in (message.application_properties or {}).items()
    }
    assert found["text"] == "ü".encode()
    assert found["uuid"] == properties["uuid"]
    assert isinstance(found["uuid"], UUID)
    for name in ("int", "large", "float", "bool"):
        assert (found[name], type(found[name])) == (properties[name], type(properties[name]))
    assert message.message_id == "the id"
    assert message.correlation_id == "other"
    assert message.subject == "label"
    assert message.content_type == "application/json"
    assert message.reply_to == "there"
    assert message.partition_key == "p"
    assert message.time_to_live == timedelta(hours=1)


async def test_a_message_tells_when_it_was_enqueued_and_until_when_it_is_locked(
    bus: Bus, queue: str
) -> None:
    """Enqueued and locked-until times are those of the broker's clock and the queue's lock."""
    before = await bus.now()
    await bus.send(queue, "x")
    message = await bus.receive_one(queue)
    assert message.enqueued_time_utc is not None
    assert message.locked_until_utc is not None
    assert abs(message.enqueued_time_utc - before) < timedelta(seconds=PATIENCE)
    lasts = message.locked_until_utc - message.enqueued_time_utc
    assert timedelta(seconds=30) <= lasts < timedelta(seconds=30 + PATIENCE)


async def test_a_message_without_an_id_is_given_one(bus: Bus, queue: str) -> None:
    """Every received message has an id, each its own."""
    await bus.send(queue, "a", "b")
    first, second = await bus.receive(queue, 2)
    assert first.message_id
    assert first.message_id != second.message_id


@pytest.mark.parametrize("size", [0, 1, 60_000, 200_000])
async def test_bodies_of_any_size_arrive_byte_for_byte(bus: Bus, queue: str, size: int) -> None:
    """A body comes back as the bytes that were sent, over one frame or several."""
    body = bytes(number % 251 for number in range(size))
    await bus.send(queue, body)
    message = await bus.receive_one(queue)
    data = message.body
    assert not isinstance(data, str | bytes | dict | list)
    assert b"".join(data) == body


async def test_bodies_that_are_values_or_sequences_arrive_as_such(bus: Bus, queue: str) -> None:
    """AMQP values and sequences are not turned into something else."""
    value = AmqpAnnotatedMessage(value_body={"a": [1, 2, None]})
    sequence = AmqpAnnotatedMessage(sequence_body=[[1, "two"], [3]])
    await bus.sender(queue).send_messages([value, sequence])
    first, second = await bus.receive(queue, 2)
    assert first.raw_amqp_message.body == {b"a": [1, 2, None]}
    assert list(second.raw_amqp_message.body) == [[1, b"two"], [3]]


async def test_a_message_that_is_too_large_is_refused_at_once(bus: Bus) -> None:
    """An oversized message raises MessageSizeExceededError promptly; the sender goes on."""
    sender = bus.sender("small-messages")
    await sender.send_messages(ServiceBusMessage("opens the link"))
    for body in ("x" * 10_001, "x" * 300_000):
        began = time.monotonic()
        with pytest.raises(MessageSizeExceededError, match="exceeds the limit"):
            await asyncio.wait_for(sender.send_messages(ServiceBusMessage(body)), PATIENCE)
        assert time.monotonic() - began < 2
    await sender.send_messages(ServiceBusMessage("still goes on"))
    assert (await bus.broker.counts("small-messages")).totals.enqueued == 2


async def test_a_message_of_the_largest_size_is_taken(bus: Bus) -> None:
    """The limit is on the encoded message, and is what the SDK's batches obey."""
    sender = bus.sender("small-messages")
    before = (await bus.broker.counts("small-messages")).totals.enqueued
    batch = await sender.create_message_batch()
    assert batch.max_size_in_bytes == 10_000
    while batch.size_in_bytes < 9_000:
        batch.add_message(ServiceBusMessage("x" * 500))
    with pytest.raises(MessageSizeExceededError):
        batch.add_message(ServiceBusMessage("x" * 1_000))
    await sender.send_messages(batch)
    counts = await bus.broker.counts("small-messages")
    assert counts.totals.enqueued == before + len(batch)


async def test_an_unknown_queue_is_not_found(bus: Bus) -> None:
    """Sending to and receiving from what is not there raises the SDK's own error."""
    found = await asyncio.gather(
        bus.sender("nowhere").send_messages(ServiceBusMessage("x")),
        bus.receiver("nowhere").receive_messages(max_wait_time=1),
        return_exceptions=True,
    )
    assert [type(error) for error in found] == [MessagingEntityNotFoundError] * 2


async def test_queue_names_may_hold_slashes_and_are_found_in_any_case(bus: Bus) -> None:
    """An entity's path may have parts, and its case does not matter."""
    await bus.send("some/WHERE.else", "x")
    assert await bus.take_away("SOME/where.Else", 1) == ["x"]


async def test_a_full_queue_refuses_messages_until_there_is_room(bus: Bus) -> None:
    """Beyond its size a queue raises ServiceBusQuotaExceededError and keeps what it has."""
    body = "x" * 200_000
    name = "one-megabyte"
    for _ in range(5):
        await bus.send(name, body)
    with pytest.raises(ServiceBusQuotaExceededError):
        await bus.send(name, body)
    assert (await bus.broker.counts(name)).active == 5
    await bus.take_away(name, 1)
    await bus.send(name, body)


async def test_an_unreadable_batch_is_refused_as_a_whole(bus: Bus, queue: str) -> None:
    """Of a batch with one message that is none, nothing is stored, and the sender is told."""
    sender = bus.sender(queue)
    batch = await sender.create_message_batch()
    batch.add_message(ServiceBusMessage("good"))
    batch._message[5].append(b"this is no AMQP message")  # the batch's data sections
    with pytest.raises(ServiceBusError, match="cannot be read"):
        await sender.send_messages(batch)
    assert (await bus.broker.counts(queue)).active == 0
