"""The app on Microsoft's runtime, while its store is away, busy or half-doing what it is told."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables.aio import TableServiceClient
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from local.azurite import Azurite
from local.fault_proxy.proxy import FaultProxy
from local.functions_host.process import FunctionsHost
from local.processes import until
from local.service_bus import Queue, ServiceBusBroker
from shared.storage.azure import AzureTables
from shared.storage.stamp import create_store
from shared.storage.tables import EVENTS, PARKED, SESSIONS
from tests import payloads

CHECKOUT = Path(__file__).resolve().parents[2]
QUEUE = "push-events"
SENT = [
    body
    for n in range(40)
    for body in (
        payloads.state_v2(chargerId=f"CH-{n}"),
        payloads.start_v2(chargerId=f"CH-{n}"),
        payloads.full_v2(chargerId=f"CH-{n}"),
    )
]
OUTAGE_SECONDS = 6.0
"""Two hours at the scale of these tests: a delivery waits 0.1 s where it would wait 120 s."""


class Bench:
    """The app, its queue, and its store behind the fault proxy."""

    def __init__(self, proxy: FaultProxy, broker: ServiceBusBroker, host: FunctionsHost) -> None:
        self.proxy = proxy
        self.broker = broker
        self.host = host

    async def send(self, bodies: list[bytes]) -> None:
        async with (
            ServiceBusClient.from_connection_string(self.broker.connection_string) as client,
            client.get_queue_sender(QUEUE) as sender,
        ):
            await sender.send_messages([ServiceBusMessage(body) for body in bodies])

    async def drained(self) -> None:
        async def empty() -> bool:
            counts = await self.broker.counts(QUEUE)
            return not counts.active and not counts.locked

        await until(empty, within=90, what="the queue to be empty")

    async def dead(self) -> int:
        return (await self.broker.counts(QUEUE)).dead_lettered

    def invocations(self) -> list[dict[str, Any]]:
        lines = re.findall(r'\{"event":"invocation".*\}', self.host.log_text())
        return [json.loads(line) for line in lines]


@asynccontextmanager
async def bench(folder: Path) -> AsyncIterator[tuple[Bench, AzureTables]]:
    async with (
        await Azurite.start(folder / "azurite") as azurite,
        await FaultProxy.start(azurite) as proxy,
        await ServiceBusBroker.start(
            queues=[Queue(QUEUE, lock_seconds=300, max_deliveries=100)]
        ) as broker,
    ):
        tables = AzureTables(TableServiceClient.from_connection_string(azurite.connection_string))
        await create_store(tables, environment="test", buckets=4)
        settings = {
            "AzureWebJobsStorage": azurite.connection_string,
            "DataStorageConnection": proxy.connection_string,
            "ServiceBusConnection": broker.connection_string,
            "PUSH_QUEUE_NAME": QUEUE,
            "TAG_HASH_KEY": "k" * 40,
            "EMABLER_ENVIRONMENT": "test",
            "RECONCILE_SCHEDULE": "0 0 0 1 1 *",
            "INGEST_LONGEST_WAIT_SECONDS": "0.1",
        }
        async with await FunctionsHost.start(app=CHECKOUT, settings=settings, quiet=True) as host:
            yield Bench(proxy, broker, host), tables
        await tables.close()


async def stored(tables: AzureTables) -> tuple[int, int, set[str]]:
    """Events, parked messages, and the states of all sessions."""
    events = [row async for row in tables.scan(EVENTS)]
    parked = [row async for row in tables.scan(PARKED)]
    states = {
        str(row.columns["state"]) async for row in tables.scan(SESSIONS) if row.key.endswith("|!")
    }
    return len(events), len(parked), states


@pytest.mark.parametrize(
    "rule",
    [
        f"absent service=table nth=1 seconds={OUTAGE_SECONDS}",
        "busy service=table rate=0.3 count=60",
        "error_after_write service=table kind=write rate=0.3 count=40",
        "reset_after service=table kind=write rate=0.3 count=40",
    ],
    ids=["away for two hours", "busy", "done but not answered", "reset after the write"],
)
async def test_no_good_message_is_lost_or_dead_while_the_store_fails(
    rule: str, tmp_path: Path
) -> None:
    """Whatever the store does for a while: stored = sent, nothing parked, no dead letters."""
    async with bench(tmp_path) as (app, tables):
        app.proxy.add(rule)
        await app.send(SENT)
        await app.drained()

        assert await app.dead() == 0
        assert await stored(tables) == (len(SENT), 0, {"ended"})
        assert app.proxy.decisions(), "the store never failed: nothing was tried"


async def test_a_poisoned_batch_in_bad_weather_parks_the_poison_alone(tmp_path: Path) -> None:
    """Poison is parked, the rest is stored, while the store is busy all along."""
    async with bench(tmp_path) as (app, tables):
        app.proxy.add("busy service=table rate=0.2 count=40")
        await app.send([*SENT[:30], b"not json", b"{}"])
        await app.drained()

        assert await app.dead() == 0
        assert await stored(tables) == (30, 2, {"ended"})
