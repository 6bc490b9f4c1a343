"""The app on Microsoft's runtime, while its store is away, busy or half-doing what it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from azure.data.tables.aio import TableServiceClient
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from local.azurite import Azurite
from local.fault_proxy.proxy import FaultProxy
from local.functions_host.process import FunctionsHost
from local.processes import until
from local.service_bus import Queue, ServiceBusBroker
from shared.sessions.summary import is_summary
from shared.storage.azure import AzureTables
from shared.storage.rows import Row
from shared.storage.stamp import create_store
from shared.storage.tables import EVENTS, PARKED, SESSIONS
from tests import payloads

CHECKOUT = Path(__file__).resolve().parents[2]
QUEUE = "push-events"
OUTAGE_SECONDS = 6.0
"""Two hours at the scale of these tests: a delivery waits 0.1 s where it would wait 120 s."""


def day_of(fleet: str) -> list[bytes]:
    """A state, a start and a stop of each of forty chargers."""
    chargers = [f"{fleet}-{n}" for n in range(40)]
    shapes = (payloads.state_v2, payloads.start_v2, payloads.full_v2)
    return [make(chargerId=charger) for charger in chargers for make in shapes]


@dataclass(frozen=True, slots=True)
class App:
    """The app, its queue, and its store behind the fault proxy."""

    proxy: FaultProxy
    broker: ServiceBusBroker
    tables: AzureTables

    async def play(self, bodies: list[bytes], rule: str) -> None:
        """Send messages while the store fails by a rule, and wait until all are taken."""
        failed = len(self.proxy.decisions())
        self.proxy.add(rule)
        async with (
            ServiceBusClient.from_connection_string(self.broker.connection_string) as client,
            client.get_queue_sender(QUEUE) as sender,
        ):
            await sender.send_messages([ServiceBusMessage(body) for body in bodies])

        async def empty() -> bool:
            counts = await self.broker.counts(QUEUE)
            return not counts.active and not counts.locked

        await until(empty, within=90, what="the queue to be empty")
        self.proxy.clear()
        assert len(self.proxy.decisions()) > failed, "the store never failed: nothing was tried"

    async def stored(self, fleet: str) -> tuple[int, set[str]]:
        """How many events of a fleet are stored, and the states of its sessions."""
        events = [row async for row in self.tables.scan(EVENTS) if _is_of(row, fleet)]
        states = {
            str(row.columns["state"])
            async for row in self.tables.scan(SESSIONS)
            if is_summary(row) and _is_of(row, fleet)
        }
        return len(events), states

    async def parked(self) -> int:
        return len([row async for row in self.tables.scan(PARKED)])

    async def dead(self) -> int:
        return (await self.broker.counts(QUEUE)).dead_lettered


def _is_of(row: Row, fleet: str) -> bool:
    return str(row.columns["charger"]).startswith(f"{fleet}-")


@pytest.fixture(scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    folder = tmp_path_factory.mktemp("outages")
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
        async with await FunctionsHost.start(app=CHECKOUT, settings=settings, quiet=True):
            yield App(proxy, broker, tables)
        await tables.close()


@pytest.mark.parametrize(
    ("fleet", "rule"),
    [
        ("away", f"absent service=table nth=1 seconds={OUTAGE_SECONDS}"),
        ("busy", "busy service=table rate=0.3 count=60"),
        ("unanswered", "error_after_write service=table kind=write rate=0.3 count=40"),
        ("reset", "reset_after service=table kind=write rate=0.3 count=40"),
    ],
)
async def test_no_good_message_is_lost_or_dead_while_the_store_fails(
    app: App, fleet: str, rule: str
) -> None:
    """Away for two hours, busy, done but not answered: stored = sent, no dead letters."""
    sent, parked = day_of(fleet), await app.parked()

    await app.play(sent, rule)

    assert await app.stored(fleet) == (len(sent), {"ended"})
    assert await app.parked() == parked
    assert await app.dead() == 0


async def test_a_poisoned_batch_in_bad_weather_parks_the_poison_alone(app: App) -> None:
    """Poison is parked, the rest is stored, while the store is busy all along."""
    sent, parked = day_of("mixed"), await app.parked()

    await app.play([*sent, b"not json", b"{}"], "busy service=table rate=0.2 count=40")

    assert await app.stored("mixed") == (len(sent), {"ended"})
    assert await app.parked() == parked + 2
    assert await app.dead() == 0
