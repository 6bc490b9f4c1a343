"""What receivers of the Python SDK can rely on: settling, deferring, peeking, sharing."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from azure.servicebus import ServiceBusMessageState, ServiceBusReceivedMessage
from azure.servicebus.exceptions import MessageLockLostError, MessageNotFoundError

from tests.broker.bus import Bus


def application_property(message: ServiceBusReceivedMessage, name: str) -> object:
    """A text among the application properties, which the SDK gives as bytes."""
    value = (message.application_properties or {}).get(name.encode())
    return value.decode() if isinstance(value, bytes) else value


async def test_a_completed_message_is_gone(bus: Bus, queue: str) -> None:
    """Completing removes the message, and only that one."""
    await bus.send(queue, "done", "kept")
    done, kept = await bus.receive(queue, 2)
    before = await bus.broker.counts(queue)
    await bus.receiver(queue).complete_message(done)
    after = await bus.broker.counts(queue)
    assert (before.locked, after.locked, after.active) == (2, 1, 0)
    assert after.totals.completed == before.totals.completed + 1
    await bus.receiver(queue).complete_message(kept)


async def test_a_message_cannot_be_settled_twice(bus: Bus, queue: str) -> None:
    """A second holder's message is not touched by the lock of the first one."""
    receiver = bus.receiver(queue)
    await bus.send(queue, "x")
    first = await bus.receive_one(queue)
    await bus.broker.expire_locks(queue)
    second = await bus.receive_one(queue)
    with pytest.raises(MessageLockLostError):
        await receiver.complete_message(first)
    assert (await bus.broker.counts(queue)).locked == 1
    await receiver.complete_message(second)
    assert (await bus.broker.counts(queue)).waiting == 0


async def test_receive_and_delete_takes_messages_away(bus: Bus, queue: str) -> None:
    """Messages received in this mode are gone without being settled."""
    await bus.send(queue, *"abc")
    assert await bus.take_away(queue, 3) == ["a", "b", "c"]
    assert (await bus.broker.counts(queue)).waiting == 0


async def test_an_abandoned_message_comes_again_and_counts(bus: Bus, queue: str) -> None:
    """An abandoned message keeps its place and number; its delivery count rises."""
    await bus.send(queue, "first", "second")
    message = await bus.receive_one(queue)
    await bus.receiver(queue).abandon_message(message)
    again, other = await bus.receive(queue, 2)
    assert [str(again), str(other)] == ["first", "second"]
    assert (again.sequence_number, again.delivery_count) == (message.sequence_number, 1)
    assert other.delivery_count == 0


async def test_the_last_delivery_leads_to_the_dead_letter_queue(bus: Bus) -> None:
    """After as many deliveries as the queue allows, a message is dead-lettered with the reason."""
    name = "three-deliveries"
    await bus.send(name, "x")
    counts = []
    for _ in range(3):
        message = await bus.receive_one(name)
        counts.append(message.delivery_count)
        await bus.receiver(name).abandon_message(message)
    assert counts == [0, 1, 2]
    dead = await bus.receive_one(bus.dead_letters(name))
    assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"
    assert dead.dead_letter_source == name
    await bus.dead_letters(name).complete_message(dead)
    assert (await bus.broker.counts(name)).dead_lettered == 0


async def test_a_dead_lettered_message_keeps_its_reason(bus: Bus, queue: str) -> None:
    """Reason and description are properties of the dead letter, which comes from its own queue."""
    await bus.send(queue, "bad", application_properties={"mine": "stays"})
    message = await bus.receive_one(queue)
    await bus.receiver(queue).dead_letter_message(
        message, reason="poison", error_description="not readable"
    )
    assert (await bus.broker.counts(queue)).dead_lettered == 1
    dead = await bus.receive_one(bus.dead_letters(queue))
    assert str(dead) == "bad"
    assert dead.dead_letter_reason == "poison"
    assert dead.dead_letter_error_description == "not readable"
    assert application_property(dead, "mine") == "stays"
    assert dead.enqueued_sequence_number == message.sequence_number
    await bus.dead_letters(queue).complete_message(dead)
    assert (await bus.broker.counts(queue)).dead_lettered == 0


async def test_an_abandoned_dead_letter_stays_one(bus: Bus, queue: str) -> None:
    """Dead letters can be delivered any number of times."""
    await bus.send(queue, "bad")
    await bus.receiver(queue).dead_letter_message(await bus.receive_one(queue))
    for _ in range(12):
        dead = await bus.receive_one(bus.dead_letters(queue))
        await bus.dead_letters(queue).abandon_message(dead)
    assert (await bus.broker.counts(queue)).dead_lettered == 1


async def test_a_deferred_message_is_had_by_its_number_only(bus: Bus, queue: str) -> None:
    """Deferring takes a message out of the order; by its number it can be had and completed."""
    receiver = bus.receiver(queue)
    await bus.send(queue, "later", "now")
    later = await bus.receive_one(queue)
    number = later.sequence_number
    assert number is not None
    await receiver.defer_message(later)
    assert str(await bus.receive_one(queue)) == "now"
    (deferred,) = await receiver.receive_deferred_messages(number)
    assert (str(deferred), deferred.state) == ("later", ServiceBusMessageState.DEFERRED)
    await receiver.complete_message(deferred)
    with pytest.raises(MessageNotFoundError):
        await receiver.receive_deferred_messages(number)


async def test_a_deferred_message_can_be_dead_lettered_and_abandoned(bus: Bus, queue: str) -> None:
    """Settling a deferred message goes by management, with the same results."""
    receiver = bus.receiver(queue)
    await bus.send(queue, "x")
    message = await bus.receive_one(queue)
    number = message.sequence_number
    assert number is not None
    await receiver.defer_message(message)
    (deferred,) = await receiver.receive_deferred_messages(number)
    await receiver.abandon_message(deferred)
    assert (await bus.broker.counts(queue)).deferred == 1
    (deferred,) = await receiver.receive_deferred_messages([number])
    await receiver.dead_letter_message(deferred, reason="by number")
    dead = await bus.receive_one(bus.dead_letters(queue))
    assert dead.dead_letter_reason == "by number"


async def test_peeking_shows_messages_in_every_state_and_locks_none(bus: Bus, queue: str) -> None:
    """Active, locked, deferred and scheduled messages are seen, from a number on, in order."""
    receiver = bus.receiver(queue)
    await bus.send(queue, "deferred", "locked", "active")
    deferred, _locked = await bus.receive(queue, 2)
    await receiver.defer_message(deferred)
    due = await bus.now() + timedelta(hours=1)
    await bus.send(queue, "scheduled", scheduled_enqueue_time_utc=due)
    first = deferred.sequence_number
    assert first is not None
    peeked = await receiver.peek_messages(10, sequence_number=first)
    assert [str(message) for message in peeked] == ["deferred", "locked", "active", "scheduled"]
    states = [message.state.name for message in peeked]
    assert states == ["DEFERRED", "ACTIVE", "ACTIVE", "SCHEDULED"]
    some = await receiver.peek_messages(2, sequence_number=first + 1)
    assert [str(message) for message in some] == ["locked", "active"]
    assert (await bus.broker.counts(queue)).locked == 1
    assert await receiver.peek_messages(10, sequence_number=first + 10) == []


async def test_competing_receivers_share_the_messages(bus: Bus) -> None:
    """Two receivers on one queue get each message once between them, and both get some."""
    receivers = [bus.receiver("shared", max_wait_time=wait) for wait in (5, 6)]
    await asyncio.gather(*(receiver.__aenter__() for receiver in receivers))
    async with asyncio.TaskGroup() as group:
        pending = [group.create_task(bus.receive(receiver, 20)) for receiver in receivers]
        group.create_task(bus.send("shared", *(str(number) for number in range(40))))
    shares = [[str(message) for message in task.result()] for task in pending]
    assert all(shares)
    assert sorted(shares[0] + shares[1]) == sorted(str(number) for number in range(40))


async def test_a_prefetching_receiver_gets_everything(bus: Bus) -> None:
    """A receiver with a prefetch of 50 gets 300 messages, each once, in their order."""
    name = "prefetched"
    await bus.send(name, *(str(number) for number in range(300)))
    receiver = bus.receiver(name, prefetch_count=50)
    found: list[str] = []
    while len(found) < 300:
        messages = await receiver.receive_messages(50, max_wait_time=5)
        assert messages
        found += [str(message) for message in messages]
        for message in messages:
            await receiver.complete_message(message)
    assert found == [str(number) for number in range(300)]
    assert (await bus.broker.counts(name)).waiting == 0


async def test_what_a_receiver_has_locked_stays_locked_when_it_leaves(bus: Bus, queue: str) -> None:
    """A closed receiver's messages come back when their locks expire, and then count."""
    await bus.send(queue, "x")
    async with bus.new_client() as client, client.get_queue_receiver(queue) as receiver:
        (message,) = await receiver.receive_messages(1, max_wait_time=5)
        assert message.delivery_count == 0
    assert (await bus.broker.counts(queue)).locked == 1
    await bus.broker.advance(31)
    assert (await bus.receive_one(queue)).delivery_count == 1


async def test_a_waiting_receiver_gets_a_message_when_it_is_sent(bus: Bus, queue: str) -> None:
    """A receiver that waits on an empty queue is handed what is sent meanwhile."""
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(bus.receive_one(queue))
        # The send takes several turns of the loop, in which the receiver has long asked.
        group.create_task(bus.send(queue, "here"))
    assert str(waiting.result()) == "here"
