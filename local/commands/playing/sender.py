"""eMabler's side of the Push API: messages onto the queue, calls of the webhook, taps."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from local.errors import LocalError
from local.stack import LocalAzure

WEBHOOK = "/api/emabler/push"
OK = 200
# Below the 256 KiB that the queue takes: the SDK's own estimate of a full batch can be some bytes
# short of what it then sends.
BATCH_BYTES = 192 * 1024


@dataclass(frozen=True)
class TapAnswer:
    """What a tap was answered: the status, the JSON body, and the seconds it took."""

    status: int
    body: dict[str, Any]
    seconds: float


class Sender:
    """Sends to one stack, with Microsoft's SDK and plain HTTP."""

    def __init__(self, azure: LocalAzure) -> None:
        self._azure = azure
        self._http = httpx.AsyncClient(
            base_url=azure.host.url,
            headers={"Authorization": azure.settings["WEBHOOK_AUTHORIZATION"]},
            timeout=30,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def to_queue(self, bodies: Iterable[bytes]) -> int:
        """Send messages to the queue, in as few batches as they fit in; give their number."""
        count = 0
        name = self._azure.settings["PUSH_QUEUE_NAME"]
        connection = self._azure.settings["ServiceBusConnection"]
        async with (
            ServiceBusClient.from_connection_string(connection) as client,
            client.get_queue_sender(name) as sender,
        ):
            batch = await sender.create_message_batch(BATCH_BYTES)
            for body in bodies:
                message = ServiceBusMessage(body, content_type="application/json")
                count += 1
                try:
                    batch.add_message(message)
                except ValueError:  # the batch is full
                    await sender.send_messages(batch)
                    batch = await sender.create_message_batch(BATCH_BYTES)
                    batch.add_message(message)
            if len(batch):
                await sender.send_messages(batch)
        return count

    async def to_webhook(self, bodies: Sequence[bytes]) -> int:
        """Call the webhook once for each message; give their number.

        Raises:
            LocalError: `command_failed`, one was not acknowledged with 200.
        """
        for body in bodies:
            answer = await self._http.post(
                WEBHOOK, content=body, headers={"Content-Type": "application/json"}
            )
            if answer.status_code != OK:
                raise LocalError(
                    "command_failed",
                    f"the webhook answered {answer.status_code} to a push message",
                    f"read the host's log in {self._azure.logs}",
                )
        return len(bodies)

    async def check(self) -> int:
        """Do what eMabler does when a webhook is configured: GET; give the status."""
        return (await self._http.get(WEBHOOK)).status_code

    async def call_without_authorization(self) -> int:
        """Call the webhook as a stranger; give the status."""
        answer = await self._http.post(WEBHOOK, content=b"{}", headers={"Authorization": ""})
        return answer.status_code

    async def tap(self, charger: str, tag: str) -> TapAnswer:
        """Ask for the authorization of a tag at a charger."""
        began = time.perf_counter()
        answer = await self._http.post(WEBHOOK, json={"charger_id": charger, "rfid_tag_id": tag})
        seconds = time.perf_counter() - began
        try:
            body = answer.json()
        except ValueError:
            body = {}
        return TapAnswer(answer.status_code, body, seconds)
