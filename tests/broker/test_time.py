"""Locks, time to live and schedules: the broker's clock is moved, nothing is waited for."""

from __future__ import annotations

from datetime import timedelta

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import MessageLockLostError

from tests.broker.bus import Bus


async def test_an_expired_lock_gives_the_message_back(bus: Bus, queue: str) -> None:
    """After the lock's 30 s the holder cannot settle, and the message comes again, counted."""
    await bus.send(queue, "x")
    message = await bus.receive_one(queue)
    await bus.broker.advance(29)
    assert (await bus.broker.counts(queue)).locked == 1
    await bus.broker.advance(1)
    counts = await bus.broker.counts(queue)
    assert (counts.locked, counts.active) == (0, 1)
    with pytest.raises(MessageLockLostError):
        await bus.receiver(queue).complete_message(message)
    again = await bus.receive_one(queue)
    assert again.delivery_count == 1
    await bus.receiver(queue).complete_message(again)


@pytest.mark.parametrize("settle", ["abandon", "defer", "dead_letter"])
async def test_every_way_of_settling_needs_the_lock(bus: Bus, queue: str, settle: str) -> None:
    """Abandoning, deferring and dead-lettering fail like completing when the lock is lost."""
    await bus.send(queue, "x")
    message = await bus.receive_one(queue)
    await bus.broker.expire_locks(queue)
    with pytest.raises(MessageLockLostError):
        await getattr(bus.receiver(queue), f"{settle}_message")(message)
    assert (await bus.broker.counts(queue)).active == 1


async def test_a_renewed_lock_lasts_longer(bus: Bus, queue: str) -> None:
    """Renewing moves the end of the lock to 30 s from then."""
    receiver = bus.receiver(queue)
    await bus.send(queue, "x")
    message = await bus.receive_one(queue)
    await bus.broker.advance(20)
    until = await receiver.renew_message_lock(message)
    assert abs(until - await bus.now() - timedelta(seconds=30)) < timedelta(seconds=5)
    await bus.broker.advance(20)
    await receiver.complete_message(message)
    assert (await bus.broker.counts(queue)).waiting == 0


async def test_a_lost_lock_cannot_be_renewed(bus: Bus, queue: str) -> None:
    """Renewing after the end raises MessageLockLostError."""
    await bus.send(queue, "x")
    message = await bus.receive_one(queue)
    await bus.broker.advance(31)
    with pytest.raises(MessageLockLostError):
        await bus.receiver(queue).renew_message_lock(message)


async def test_a_lock_that_keeps_expiring_leads_to_the_dead_letter_queue(bus: Bus) -> None:
    """Expired locks count as deliveries: the third one of three dead-letters the message."""
    name = "three-deliveries"
    await bus.send(name, "x")
    for _ in range(3):
        await bus.receive_one(name)
        await bus.broker.advance(30)
    dead = await bus.receive_one(bus.dead_letters(name))
    assert dead.dead_letter_reason == "MaxDeliveryCountExceeded"
    await bus.dead_letters(name).complete_message(dead)


async def test_a_scheduled_message_comes_when_it_is_due(bus: Bus, queue: str) -> None:
    """A scheduled message is not given before its time, and is given then."""
    due = await bus.now() + timedelta(hours=1)
    (number,) = await bus.sender(queue).schedule_messages(ServiceBusMessage("later"), due)
    assert number > 0
    await bus.broker.advance(3590)
    counts = await bus.broker.counts(queue)
    assert (counts.scheduled, counts.active) == (1, 0)
    await bus.broker.advance(20)
    message = await bus.receive_one(queue)
    assert str(message) == "later"
    assert message.scheduled_enqueue_time_utc is not None
    assert abs(message.scheduled_enqueue_time_utc - due) < timedelta(milliseconds=2)
    assert message.enqueued_sequence_number == number


async def test_a_cancelled_message_never_comes(bus: Bus, queue: str) -> None:
    """Cancelling takes the message out; cancelling what is not there fails."""
    sender = bus.sender(queue)
    due = await bus.now() + timedelta(hours=1)
    messages = [ServiceBusMessage("kept"), ServiceBusMessage("cancelled")]
    kept, cancelled = await sender.schedule_messages(messages, due)
    await sender.cancel_scheduled_messages(cancelled)
    with pytest.raises(Exception, match="not found"):
        await sender.cancel_scheduled_messages([kept, cancelled])
    await bus.broker.advance(3601)
    assert str(await bus.receive_one(queue)) == "kept"
    assert (await bus.broker.counts(queue)).active == 0


async def test_an_expired_message_is_dropped(bus: Bus) -> None:
    """Beyond the queue's time to live, or the message's own shorter one, a message is gone."""
    name = "drops-expired"
    await bus.send(name, "short", time_to_live=timedelta(seconds=10))
    await bus.send(name, "long", time_to_live=timedelta(hours=1))
    await bus.broker.advance(11)
    assert (await bus.broker.counts(name)).active == 1
    await bus.broker.advance(50)
    counts = await bus.broker.counts(name)
    assert (counts.active, counts.dead_lettered, counts.totals.expired) == (0, 0, 2)


async def test_an_expired_message_is_dead_lettered_where_the_queue_says_so(bus: Bus) -> None:
    """With dead-lettering on expiry the message is found there, with its reason."""
    name = "keeps-expired"
    await bus.send(name, "x", time_to_live=timedelta(seconds=10))
    await bus.broker.advance(11)
    dead = await bus.receive_one(bus.dead_letters(name))
    assert dead.dead_letter_reason == "TTLExpiredException"
    assert dead.dead_letter_error_description
    await bus.dead_letters(name).complete_message(dead)


async def test_a_locked_message_does_not_expire(bus: Bus) -> None:
    """Time to live does not end while a receiver holds the message."""
    name = "keeps-expired"
    await bus.send(name, "x", time_to_live=timedelta(seconds=10))
    message = await bus.receive_one(name)
    await bus.broker.advance(20)
    await bus.receiver(name).complete_message(message)
    assert (await bus.broker.counts(name)).dead_lettered == 0
