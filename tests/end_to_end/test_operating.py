"""The operator's work on the app as it runs: a replay through the queue, retention by its timer."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from local.azurite import Azurite
from local.functions_host.process import FunctionsHost
from local.processes import until
from local.service_bus import Queue, ServiceBusBroker
from management.context import Context
from management.main import parser
from management.output import Output
from shared.backup.comparing import compare
from shared.backup.manifest import backup_ids, read_manifest
from shared.backup.restore import Reader
from shared.instants import system_clock
from shared.parked.reading import ParkedFilter, ParkedMessage, read_parked
from shared.parked.records import ParkedState, number_of, properties_of, state_of, trace_of
from shared.parked.replaying import FIRST_ENQUEUED, Hand, Outcome, replay
from shared.rooms import Rooms
from shared.storage.stamp import create_containers, create_store
from shared.storage.tables import ALL_TABLES, STORE
from tests import payloads

CHECKOUT = Path(__file__).resolve().parents[2]
POISON = payloads.start_v2(socketId="left")


@dataclass(frozen=True, slots=True)
class App:
    """The app, its host, and the product on the same settings, as `manage.py` has it."""

    host: FunctionsHost
    rooms: Rooms
    settings: dict[str, str]

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
            "WEBHOOK_AUTHORIZATION": "w" * 40,
            "RECONCILE_SCHEDULE": "0 0 0 1 1 *",
            "BACKUP_SCHEDULE": "0 0 0 1 1 *",
            "RETENTION_SCHEDULE": "0 0 0 1 1 *",
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
            yield App(host, rooms, settings)
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


async def test_a_backup_is_taken_by_its_timer_s_function(app: App) -> None:
    """The function takes one that is whole and equal to the store; run again, none is due."""
    await app.host.run_function("back_up")
    (backup,) = [each async for each in backup_ids(app.rooms.blobs)]

    reader = Reader(app.rooms.blobs, await read_manifest(app.rooms.blobs, backup))
    compared = [each async for each in compare(reader, app.rooms.tables, app.rooms.blobs)]
    await app.host.run_function("back_up")

    assert sum(each.looked_at for each in compared) > 2
    assert [each.difference for each in compared if each.difference] == []
    assert [each async for each in backup_ids(app.rooms.blobs)] == [backup]


async def smoke(
    app: App, *words: str, **settings: str
) -> tuple[int, dict[str, dict[str, Any]], str]:
    """The command as an operator runs it: its exit code, its steps by name, what it said."""
    environ = {**app.settings, "EMABLER_PUSH_URL": f"{app.host.url}/api/emabler/push", **settings}
    out, err = io.StringIO(), io.StringIO()
    output, rooms = Output(as_json=True, out=out, err=err), Rooms(environ)
    options = parser().parse_args(["smoke", "--json", *words])
    code = await options.command.run(Context(options, output, rooms, environ))
    await rooms.close()
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    return code, {row["step"]: row for row in rows}, err.getvalue()


async def everything(app: App) -> list[tuple[str, str, str]]:
    return [
        (table, row.partition, row.key)
        for table in ALL_TABLES
        async for row in app.rooms.tables.scan(table)
        # When each function ran last is written once a minute at most, whoever asks.
        if row.partition != "ran"
    ]


async def test_a_smoke_test_follows_what_it_sent_and_takes_it_out(app: App) -> None:
    """By queue and webhook into the tables, a tap, and no row more than before."""
    await app.parked_so_often(2)
    before = await everything(app)

    code, steps, said = await smoke(app, "--seconds", "60")

    assert code == 0, steps
    assert list(steps) == [
        *("store", "tag", "send", "journal", "session", "webhook", "tap", "audit", "taken out"),
    ]
    assert all(step["well"] for step in steps.values())
    assert steps["audit"]["detail"] == "allowed, known_tag, live"
    assert "authorizations 1" in steps["taken out"]["detail"]
    assert "events 3" in steps["taken out"]["detail"]
    assert "nothing of it is left" in said
    assert await everything(app) == before


@pytest.mark.parametrize(
    ("setting", "value", "step", "told"),
    [
        ("WEBHOOK_AUTHORIZATION", "x" * 40, "webhook", "answered 401"),
        ("EMABLER_PUSH_URL", "http://127.0.0.1:9/api/emabler/push", "webhook", "does not answer"),
        ("PUSH_QUEUE_NAME", "no-such-queue", "send", "queue_unavailable"),
        ("TAG_HASH_KEY", "another key " * 4, "session", "none as wanted"),
        ("EMABLER_ENVIRONMENT", "staging", "store", "the store has environment"),
    ],
)
async def test_a_smoke_test_says_which_step_failed_and_what_to_do(
    app: App, setting: str, value: str, step: str, told: str
) -> None:
    """What is wrong between the operator and the app shows in its step; nothing is left behind."""
    before = await everything(app)
    code, steps, said = await smoke(app, "--seconds", "3", **{setting: value})
    mark = said.partition("the mark of this run is ")[2].partition(";")[0]

    assert code == 1
    assert [name for name, each in steps.items() if not each["well"]] == [step]
    assert list(steps)[-2:] == [step, "taken out"]
    assert told in steps[step]["detail"]
    assert "What to do: " in steps[step]["detail"]
    assert f"smoke --clean {mark}" in said

    async def gone() -> bool:
        # What was on its way when the step gave up comes late: the command that was told.
        cleaned, _, _ = await smoke(app, "--clean", mark)
        return cleaned == 0 and await everything(app) == before

    await until(gone, within=30, what="that nothing of it is left")
