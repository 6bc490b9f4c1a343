"""The queue's dead letters, through Microsoft's SDK: looked at, or taken out one by one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from shared.errors import QueueUnavailableError
from shared.instants import as_utc

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusReceivedMessage
    from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

_OF_THE_DEAD_LETTER_QUEUE = ("DeadLetterReason", "DeadLetterErrorDescription")
"""Properties that only a dead letter has: they tell of the move, not of the message."""

_WAIT_SECONDS = 5.0
"""How long to wait for one more before there are none: a link needs its moment to be served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One dead letter; `receipt` is what its queue needs to complete it."""

    body: bytes
    reason: str | None
    description: str | None
    delivery_count: int
    message_id: str | None
    enqueued: datetime | None
    properties: Mapping[str, object]
    receipt: object = None


class DeadLetters(Protocol):
    """A queue's dead letters, as long as they are open.

    All calls raise `QueueUnavailableError` when Service Bus is away or refuses.
    """

    async def receive(self, most: int) -> list[DeadLetter]:
        """Lock up to so many; none: there are no more."""
        ...

    async def complete(self, letter: DeadLetter) -> None:
        """Take one out for good."""
        ...

    async def peek(self, most: int, after: int) -> tuple[list[DeadLetter], int]:
        """Look at up to so many beyond a sequence number; and the number to go on after."""
        ...


class ServiceBusDeadLetters:
    """The dead letters of a queue on one link."""

    def __init__(self, queue: str, receiver: ServiceBusReceiver, wait: float) -> None:
        self._queue = queue
        self._receiver = receiver
        self._wait = wait

    async def receive(self, most: int) -> list[DeadLetter]:
        """Lock up to so many; none: there are no more."""
        with _translated(self._queue):
            found = await self._receiver.receive_messages(most, max_wait_time=self._wait)
        return [_letter(message) for message in found]

    async def complete(self, letter: DeadLetter) -> None:
        """Take one out for good."""
        message: Any = letter.receipt
        with _translated(self._queue):
            await self._receiver.complete_message(message)

    async def peek(self, most: int, after: int) -> tuple[list[DeadLetter], int]:
        """Look at up to so many beyond a sequence number; and the number to go on after."""
        with _translated(self._queue):
            found = await self._receiver.peek_messages(most, sequence_number=after + 1)
        last = max((message.sequence_number or 0 for message in found), default=after)
        return [_letter(message) for message in found], last


@asynccontextmanager
async def open_dead_letters(
    queue: str, connect: Callable[[], ServiceBusClient], *, wait: float = _WAIT_SECONDS
) -> AsyncIterator[ServiceBusDeadLetters]:
    """The dead letters of a queue. Needs the right to receive from it.

    After `wait` seconds without one there are none.

    Raises:
        QueueUnavailableError: Service Bus is away, refuses, or knows no such queue.
    """
    with _translated(queue):
        client = connect()
        receiver = client.get_queue_receiver(queue, sub_queue="deadletter")
    try:
        yield ServiceBusDeadLetters(queue, receiver, wait)
    finally:
        with _translated(queue):
            await receiver.close()
            await client.close()


@contextmanager
def _translated(queue: str) -> Iterator[None]:
    from azure.core.exceptions import AzureError  # noqa: PLC0415 - with the SDK, when it is needed

    try:
        yield
    except (AzureError, OSError, ValueError) as error:
        text = f"dead letters of queue {queue}: {type(error).__name__}"
        raise QueueUnavailableError(text) from error


def _letter(message: ServiceBusReceivedMessage) -> DeadLetter:
    return DeadLetter(
        body=_bytes(message),
        reason=message.dead_letter_reason,
        description=message.dead_letter_error_description,
        delivery_count=message.delivery_count or 0,
        message_id=message.message_id,
        enqueued=as_utc(message.enqueued_time_utc),
        properties={
            text: _plain(value)
            for name, value in (message.application_properties or {}).items()
            if (text := _plain_text(name)) not in _OF_THE_DEAD_LETTER_QUEUE
        },
        receipt=message,
    )


def _bytes(message: ServiceBusReceivedMessage) -> bytes:
    """The body as ingestion would be given it: data sections joined, a value as its text.

    A sender can give a message no body, or any AMQP value: neither may hold up the other letters.
    """
    body: object = message.body
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body
    if isinstance(body, Mapping) or not isinstance(body, Iterable) or isinstance(body, str):
        return str(body).encode("utf-8", "surrogatepass")
    return b"".join(part if isinstance(part, bytes) else str(part).encode() for part in body)


def _plain_text(name: object) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def _plain(value: object) -> object:
    """The SDK gives texts as bytes; what JSON does not know becomes its text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
