"""The whole app on Microsoft's runtime, its queue, and its store behind the fault proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from azure.data.tables.aio import TableServiceClient
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender

from local.azurite import Azurite
from local.fault_proxy.proxy import FaultProxy
from local.functions_host.process import FunctionsHost
from local.processes import until
from local.service_bus import Queue, ServiceBusBroker
from shared.settings import read_settings
from shared.storage.azure import AzureTables
from shared.storage.azure_blobs import AzureBlobs
from shared.storage.connect import connect_blobs
from shared.storage.rows import Row
from shared.storage.stamp import create_containers, create_store
from shared.storage.tables import EVENTS, PARKED

CHECKOUT = Path(__file__).resolve().parents[2]
QUEUE = "push-events"
BUCKETS = 4
HASH_KEY = "k" * 40

type Holds = Callable[[Row], bool]


@dataclass(frozen=True, slots=True)
class App:
    """A running app. `tables` and `blobs` reach the store past the proxy: looking never fails."""

    proxy: FaultProxy
    broker: ServiceBusBroker
    host: FunctionsHost
    tables: AzureTables
    blobs: AzureBlobs
    sender: ServiceBusSender

    async def send(self, bodies: Iterable[bytes]) -> None:
        """Put messages onto the queue, in one go."""
        await self.sender.send_messages([ServiceBusMessage(body) for body in bodies])

    async def drained(self, *, within: float = 90) -> None:
        """Wait until no message waits or is being worked on."""

        async def empty() -> bool:
            return not (await self.broker.counts(QUEUE)).waiting

        await until(empty, within=within, what="the queue to be empty", every=0.02)

    async def rows(self, table: str, holds: Holds = lambda _row: True) -> list[Row]:
        """The rows of a table that are asked for."""
        return [row async for row in self.tables.scan(table) if holds(row)]

    async def events(self, fleet: str) -> int:
        """How many events the journal holds of chargers whose ids begin so."""
        return len(await self.rows(EVENTS, lambda row: is_of(row, fleet)))

    async def parked(self) -> int:
        """How many messages are parked."""
        return len(await self.rows(PARKED))

    async def dead(self) -> int:
        """How many messages are dead letters."""
        return (await self.broker.counts(QUEUE)).dead_lettered


def is_of(row: Row, fleet: str) -> bool:
    """Whether a row is of a charger whose id begins so."""
    return str(row.columns["charger"]).startswith(f"{fleet}-")


@asynccontextmanager
async def running_app(
    folder: Path,
    *,
    settings: Mapping[str, str] | None = None,
    most_bytes: int = 262_144,
) -> AsyncIterator[App]:
    """Start the app with its store behind a fault proxy, the queue as docs/decisions/0008 says.

    Args:
        folder: where Azurite keeps its data.
        settings: app settings on top of what the app needs.
        most_bytes: the largest message that the queue takes.
    """
    queue = Queue(QUEUE, lock_seconds=300, max_deliveries=100, max_message_bytes=most_bytes)
    async with (
        await Azurite.start(folder / "azurite") as azurite,
        await FaultProxy.start(azurite) as proxy,
        await ServiceBusBroker.start(queues=[queue]) as broker,
        ServiceBusClient.from_connection_string(broker.connection_string) as client,
        client.get_queue_sender(QUEUE) as sender,
    ):
        tables = AzureTables(TableServiceClient.from_connection_string(azurite.connection_string))
        await create_store(tables, environment="test", buckets=BUCKETS)
        blobs = connect_blobs(read_settings({"DataStorageConnection": azurite.connection_string}))
        await create_containers(blobs)
        needed = {
            "AzureWebJobsStorage": azurite.connection_string,
            "DataStorageConnection": proxy.connection_string,
            "ServiceBusConnection": broker.connection_string,
            "PUSH_QUEUE_NAME": QUEUE,
            "TAG_HASH_KEY": HASH_KEY,
            "EMABLER_ENVIRONMENT": "test",
            "RECONCILE_SCHEDULE": "0 0 0 1 1 *",
            # The messages of tests/payloads.py are of one day, whenever this runs.
            "RETENTION_JOURNAL_DAYS": "3660",
        }
        try:
            async with await FunctionsHost.start(
                app=CHECKOUT, settings=needed | dict(settings or {}), quiet=True
            ) as host:
                yield App(proxy, broker, host, tables, blobs, sender)
        finally:
            await tables.close()
            await blobs.close()
