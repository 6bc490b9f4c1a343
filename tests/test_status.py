"""The status: what monitors are told, bounded in time and requests, and nothing of a tag."""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from shared import status_room
from shared.chargers.loaded import InventoryLoaded, note_inventory_loaded
from shared.errors import QueueUnavailableError, StoreUnavailableError
from shared.instants import format_instant
from shared.messaging.queue import ServiceBusQueue
from shared.parked.records import Parking, parked_row_of
from shared.reconciliation.ledger import Ledger
from shared.reconciliation.windows import Window
from shared.rooms import Rooms
from shared.status_room import FRESH_SECONDS, MOST_PARKED, WARM_SECONDS, StatusRoom
from shared.storage.memory import MemoryTables
from shared.storage.requests import counted
from shared.storage.rows import Row, Upsert
from shared.storage.tables import ALL_TABLES, PARKED, STORE
from shared.tags.records import Tag
from shared.version import VERSION
from tests import payloads
from tests.tagging import put_tags
from tests.test_docs import page, rows

CHECKOUT = Path(__file__).resolve().parent.parent
NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
SECRET = "correct horse battery staple 0123456789"
RIGHT = {
    "DataStorageConnection": "UseDevelopmentStorage=true",
    "ServiceBusConnection": "Endpoint=sb://127.0.0.1;SharedAccessKeyName=n;SharedAccessKey=k",
    "PUSH_QUEUE_NAME": "push-events",
    "RECONCILE_SCHEDULE": "0 */15 * * * *",
    "TAG_HASH_KEY": SECRET,
    "WEBHOOK_AUTHORIZATION": SECRET.upper(),
    "EMABLER_ENVIRONMENT": "test",
    "EMABLER_API_KEY": "hidden key",
}


class Queue:
    """A queue that is looked at."""

    def __init__(self) -> None:
        self.oldest: datetime | None = None
        self.away = False
        self.looks = 0

    async def look(self) -> datetime | None:
        self.looks += 1
        if self.away:
            raise QueueUnavailableError("queue push-events: TimeoutError")
        return self.oldest


class App:
    """An app with a store in memory, its queue, and a monitor in front of it."""

    def __init__(self, **settings: str) -> None:
        self.tables = MemoryTables(*ALL_TABLES)
        self.queue = Queue()
        self.seconds = 0.0
        self.warmed = 0
        self.rooms = Rooms(RIGHT | settings, tables=self.tables, clock=lambda: NOW)
        self.status = StatusRoom(
            self.rooms.settings,
            tables=lambda: self.tables,
            stamp=lambda: self.rooms.stamp,
            queue=lambda: cast("ServiceBusQueue", self.queue),
            warm=self._warm,
            clock=lambda: NOW,
            elapsed=lambda: self.seconds,
        )

    def _warm(self) -> None:
        self.warmed += 1

    async def told(self, later: float = FRESH_SECONDS) -> tuple[int, dict[str, Any]]:
        """The answer, after some seconds."""
        self.seconds += later
        told = await self.status.status()
        return told.status, json.loads(told.body)

    def fail(self, error: Exception, *tables: str) -> None:
        """Let each read of these tables fail."""

        async def pause(table: str, _moment: str) -> None:
            if table in tables:
                raise error

        self.tables.pause = pause


async def test_a_new_store_is_well() -> None:
    """Nothing ran, nothing is parked, nothing was reconciled: said as it is, with 200."""
    app = App()

    status, told = await app.told()

    assert status == 200
    assert told == {
        "well": True,
        "as_of": "2026-11-02T12:00:00.000000Z",
        "version": VERSION,
        "environment": "test",
        "settings": {"problems": []},
        "store": {"stamped": False, "milliseconds": 0},
        "queue": {"oldest_waiting_s": None, "milliseconds": 0},
        "functions": {"last_runs": {}, "milliseconds": 0},
        "parked": {"waiting": 0, "milliseconds": 0},
        "inventory": {"loaded": None, "milliseconds": 0},
        "reconciliation": {"began": None, "milliseconds": 0},
    }


async def test_the_facts_of_a_store_that_works_are_told() -> None:
    """What ran when, what waits and for how long, what is parked, as of when chargers are known."""
    app = App()
    await app.rooms.stamp.check()
    await app.tables.write(
        STORE,
        [
            Upsert(Row("ran", name, {"at": format_instant(NOW - timedelta(seconds=age))}))
            for name, age in (("reconcile", 700), ("ingest_push_events", 20))
        ],
    )
    app.queue.oldest = NOW - timedelta(minutes=3)
    await note_inventory_loaded(app.tables, InventoryLoaded(NOW - timedelta(hours=1), 50_000))
    for body, state in ((b"1", "parked"), (b"2", "replayed"), (b"3", "parked")):
        row = parked_row_of(Parking(body=body, reason="not_json", detail=""), NOW)
        await app.tables.write(
            PARKED, [Upsert(Row(row.partition, row.key, {**row.columns, "state": state}))]
        )

    status, told = await app.told()

    assert status == 200
    assert told["store"]["stamped"] is True
    assert told["queue"]["oldest_waiting_s"] == 180
    assert told["parked"]["waiting"] == 2
    assert told["inventory"]["age_s"] == 3600
    assert told["inventory"]["chargers"] == 50_000
    assert told["functions"]["last_runs"] == {
        "ingest_push_events": {"at": "2026-11-02T11:59:40.000000Z", "age_s": 20},
        "reconcile": {"at": "2026-11-02T11:48:20.000000Z", "age_s": 700},
    }


@pytest.mark.parametrize("part", ["store", "queue", "settings"])
async def test_what_nothing_works_without_makes_503(part: str) -> None:
    """A monitor that only looks at the status sees a store, a queue or a setting that is wrong."""
    app = App(**({"EMABLER_API_KEY": ""} if part == "settings" else {}))
    app.queue.away = part == "queue"
    if part == "store":
        app.fail(StoreUnavailableError("hidden address", code="store_away"), *ALL_TABLES)

    status, told = await app.told()

    assert (status, told["well"]) == (503, False)
    problem = {"setting": "EMABLER_API_KEY", "code": "setting_missing"}
    expected = {
        "store": {"error": "store_away", "milliseconds": 0},
        "queue": {"error": "queue_unavailable", "milliseconds": 0},
        "settings": {"problems": [problem | {"disables": ["reconciliation"]}]},
    }
    assert told[part] == expected[part]
    for other in expected.keys() - {part}:
        assert "error" not in told[other] or part == "store"
    assert "hidden" not in json.dumps(told)


async def test_another_environment_s_store_is_told() -> None:
    """An app that was pointed at the wrong store says so before it writes anything."""
    app = App()
    await app.rooms.stamp.check()
    other = App(EMABLER_ENVIRONMENT="production")
    other.rooms.__dict__["tables"] = app.tables

    status, told = await other.told()

    assert (status, told["store"]["error"]) == (503, "other_store")


async def test_a_part_that_fails_takes_no_other_along() -> None:
    """A table that is missing is told where it is missed; the rest is there."""
    app = App()
    app.fail(StoreUnavailableError("no table", code="table_missing"), PARKED)

    status, told = await app.told()

    assert (status, told["parked"]["error"]) == (200, "table_missing")
    assert "error" not in told["functions"]


async def test_a_part_that_is_slow_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer comes in bounded time, whatever hangs."""
    monkeypatch.setattr(status_room, "PART_SECONDS", 0.01)
    app = App()

    async def hang(table: str, _moment: str) -> None:
        if table == PARKED:
            await asyncio.Event().wait()

    app.tables.pause = hang

    status, told = await app.told()

    assert (status, told["parked"]["error"]) == (200, "too_slow")


async def test_what_is_unexpected_is_told_by_its_kind_alone() -> None:
    """Texts of errors that are not ours may hold addresses and keys."""
    app = App()
    app.fail(ValueError("https://account.example/?sig=hidden"), PARKED)

    _, told = await app.told()

    assert told["parked"]["error"] == "ValueError"
    assert "hidden" not in json.dumps(told)


async def test_monitors_side_by_side_cost_one_look() -> None:
    """Twenty at once and one a little later get the same answer; then it is made anew."""
    app = App()

    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(app.told(0))
    await app.told(FRESH_SECONDS - 1)
    assert app.queue.looks == 1
    await app.told(1)

    assert app.queue.looks == 2


async def test_requests_do_not_grow_with_what_is_parked() -> None:
    """A flood of parked messages is counted up to a bound, and said to be more."""
    app = App()
    for number in range(MOST_PARKED + 50):
        row = parked_row_of(Parking(body=b"%d" % number, reason="not_json", detail=""), NOW)
        await app.tables.write(PARKED, [Upsert(row)])

    with counted() as requests:
        _, told = await app.told()

    assert told["parked"]["waiting_at_least"] == MOST_PARKED
    assert sum(requests.by_purpose.values()) <= 8


async def test_parked_messages_are_counted_without_their_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thousand large messages are no load: of each row only its state is sent."""
    app = App()
    for number in range(3):
        parking = Parking(body=b"%d" % number * 100_000, reason="not_json", detail="")
        await app.tables.write(PARKED, [Upsert(parked_row_of(parking, NOW))])
    scan, sent = app.tables.scan, set[str]()

    async def seen(table: str, *words: Any, **more: Any) -> AsyncIterator[Row]:
        async for row in scan(table, *words, **more):
            if table == PARKED:
                sent.update(row.columns)
            yield row

    monkeypatch.setattr(app.tables, "scan", seen)

    _, told = await app.told()

    assert told["parked"]["waiting"] == 3
    assert sent == {"state"}


async def test_the_status_tells_nothing_of_tags() -> None:
    """After taps, sessions and a parked message with a tag, no answer names it or its hash."""
    app = App()
    await put_tags(app.tables, [Tag(tag="HIDDEN-77")], SECRET.encode())
    row = parked_row_of(
        Parking(
            body=payloads.start_v2(authorizedIdTag="HIDDEN-77", socketId="left"),
            reason="bad_field",
            detail="HIDDEN-77",
        ),
        NOW,
    )
    await app.tables.write(PARKED, [Upsert(row)])

    _, told = await app.told()

    text = json.dumps(told)
    assert "HIDDEN" not in text.upper()
    assert SECRET not in text
    assert "hidden key" not in text


async def test_alive_tells_nothing() -> None:
    """Whatever is wrong, the answer to anybody is the same, and asks nothing of anything."""
    well, ill = App(), App(EMABLER_API_KEY="", TAG_HASH_KEY="short")
    ill.queue.away = True

    with counted() as requests:
        assert well.status.live() == ill.status.live()

    assert (well.status.live().status, well.status.live().body) == (200, b"{}")
    assert requests.by_purpose == {}
    assert well.queue.looks == 0


async def test_a_call_from_outside_keeps_taps_warm() -> None:
    """Connections of taps are used at most every twenty seconds, however often anybody calls."""
    app = App()

    for _ in range(100):
        app.status.live()
    assert app.warmed == 1
    app.seconds += WARM_SECONDS
    app.status.live()

    assert app.warmed == 2


async def test_warming_asks_the_store_of_taps() -> None:
    """In the app, a call of `live` reads rows that nobody has, on the connections of taps."""
    tables = MemoryTables(*ALL_TABLES)
    rooms = Rooms(RIGHT, tables=tables, clock=lambda: NOW)
    asked: list[str] = []

    async def watch(table: str, moment: str) -> None:
        asked.append(f"{table} {moment}")

    tables.pause = watch
    rooms.status.live()
    await _until(lambda: len(asked) == 4)

    assert set(asked) == {"tags before_read", "chargers before_read"}


async def _until(holds: Callable[[], bool]) -> None:
    waiting: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(0)  # noqa: E731 - one turn of the loop
    for _ in range(100):
        if holds():
            return
        await waiting()
    raise AssertionError


async def test_each_fact_is_documented() -> None:
    """docs/status.md has a row for each fact that an answer can hold, and no other."""
    app = App()
    await note_inventory_loaded(app.tables, InventoryLoaded(NOW, 1))
    ledger = await Ledger.take(
        app.tables, lambda: NOW, run="a", holder="a test", lasts=timedelta(minutes=3)
    )
    proven = Window(NOW - timedelta(hours=2), NOW, NOW)
    await ledger.commit(windows=[proven], front=NOW, run=ledger.opening())
    _, told = await app.told()
    facts = {
        f"{name}.{fact}" if isinstance(part, dict) else name
        for name, part in told.items()
        for fact in (part if isinstance(part, dict) else [name])
        if fact != "milliseconds"
    }
    bounded = {"parked.waiting_at_least", "reconciliation.findings_open_at_least"}
    documented = [row[0].strip("`") for row in rows(page("docs/status.md")) if row[0][0] == "`"]

    assert set(documented) - {"GET /api/live", "GET /api/status"} == facts | bounded


def test_the_version_is_the_project_s() -> None:
    """pyproject.toml and the code name the same release."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert project["version"] == VERSION
