"""eMabler's calls over the network: events by Service Bus, webhook or Kafka, and taps."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Any, Final, Protocol

import httpx
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender
from azure.servicebus.exceptions import ServiceBusError

from local.emabler.fleet.order import Customer, Fallback, Transport
from local.emabler.fleet.story import Tap
from local.emabler.fleet.truth import Answered

# Below the 256 KiB that a queue takes: the SDK's own estimate of a full batch can be some bytes
# short of what it then sends.
_BATCH_BYTES: Final = 192 * 1024
_CALLS_AT_ONCE: Final = 8
_FIRST_PAUSE_SECONDS: Final = 0.25
_LONGEST_PAUSE_SECONDS: Final = 15.0
_JSON: Final = {"Content-Type": "application/json"}


class Sender(Protocol):
    """Sends events."""

    async def send(self, bodies: Sequence[bytes]) -> None:
        """Send them all; try again until they are taken.

        eMabler's own retries are not documented. A fleet whose customer is away waits for it: what
        is lost on purpose is a fault of its own.
        """
        ...


@contextlib.asynccontextmanager
async def open_sender(customer: Customer) -> AsyncGenerator[Sender]:
    """Give the sender that the customer's transport asks for."""
    if customer.transport is Transport.WEBHOOK:
        async with _client(customer) as http:
            yield WebhookSender(http, customer.webhook)
        return
    if customer.transport is Transport.KAFKA:
        # Imported only for who uses it: it takes a while.
        from local.emabler.fleet.kafka import open_kafka_sender  # noqa: PLC0415  # see above

        async with open_kafka_sender(customer) as sender:
            yield sender
        return
    async with (
        ServiceBusClient.from_connection_string(customer.service_bus) as client,
        client.get_queue_sender(customer.queue) as sender,
    ):
        yield ServiceBusQueueSender(sender)


class ServiceBusQueueSender:
    """Sends by Service Bus, in as few batches as the messages fit in."""

    def __init__(self, sender: ServiceBusSender) -> None:
        self._sender = sender

    async def send(self, bodies: Sequence[bytes]) -> None:
        """Send them in their order."""
        left = list(bodies)
        waits = pauses()
        while left:
            try:
                taken = await self._send_batch(left)
            except ServiceBusError:
                await asyncio.sleep(next(waits))
                continue
            left = left[taken:]
            waits = pauses()

    async def _send_batch(self, bodies: Sequence[bytes]) -> int:
        """Send as many as fit in one batch; give their number."""
        batch = await self._sender.create_message_batch(_BATCH_BYTES)
        for body in bodies:
            try:
                batch.add_message(ServiceBusMessage(body, content_type="application/json"))
            except ValueError:  # the batch is full
                break
        await self._sender.send_messages(batch)
        return len(batch)


class WebhookSender:
    """Sends by webhook, some calls side by side: nobody promises an order."""

    def __init__(self, http: httpx.AsyncClient, address: str) -> None:
        self._http = http
        self._address = address
        self._places = asyncio.Semaphore(_CALLS_AT_ONCE)

    async def send(self, bodies: Sequence[bytes]) -> None:
        """Call once for each message, and again until it is acknowledged with 200."""
        async with asyncio.TaskGroup() as calls:
            for body in bodies:
                calls.create_task(self._call(body))

    async def _call(self, body: bytes) -> None:
        async with self._places:
            for pause in pauses():
                with contextlib.suppress(httpx.TransportError):
                    answer = await self._http.post(self._address, content=body, headers=_JSON)
                    if answer.status_code == httpx.codes.OK:
                        return
                await asyncio.sleep(pause)


class Asker:
    """Asks the customer about taps: RealTimeAuth, with eMabler's time-out and fallback."""

    def __init__(self, customer: Customer, http: httpx.AsyncClient) -> None:
        self._customer = customer
        self._http = http
        self._places = asyncio.Semaphore(_CALLS_AT_ONCE)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, customer: Customer) -> AsyncGenerator["Asker"]:
        """Give one with a connection of its own."""
        async with _client(customer) as http:
            yield cls(customer, http)

    async def ask(self, tap: Tap) -> Answered:
        """Ask about one tap."""
        call = {"charger_id": tap.charger.id, "rfid_tag_id": tap.tag.id}
        async with self._places:
            began = time.perf_counter()
            decided: dict[str, Any] | None = None
            # What counts as a failed call is not documented: whatever is no answer as documented.
            with contextlib.suppress(httpx.TransportError, TimeoutError, ValueError):
                async with asyncio.timeout(self._customer.tap_seconds):
                    answer = await self._http.post(self._customer.webhook, json=call)
                decided = answer.json() if answer.status_code == httpx.codes.OK else None
            seconds = time.perf_counter() - began
        allowed = decided.get("charging_allowed") if isinstance(decided, dict) else None
        if decided is None or not isinstance(allowed, bool):
            fallback = self._customer.fallback is Fallback.ALLOW
            return Answered(tap, allowed=fallback, by="fallback", seconds=seconds)
        return Answered(
            tap,
            allowed=allowed,
            by="customer",
            reason=decided.get("reason"),
            seconds=seconds,
        )


def _client(customer: Customer) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        headers={"Authorization": customer.authorization}, timeout=30, trust_env=False
    )


def pauses() -> Iterator[float]:
    """Seconds between tries: longer and longer, up to a limit, for ever."""
    pause = _FIRST_PAUSE_SECONDS
    while True:
        yield pause
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
