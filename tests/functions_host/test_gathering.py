"""Messages that are gathered before a function is called, by app settings as Azure takes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from local.functions_host.process import FunctionsHost
from local.processes import until
from local.service_bus import ServiceBusBroker
from tests.functions_host.support import Sender, copy_app, logged, settled

QUEUE = "gathered"
SERVICE_BUS = "AzureFunctionsJobHost__extensions__serviceBus__"

Gathering = Callable[[int, str], AbstractAsyncContextManager[FunctionsHost]]


@pytest.fixture
def gathering(broker: ServiceBusBroker, tmp_path: Path) -> Gathering:
    """Starts the app `batches`, its gates open, with so many messages and such a wait."""

    @asynccontextmanager
    async def start(messages: int, wait: str) -> AsyncIterator[FunctionsHost]:
        for function in ("batch", "single"):
            (tmp_path / function).touch()
        settings = {
            "ServiceBus": broker.connection_string,
            "BatchQueue": QUEUE,
            "GATE": str(tmp_path),
            f"{SERVICE_BUS}minMessageBatchSize": str(messages),
            f"{SERVICE_BUS}maxBatchWaitTime": wait,
        }
        app = copy_app("batches", tmp_path)
        async with await FunctionsHost.start(app=app, settings=settings) as host:
            await logged(host, f"It gathers {messages} messages")
            yield host

    return start


async def held(broker: ServiceBusBroker, messages: int) -> None:
    """Wait until the host has so many messages and nothing more waits in the queue."""

    async def all_locked() -> bool:
        counts = await broker.counts(QUEUE)
        return (counts.active, counts.locked) == (0, messages)

    await until(all_locked, within=20, what=f"{messages} messages are held", every=0.02)


async def test_messages_are_gathered_up_to_a_number(
    gathering: Gathering, broker: ServiceBusBroker, sender: Sender
) -> None:
    """Too few are kept back; the one that makes the number brings all of them in one call."""
    async with gathering(3, "00:02:30") as host:
        await sender.send(QUEUE, b"1")
        await held(broker, 1)
        await sender.send(QUEUE, b"2")
        await held(broker, 2)
        assert "batch begins" not in host.log_text()

        await sender.send(QUEUE, b"3")

        await logged(host, "batch begins: 3 deliveries=1")
        await settled(broker, QUEUE)


async def test_messages_are_gathered_for_a_time(
    gathering: Gathering, broker: ServiceBusBroker, sender: Sender
) -> None:
    """Where fewer come, the call has what there is when the time is over."""
    async with gathering(10, "00:00:01") as host:
        await sender.send(QUEUE, b"1", b"2")

        await logged(host, "batch begins: 2 deliveries=1")
        await settled(broker, QUEUE)


async def test_single_messages_are_not_gathered(gathering: Gathering, sender: Sender) -> None:
    """A function of single messages is called for each, whatever the settings say."""
    async with gathering(10, "00:02:30") as host:
        await sender.send("singles", b"1")

        await logged(host, "single ends")
