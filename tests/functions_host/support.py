"""What the tests of the Functions host share."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender

from local.functions_host.process import FunctionsHost
from local.processes import until as until_true
from local.service_bus import Counts, ServiceBusBroker

APPS = Path(__file__).resolve().parent / "apps"
WITHIN = 20.0


async def until(what: str, condition: Callable[[], bool], within: float = WITHIN) -> None:
    """Wait for a condition; fails when it does not come true in time."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        await asyncio.sleep(0.02)


async def settled(broker: ServiceBusBroker, queue: str) -> Counts:
    """Wait until a queue has nothing left to give; give its counts."""

    async def counts() -> Counts | None:
        counts = await broker.counts(queue)
        return None if counts.waiting else counts

    return await until_true(counts, within=WITHIN, what=f"{queue} is empty", every=0.02)


async def logged(host: FunctionsHost, text: str, times: int = 1) -> str:
    """Wait until the console shows a text this often; give the console."""
    try:
        await until(f"console shows {text!r}", lambda: host.log_text().count(text) >= times)
    except AssertionError as error:
        raise AssertionError(f"{error}; it shows:\n{host.log_text()}") from None
    return host.log_text()


def copy_app(name: str, folder: Path, files: Mapping[str, str] | None = None) -> Path:
    """A copy of a fixture app, with further files by name."""
    app = folder / name
    shutil.copytree(APPS / name, app, ignore=shutil.ignore_patterns("__pycache__"))
    for file, text in (files or {}).items():
        (app / file).write_text(text, encoding="utf-8")
    return app


class Sender:
    """Sends messages; keeps its links open, since closing one takes the SDK a second."""

    def __init__(self, connection_string: str) -> None:
        self._client = ServiceBusClient.from_connection_string(connection_string)
        self._senders: dict[str, ServiceBusSender] = {}

    async def send(self, queue: str, *messages: ServiceBusMessage | bytes) -> None:
        """Send messages to a queue, all in one batch."""
        if queue not in self._senders:
            self._senders[queue] = self._client.get_queue_sender(queue)
        await self._senders[queue].send_messages(
            [m if isinstance(m, ServiceBusMessage) else ServiceBusMessage(m) for m in messages]
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(sender.close() for sender in self._senders.values()))
        await self._client.close()
