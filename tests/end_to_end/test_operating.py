"""The operator's work on the app as it runs: a replay through the queue, retention by its timer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from local.azurite import Azurite
from local.functions_host.process import FunctionsHost
from local.processes import until
from local.service_bus import Queue, ServiceBusBroker
from shared.instants import system_clock
from shared.parked.reading import ParkedFilter, ParkedMessage, read_parked
from shared.parked.records import ParkedState, number_of, properties_of, state_of, trace_of
from shared.parked.replaying import FIRST_ENQUEUED, Hand, Outcome, replay
from shared.rooms import Rooms
from shared.storage.stamp import create_containers, create_store
from shared.storage.tables import STORE
from tests import payloads

CHECKOUT = Path(__file__).resolve().parents[2]
POISON = payloads.start_v2(socketId="left")


@dataclass(frozen=True, slots=True)
class App:
    """The app, its host, and the product on the same settings, as `manage.py` has it."""

    host: FunctionsHost
    rooms: Rooms

    async def parked(self) -> list[ParkedMessage]:
        rooms = self.rooms
        return [m async for m in read_parked(rooms.tables, rooms.blobs, ParkedFilter())]

    async def parked_so_often(self, times: int) -> ParkedMessage:
        """The one parked message, when it was parked so often."""

        async def there() -> bool:
            found = await self.parked()
            return bool(found) and number_of(found[0].row, "times_parked") == times

        await until(there, within=60, what=f"the message to be parked {times} times")
        (message,) = await self.parked()
        return message


@pytest.fixture(scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    folder = tmp_path_factory.mktemp("operating")
    async with (
        await Azurite.start(folder / "azurite") as azurite,
        await ServiceBusBroker.start(queues=[Queue("push-events")]) as broker,
    ):
        settings = {
            "AzureWebJobsStorage": azurite.connection_string,
            "DataStorageConnection": azurite.connection_string,
            "ServiceBusConnection": broker.connection_string,
            "PUSH_QUEUE_NAME": "push-events",
            "TAG_HASH_KEY": "k" * 40,
            "EMABLER_ENVIRONMENT": "test",
            "RECONCILE_SCHEDULE": "0 0 0 1 1 *",
        }
        rooms = Rooms(settings)
        await create_store(rooms.tables, environment="test", buckets=4)
        await create_containers(rooms.blobs)
        async with await FunctionsHost.start(app=CHECKOUT, settings=settings, quiet=True) as host:
            async with (
                ServiceBusClient.from_connection_string(broker.connection_string) as client,
                client.get_queue_sender("push-events") as sender,
            ):
                message = ServiceBusMessage(POISON, application_properties={"type": "x"})
                await sender.send_messages(message)
            yield App(host, rooms)
        await rooms.close()


async def test_a_replay_comes_back_with_its_first_time(app: App) -> None:
    """Through Microsoft's runtime: parked, replayed, parked again and counted, the time kept."""
    message = await app.parked_so_often(1)
    first = str(message.row.columns["enqueued"])

    done = await replay(app.rooms.tables, app.rooms.queue, message, Hand("ann", system_clock))

    again = await app.parked_so_often(2)
    assert done is Outcome.REPLAYED
    assert again.body == POISON
    assert again.row.columns["enqueued"] == first
    assert properties_of(again.row) == {"type": "x", FIRST_ENQUEUED: first}
    assert state_of(again.row) is ParkedState.PARKED
    assert sorted(entry["what"] for entry in trace_of(again.row)) == ["parked again", "replayed"]


async def test_retention_runs_by_its_timer_s_function(app: App) -> None:
    """The function is there under its default schedule, runs to its end and says so."""
    await app.host.run_function("retain")

    row = await app.rooms.tables.get(STORE, "retention", "progress")
    assert row is not None
    assert row.columns["step"] == ""
    assert len(await app.parked()) == 1
