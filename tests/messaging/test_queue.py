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

NAME = "push-events"


@pytest.fixture
async def broker() -> AsyncIterator[ServiceBusBroker]:
    """A broker with one queue."""
    async with await ServiceBusBroker.start([Queue(NAME)]) as broker:
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
