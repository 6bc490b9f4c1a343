"""Puts messages on the Service Bus queue. The SDK is imported at the first message, never before:

it costs 0.3 s, and the function that uses it answers taps as well; so also in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from shared.errors import MessageTooLargeError, QueueUnavailableError
from shared.imports import ImportedLater
from shared.instants import as_utc
from shared.spans import System, called, stamped

if TYPE_CHECKING:
    from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender

_SDK = ("azure.core.exceptions", "azure.servicebus.aio", "azure.servicebus.exceptions")
SEND_SECONDS = 20.0
"""How long one transfer may take; eMabler waits, and tries again after a 503."""

_PACKET_BYTES = 192 * 1024
"""What one transfer of many holds at most: the SDK's estimate can be some bytes short of what it
sends, so the 256 KB of a link must not be used up."""
LOOK_SECONDS = 4.0
"""How long a look may take."""


class PushQueue(Protocol):
    """Where events that came by webhook go."""

    async def send(self, body: bytes, *, content_type: str | None = None) -> None:
        """Return once the queue has the message.

        Raises:
            QueueUnavailableError: It may or may not have it; sending again does no harm.
        """
        ...


class PacketQueue(Protocol):
    """Where events go that came many at a time."""

    async def send_all(self, bodies: Sequence[bytes]) -> list[bytes]:
        """Return once the queue has them, with those that are larger than it takes.

        Raises:
            QueueUnavailableError: It may have some of them; sending all again does no harm.
        """
        ...


class ServiceBusQueue:
    """The queue through Microsoft's SDK, on one link that is kept open.

    Calls side by side take turns: the SDK's sender is not made for two coroutines, and one that
    closes the link after an error must not take it from another that is sending.
    """

    def __init__(
        self, queue: str, connect: Callable[[], ServiceBusClient], modules: Sequence[str] = ()
    ) -> None:
        """`modules` are what `connect` imports beside the SDK."""
        self._sdk = ImportedLater((*_SDK, *modules))
        self._queue = queue
        self._connect = connect
        self._client: ServiceBusClient | None = None
        self._sender: ServiceBusSender | None = None
        self._turn = asyncio.Lock()
        self._looker: ServiceBusClient | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def send(
        self,
        body: bytes,
        *,
        content_type: str | None = None,
        properties: Mapping[str, str | int | float | bool] | None = None,
    ) -> None:
        """Return once the queue has the message; `properties` are its application properties.

        Raises:
            MessageTooLargeError: It is larger than the queue takes.
        """
        await self._sdk.ready()
        with called(System.QUEUE, self._queue, "send") as span:
            await self._send(body, content_type, stamped(properties or {}, span))

    async def _send(
        self, body: bytes, content_type: str | None, properties: Mapping[str, object]
    ) -> None:
        from azure.servicebus import ServiceBusMessage  # noqa: PLC0415 - see the module's docstring

        told: dict[str | bytes, Any] = dict(properties.items())
        message = ServiceBusMessage(
            body, content_type=content_type, application_properties=told or None
        )
        await self._transfer(lambda sender: sender.send_messages(message), len(body))

    async def send_all(self, bodies: Sequence[bytes]) -> list[bytes]:
        """Return once the queue has them, with those that are larger than it takes.

        They go in their order, many in one transfer, which the queue takes whole or not at all.
        """
        await self._sdk.ready()
        with called(System.QUEUE, self._queue, "send") as span:
            return await self._send_all(bodies, stamped({}, span))

    async def _send_all(
        self, bodies: Sequence[bytes], properties: Mapping[str, object]
    ) -> list[bytes]:
        from azure.servicebus import ServiceBusMessage  # noqa: PLC0415 - see the module's docstring

        told: dict[str | bytes, Any] = dict(properties.items())
        left, too_large = list(bodies), []
        taken = 0

        async def packet(sender: ServiceBusSender) -> None:
            nonlocal taken
            batch = await sender.create_message_batch()
            with suppress(ValueError):  # it is full
                for body in left:
                    if len(batch) and batch.size_in_bytes + len(body) > _PACKET_BYTES:
                        break
                    batch.add_message(ServiceBusMessage(body, application_properties=told or None))
            taken = len(batch)
            if taken:
                await sender.send_messages(batch)

        while left:
            try:
                await self._transfer(packet, len(left[0]))
            except MessageTooLargeError:
                taken = 0
            if not taken:
                # Alone the first one may go; if not, it is the one.
                taken = 1
                try:
                    await self._send(left[0], None, properties)
                except MessageTooLargeError:
                    too_large.append(left[0])
            del left[:taken]
        return too_large

    async def _transfer(
        self, send: Callable[[ServiceBusSender], Awaitable[None]], size: int
    ) -> None:
        from azure.core.exceptions import AzureError  # noqa: PLC0415 - see the module's docstring
        from azure.servicebus.exceptions import MessageSizeExceededError  # noqa: PLC0415

        try:
            async with asyncio.timeout(SEND_SECONDS), self._turn:
                try:
                    await send(self._open())
                except BaseException:  # also cancelled: nobody knows what the link still carries
                    await self._give_back()
                    raise
        except MessageSizeExceededError as error:
            text = f"queue {self._queue}: a message of {size} bytes is larger than it takes"
            raise MessageTooLargeError(text) from error
        except (TimeoutError, AzureError, OSError, ValueError) as error:
            text = f"queue {self._queue}: {type(error).__name__}"
            raise QueueUnavailableError(text) from error

    async def look(self) -> datetime | None:
        """When the first message that lies in the queue was put there; None: it is empty.

        On a link of its own; nothing is taken out. Needs the right to receive.

        Raises:
            QueueUnavailableError: It is away, refuses, or there is no such queue.
        """
        await self._sdk.ready()
        from azure.core.exceptions import AzureError  # noqa: PLC0415 - see the module's docstring

        try:
            async with asyncio.timeout(LOOK_SECONDS):
                # One client for all looks: it holds no link, and each has an identity of its own.
                self._looker = self._looker or self._connect()
                receiver = self._looker.get_queue_receiver(self._queue)
                try:
                    found = await receiver.peek_messages(max_message_count=1)
                finally:
                    # It takes a second, which nobody has to wait for.
                    self._close_soon(receiver)
        except (TimeoutError, AzureError, OSError, ValueError) as error:
            text = f"queue {self._queue}: {type(error).__name__}"
            raise QueueUnavailableError(text) from error
        return as_utc(found[0].enqueued_time_utc) if found else None

    def _close_soon(self, receiver: ServiceBusReceiver) -> None:
        async def close() -> None:
            with suppress(Exception):
                await receiver.close()

        task = asyncio.get_running_loop().create_task(close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _open(self) -> ServiceBusSender:
        if self._sender is None:
            self._client = self._connect()
            self._sender = self._client.get_queue_sender(self._queue)
        return self._sender

    async def close(self) -> None:
        """Give back all links; the next message or look opens another."""
        await self._give_back()
        looker, self._looker = self._looker, None
        if self._closing:
            await asyncio.wait(self._closing)
        if looker is not None:
            await looker.close()

    async def _give_back(self) -> None:
        client, sender, self._client, self._sender = self._client, self._sender, None, None
        # The client knows its senders weakly: it would not close one that is held nowhere else.
        if sender is not None:
            await sender.close()
        if client is not None:
            await client.close()
