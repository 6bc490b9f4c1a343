"""The gateway to the queue, through Microsoft's SDK and the broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from azure.servicebus.aio import ServiceBusClient

from local.service_bus import Queue, ServiceBusBroker
from shared.errors import QueueUnavailableError
from shared.instants import system_clock
from shared.messaging.queue import ServiceBusQueue

NAME, NARROW = "push-events", "narrow"


@pytest.fixture
async def broker() -> AsyncIterator[ServiceBusBroker]:
    """A broker with one queue, and one that takes less."""
    queues = [Queue(NAME), Queue(NARROW, max_message_bytes=1024)]
    async with await ServiceBusBroker.start(queues) as broker:
        yield broker


async def test_calls_side_by_side_are_all_sent(broker: ServiceBusBroker) -> None:
    """Forty calls at once, the first ones of the process, put forty messages onto the queue."""
    queue = ServiceBusQueue(
        NAME, lambda: ServiceBusClient.from_connection_string(broker.connection_string)
    )
    try:
        await asyncio.gather(*(queue.send(b"%d" % number) for number in range(40)))

        assert (await broker.counts(NAME)).active == 40
    finally:
        await queue.close()


async def test_after_an_error_the_next_call_opens_another_link(broker: ServiceBusBroker) -> None:
    """Calls fail while there is no broker to be reached, and go through when there is one."""
    reachable = False

    def connect() -> ServiceBusClient:
        port = broker.amqp_port if reachable else 1
        address = broker.connection_string.replace(str(broker.amqp_port), str(port))
        return ServiceBusClient.from_connection_string(address, retry_total=0)

    queue = ServiceBusQueue(NAME, connect)
    try:
        failed = await asyncio.gather(*(queue.send(b"1") for _ in range(3)), return_exceptions=True)
        reachable = True
        await asyncio.gather(*(queue.send(b"2") for _ in range(3)))

        assert {type(error) for error in failed} == {QueueUnavailableError}
        assert (await broker.counts(NAME)).active == 3
    finally:
        await queue.close()


async def test_a_look_tells_when_the_first_message_was_put_there(broker: ServiceBusBroker) -> None:
    """An empty queue has none; a look takes nothing out, however often."""
    queue = ServiceBusQueue(
        NAME, lambda: ServiceBusClient.from_connection_string(broker.connection_string)
    )
    try:
        assert await queue.look() is None
        before = system_clock()
        await queue.send(b"first")
        await queue.send(b"second")

        first = await queue.look()
        again = await queue.look()

        assert first == again
        assert first is not None
        assert abs(first - before) < timedelta(seconds=10)
        assert (await broker.counts(NAME)).active == 2
    finally:
        await queue.close()


@pytest.mark.parametrize("name", ["gone", NAME])
async def test_a_queue_that_cannot_be_looked_at_is_told(
    broker: ServiceBusBroker, name: str
) -> None:
    """A queue that is not there, and a broker that is not."""
    address = broker.connection_string
    if name == NAME:
        address = address.replace(str(broker.amqp_port), "1")
    queue = ServiceBusQueue(
        name, lambda: ServiceBusClient.from_connection_string(address, retry_total=0)
    )

    with pytest.raises(QueueUnavailableError, match=f"queue {name}: "):
        await queue.look()
    await queue.close()


async def test_many_go_in_as_few_transfers_as_they_fit_in(broker: ServiceBusBroker) -> None:
    """More than one transfer holds, also one that no shared transfer holds: all in their order."""
    queue = ServiceBusQueue(
        NAME, lambda: ServiceBusClient.from_connection_string(broker.connection_string)
    )
    bodies = [b"first", b"x" * 192 * 1024, *(b"%d" % n * 1000 for n in range(300)), b""]
    try:
        assert await queue.send_all(bodies) == []

        assert await received(broker, NAME, len(bodies)) == bodies
    finally:
        await queue.close()


async def test_of_many_those_are_given_back_that_are_too_large(broker: ServiceBusBroker) -> None:
    """The others are on the queue; no message keeps its neighbours from it."""
    queue = ServiceBusQueue(
        NARROW, lambda: ServiceBusClient.from_connection_string(broker.connection_string)
    )
    large = [b"x" * 2000, b"y" * 3000]
    try:
        assert await queue.send_all([b"1", large[0], b"2", large[1], b"3"]) == large

        assert await received(broker, NARROW, 3) == [b"1", b"2", b"3"]
    finally:
        await queue.close()


async def test_many_that_cannot_be_sent_are_an_error(broker: ServiceBusBroker) -> None:
    """Where there is no broker, none is told to be there."""
    address = broker.connection_string.replace(str(broker.amqp_port), "1")
    queue = ServiceBusQueue(
        NAME, lambda: ServiceBusClient.from_connection_string(address, retry_total=0)
    )

    with pytest.raises(QueueUnavailableError):
        await queue.send_all([b"1", b"2"])


async def received(broker: ServiceBusBroker, name: str, count: int) -> list[bytes]:
    """Take messages off a queue; give their bodies."""
    async with (
        ServiceBusClient.from_connection_string(broker.connection_string) as client,
        client.get_queue_receiver(name) as receiver,
    ):
        bodies: list[bytes] = []
        while len(bodies) < count:
            for message in await receiver.receive_messages(count, max_wait_time=10):
                bodies.append(b"".join(message.body))
                await receiver.complete_message(message)
    return bodies
