"""The rooms: each made when it is first used, and only of what it needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.errors import (
    FunctionDisabledError,
    OtherStoreError,
    SettingError,
    StoreUnavailableError,
)
from shared.ingestion.messages import IncomingMessage
from shared.rooms import Rooms
from shared.settings import SETTINGS
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.requests import counted
from shared.storage.rows import Insert, Row
from shared.storage.tables import ALL_TABLES, EVENTS, STORE
from shared.telemetry import WideEvent
from tests import payloads

CHECKOUT = Path(__file__).resolve().parent.parent
SECRET = "correct horse battery staple 0123456789"
NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
RIGHT = {
    "DataStorageConnection": "UseDevelopmentStorage=true",
    "ServiceBusConnection": "Endpoint=sb://127.0.0.1;SharedAccessKeyName=n;SharedAccessKey=k",
    "PUSH_QUEUE_NAME": "push-events",
    "INGEST_LONGEST_WAIT_SECONDS": "0",
    "RECONCILE_SCHEDULE": "0 */15 * * * *",
    "TAG_HASH_KEY": SECRET,
    "WEBHOOK_AUTHORIZATION": SECRET.upper(),
    "EMABLER_ENVIRONMENT": "test",
    "EMABLER_API_KEY": "key",
}

TAP = """
import asyncio, json, sys
import function_app
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.tables import ALL_TABLES
from shared.telemetry import WideEvent

tables = MemoryTables(*ALL_TABLES)
function_app.rooms.__dict__["tables"] = tables
function_app.rooms.taps.__dict__["tables"] = tables
answer = asyncio.run(function_app.rooms.webhook.answer(
    method="POST", authorization=sys.argv[1], content_type=None, wide=WideEvent("push_webhook"),
    body=b'{"charger_id": "CH", "rfid_tag_id": "T"}',
))
print(json.dumps({"answer": json.loads(answer.body), "modules": sorted(sys.modules)}))
"""


FIRST_USES = """
import asyncio, json, sys, threading
from contextlib import suppress
import function_app
from shared.errors import TransientError

where = {}

class Watched:
    def find_spec(self, name, path=None, target=None):
        if name in ("azure.servicebus", "azure.storage.blob"):
            on_loop = threading.current_thread() is threading.main_thread()
            where[name] = "on the loop" if on_loop else "beside"

async def main():
    rooms = function_app.rooms
    for first_use in (rooms.blobs.etag("snapshots", "tags"), rooms.queue.send(b"{}")):
        with suppress(TransientError, TimeoutError):
            async with asyncio.timeout(5):
                await first_use

sys.meta_path.insert(0, Watched())
asyncio.run(main())
print(json.dumps(where))
"""


def message(body: bytes, **fields: Any) -> IncomingMessage:
    return IncomingMessage(body=body, **fields)


def test_a_tap_loads_nothing_that_it_does_not_use() -> None:
    """From a cold start to a tap's answer, neither Service Bus, httpx nor identity is imported."""
    environ = {k: v for k, v in os.environ.items() if k not in {s.name for s in SETTINGS}}

    run = subprocess.run(
        [sys.executable, "-c", TAP, RIGHT["WEBHOOK_AUTHORIZATION"]],
        cwd=CHECKOUT,
        env=environ | RIGHT,
        capture_output=True,
        check=True,
        timeout=60,
    )

    told = json.loads(run.stdout)
    assert told["answer"] == {"charging_allowed": False, "reason": "UNKNOWN_RFID_TAG_ID"}
    assert "azure.data.tables" in told["modules"]
    heavy = ("azure.servicebus", "azure.identity", "httpx", "rich", "shared.emabler")
    assert [name for name in told["modules"] if name.startswith(heavy)] == []


def test_what_is_imported_later_is_imported_beside_the_loop() -> None:
    """The first message and the first blob import their SDKs in a thread, where no tap waits."""
    environ = {k: v for k, v in os.environ.items() if k not in {s.name for s in SETTINGS}}

    run = subprocess.run(
        [sys.executable, "-c", FIRST_USES],
        cwd=CHECKOUT,
        env=environ | RIGHT,
        capture_output=True,
        check=True,
        timeout=60,
    )

    assert json.loads(run.stdout) == {"azure.servicebus": "beside", "azure.storage.blob": "beside"}


def test_without_the_store_s_connection_nothing_starts() -> None:
    """The one setting that every function needs stops the start, and says what to do."""
    with pytest.raises(SettingError, match=r"DataStorageConnection is not set\..* Example: "):
        Rooms({}).start()


def test_what_is_wrong_is_logged_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    """All other problems are told, one line each, and the start goes on."""
    Rooms({"EMABLER_ENVIRONMENT": "test"}, tables=MemoryTables()).start()

    told = [record.getMessage() for record in caplog.records]
    assert len([text for text in told if text.startswith("setting_missing: ")]) == len(told) == 7


async def test_a_batch_is_told_in_the_wide_event() -> None:
    """Received, stored, repeated, parked by reason, age and deliveries: what came of a batch."""
    rooms = Rooms(RIGHT, tables=MemoryTables(*ALL_TABLES), clock=lambda: NOW)
    wide = WideEvent("ingest_push_events")

    await rooms.ingest(
        [
            message(payloads.state_v2(receivedTimestamp="2026-11-02T11:59:30Z"), delivery_count=2),
            message(payloads.state_v2(receivedTimestamp="2026-11-02T11:58:30Z"), delivery_count=7),
            message(b"not json"),
        ],
        wide,
    )

    expected = {
        "received": 3,
        "stored": 1,
        "repeated": 1,
        "counts_exact": True,
        "parked": {"not_json": 1},
        "oldest_event_age_s": 90.0,
        "delivery_count": 7,
    }
    assert expected.items() <= wide.fields.items()


async def test_an_empty_batch_is_no_harm() -> None:
    """Nothing received is nothing stored."""
    rooms = Rooms(RIGHT, tables=MemoryTables(*ALL_TABLES), clock=lambda: NOW)
    wide = WideEvent("ingest_push_events")

    await rooms.ingest([], wide)

    assert wide.fields["stored"] == wide.fields["received"] == 0


async def test_a_batch_waits_for_its_settings() -> None:
    """Without a setting that ingestion needs, a batch comes again: it is not at fault."""
    tables = MemoryTables(*ALL_TABLES)
    rooms = Rooms(RIGHT | {"TAG_HASH_KEY": "short"}, tables=tables, clock=lambda: NOW)

    with pytest.raises(FunctionDisabledError, match="TAG_HASH_KEY has 5 characters"):
        await rooms.ingest([message(payloads.state_v2())], WideEvent("ingest_push_events"))

    assert tables.rows(EVENTS) == []


@pytest.mark.parametrize("other", [{"EMABLER_ENVIRONMENT": "production"}, {"STORE_BUCKETS": "8"}])
async def test_a_store_of_another_environment_is_not_written_to(other: dict[str, str]) -> None:
    """The stamp of the first app holds: another environment or bucket count writes nothing."""
    tables = MemoryTables(*ALL_TABLES)
    ours = Rooms(RIGHT, tables=tables, clock=lambda: NOW)
    await ours.ingest([message(payloads.state_v2())], WideEvent("ingest_push_events"))
    theirs = Rooms(RIGHT | other, tables=tables, clock=lambda: NOW)

    with pytest.raises(OtherStoreError, match="point DataStorageConnection at the app's own store"):
        await theirs.ingest([message(payloads.start_v2())], WideEvent("ingest_push_events"))
    with pytest.raises(OtherStoreError):
        await theirs.reconciliation.reconcile(WideEvent("reconcile"))

    assert len(tables.rows(EVENTS)) == 1


async def test_no_stamp_is_made_of_settings_that_are_wrong() -> None:
    """A stamp without an environment would lock the store against the app it belongs to."""
    tables = MemoryTables(*ALL_TABLES)

    for wrong in ({"EMABLER_ENVIRONMENT": ""}, {"STORE_BUCKETS": "many"}):
        with pytest.raises(SettingError, match=next(iter(wrong))):
            await Rooms(RIGHT | wrong, tables=tables).stamp.check()

    assert tables.rows(STORE) == []


async def test_the_stamp_is_read_once() -> None:
    """A warm worker knows its store: the stamp costs requests at its first batch only."""
    rooms = Rooms(RIGHT, tables=MemoryTables(*ALL_TABLES), clock=lambda: NOW)
    await rooms.ingest([], WideEvent("ingest_push_events"))

    with counted() as requests:
        await rooms.ingest([], WideEvent("ingest_push_events"))

    assert requests.total == 0


async def test_a_stamp_that_could_not_be_read_is_read_again() -> None:
    """A store that was away at the first batch is checked at the second."""
    tables = MemoryTables(*ALL_TABLES)
    await tables.write(
        STORE, [Insert(Row("stamp", "stamp", {"environment": "test", "buckets": 9}))]
    )
    rooms = Rooms(RIGHT, tables=tables, clock=lambda: NOW)
    real = tables.pause

    async def away(_table: str, _moment: str) -> None:
        raise StoreUnavailableError("away")

    tables.pause = away
    with pytest.raises(StoreUnavailableError, match="away"):
        await rooms.stamp.check()
    tables.pause = real

    with pytest.raises(OtherStoreError, match="the store has buckets 9, this app 4"):
        await rooms.stamp.check()


async def test_two_workers_may_stamp_a_new_store_at_once() -> None:
    """Of two apps that meet in an empty store one stamps it, and the other heeds that stamp."""
    tables = MemoryTables(*ALL_TABLES)
    first = Rooms(RIGHT, tables=tables, clock=lambda: NOW)
    second = Rooms(RIGHT, tables=tables, clock=lambda: NOW + timedelta(seconds=1))
    other = Rooms(RIGHT | {"EMABLER_ENVIRONMENT": "staging"}, tables=tables)

    async def first_comes_between(table: str, moment: str) -> None:
        if (table, moment) == (STORE, "before_write"):
            tables.pause = MemoryTables().pause
            await first.stamp.check()

    tables.pause = first_comes_between
    await second.stamp.check()
    with pytest.raises(OtherStoreError):
        await other.stamp.check()

    stamps = [row for row in tables.rows(STORE) if row.partition == "stamp"]
    assert [row.columns["environment"] for row in stamps] == ["test"]


async def test_a_retention_run_is_told_in_the_wide_event() -> None:
    """What was deleted by table, and whether the run came to its end; its settings are heeded."""
    written = NOW - timedelta(days=50)
    tables = MemoryTables(*ALL_TABLES, clock=lambda: written)
    blobs = MemoryBlobs(*ALL_CONTAINERS)
    then = Rooms(RIGHT, tables=tables, blobs=blobs, clock=lambda: written)
    old = {"receivedTimestamp": "2026-09-13T09:00:00Z", "deviceTimeStamp": "2026-09-13T09:00:00Z"}
    await then.ingest([message(payloads.state_v2(**old)), message(b"x")], WideEvent("ingest"))
    wide = WideEvent("retain")

    settings = RIGHT | {"RETENTION_JOURNAL_DAYS": "30", "RETENTION_PARKED_DAYS": "30"}
    await Rooms(settings, tables=tables, blobs=blobs, clock=lambda: NOW).retain(wide)

    told = {"deleted": {"events": 1, "parked": 1}, "finished": True, "resumed": False}
    told |= {"retention_behind_s": 0.0}
    assert told.items() <= wide.fields.items()
    with pytest.raises(SettingError, match="RETENTION_PARKED_DAYS"):
        await Rooms(RIGHT | {"RETENTION_PARKED_DAYS": "0"}, tables=tables).retain(wide)


async def test_reconciliation_waits_for_its_settings() -> None:
    """Without a key there is no run, and the error names what is missing."""
    settings = {name: value for name, value in RIGHT.items() if name != "EMABLER_API_KEY"}
    rooms = Rooms(settings, tables=MemoryTables(*ALL_TABLES), clock=lambda: NOW)

    with pytest.raises(SettingError, match="EMABLER_API_KEY is not set"):
        await rooms.reconciliation.reconcile(WideEvent("reconcile"))


@pytest.mark.parametrize(
    ("missing", "tap", "event"),
    [
        ("TAG_HASH_KEY", 503, None),
        ("PUSH_QUEUE_NAME", 200, 503),
        ("ServiceBusConnection", 200, 503),
        ("EMABLER_ENVIRONMENT", 503, 503),
        ("WEBHOOK_AUTHORIZATION", 503, 503),
    ],
)
async def test_a_missing_setting_stops_only_what_needs_it(
    missing: str, tap: int, event: int | None
) -> None:
    """Taps go on without a queue, events without a hash key; without a value nobody may call."""
    tables = MemoryTables(*ALL_TABLES)
    settings = {name: value for name, value in RIGHT.items() if name != missing}
    rooms = Rooms(settings, tables=tables, clock=lambda: NOW)
    expected = {b'{"charger_id": "CH", "rfid_tag_id": "T"}': tap}
    if event is not None:
        expected[payloads.state_v2()] = event

    for body, status in expected.items():
        answer = await rooms.webhook.answer(
            method="POST",
            authorization=SECRET.upper(),
            body=body,
            content_type=None,
            wide=WideEvent("push_webhook"),
        )
        assert answer.status == status
