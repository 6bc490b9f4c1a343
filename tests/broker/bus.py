"""What the tests of the broker share: Microsoft's Python SDK, used sparingly.

That SDK takes half a second to open a link (it takes one frame every 50 ms) and a second to close
a peek-lock receiver (it drains first). So links are opened and closed side by side, and kept open
in between: one sender and one receiver for each queue and way of receiving.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.servicebus import (
    ServiceBusMessage,
    ServiceBusReceivedMessage,
    ServiceBusReceiveMode,
)
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender

from local.service_bus import ServiceBusBroker

# Long enough for two busy cores; a test that meets it has failed.
PATIENCE = 10.0

type Handler = ServiceBusReceiver | ServiceBusSender


class Bus:
    """The SDK's view of one broker."""

    def __init__(self, broker: ServiceBusBroker) -> None:
        self.broker = broker
        self.client = self.new_client()
        self._open: dict[object, Handler] = {}

    def new_client(self, **options: Any) -> ServiceBusClient:
        """A client of its own; the caller closes it."""
        quick = {"retry_total": 2, "retry_backoff_factor": 0.05, "retry_backoff_max": 0.2}
        return ServiceBusClient.from_connection_string(
            self.broker.connection_string, **(quick | options)
        )

    async def open(self, *queues: str, more: Iterable[Handler] = ()) -> None:
        """Open links side by side.

        Args:
            queues: to each a sender, from it and from its dead letters a receiver.
            more: others of this bus.
        """
        of_queues = [
            handler
            for queue in queues
            for handler in (self.sender(queue), self.receiver(queue), self.dead_letters(queue))
        ]
        await asyncio.gather(*(handler.__aenter__() for handler in (*of_queues, *more)))

    def sender(self, queue: str) -> ServiceBusSender:
        """The sender to a queue."""
        key = (queue, "send")
        if key not in self._open:
            self._open[key] = self.client.get_queue_sender(queue)
        sender = self._open[key]
        assert isinstance(sender, ServiceBusSender)
        return sender

    def receiver(self, queue: str, **options: Any) -> ServiceBusReceiver:
        """The receiver from a queue with these options."""
        key = (queue, *sorted(options.items()))
        if key not in self._open:
            self._open[key] = self.client.get_queue_receiver(queue, **options)
        receiver = self._open[key]
        assert isinstance(receiver, ServiceBusReceiver)
        return receiver

    def dead_letters(self, queue: str) -> ServiceBusReceiver:
        """The receiver from a queue's dead-letter queue."""
        return self.receiver(queue, sub_queue="deadletter")

    def taker(self, queue: str) -> ServiceBusReceiver:
        """The receiver that receives and deletes."""
        return self.receiver(queue, receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE)

    async def send(self, queue: str, *bodies: str | bytes, **options: Any) -> None:
        """Send one message for each body, in one call."""
        messages = [ServiceBusMessage(body, **options) for body in bodies]
        await self.sender(queue).send_messages(messages)

    async def receive(
        self, source: str | ServiceBusReceiver, count: int = 1
    ) -> list[ServiceBusReceivedMessage]:
        """Receive exactly this many messages; fail when they do not come."""
        receiver = self.receiver(source) if isinstance(source, str) else source
        received: list[ServiceBusReceivedMessage] = []
        deadline = time.monotonic() + PATIENCE
        while len(received) < count:
            assert time.monotonic() < deadline, f"{len(received)} of {count} messages came"
            received += await receiver.receive_messages(count - len(received), max_wait_time=5)
        return received

    async def receive_one(self, source: str | ServiceBusReceiver) -> ServiceBusReceivedMessage:
        """Receive one message; fail when none comes."""
        (message,) = await self.receive(source)
        return message

    async def take_away(self, queue: str, count: int) -> list[str]:
        """Receive and delete this many messages; give their bodies."""
        return [str(message) for message in await self.receive(self.taker(queue), count)]

    async def now(self) -> datetime:
        """The broker's time, which other tests may have moved forward."""
        offset = (await self.broker.status())["clockOffsetSeconds"]
        return datetime.now(UTC) + timedelta(seconds=offset)

    async def close(self) -> None:
        """Close everything that is open, side by side."""

        async def close_one(handler: Handler) -> None:
            # A broker that was killed cannot be taken leave of.
            with contextlib.suppress(Exception):
                await handler.close()

        await asyncio.gather(*(close_one(handler) for handler in self._open.values()))
        await self.client.close()


async def until(probe: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until `probe` says yes; fail when it does not in time."""
    deadline = time.monotonic() + PATIENCE
    while not await probe():
        assert time.monotonic() < deadline, f"did not happen in time: {what}"
        await asyncio.sleep(0.02)


def close_forgotten_connections(port: int) -> None:
    """Close what azure-servicebus 7.15 forgets to: the transports of connections that were lost.

    Args:
        port: of the broker that they led to.
    """
    for writer in [found for found in gc.get_objects() if isinstance(found, asyncio.StreamWriter)]:
        peer = writer.get_extra_info("peername")
        if peer is not None and peer[1] == port:
            writer.transport.abort()
