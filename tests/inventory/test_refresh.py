"""The inventory: a walk over eMabler's chargers, and what it writes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from shared import reconciliation_room
from shared.chargers.loaded import InventoryLoaded, read_inventory_loaded
from shared.errors import (
    BudgetSpentError,
    RestRefusedError,
    RestUnavailableError,
    StoreUnavailableError,
)
from shared.ingestion.ingest import Ingestion
from shared.ingestion.messages import IncomingMessage
from shared.inventory.refresh import Inventory, Refreshed
from shared.rooms import Rooms
from shared.sessions.writer import SessionWriter
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.requests import counted
from shared.storage.tables import ALL_TABLES, CHARGERS
from shared.telemetry import WideEvent
from tests import payloads
from tests.emabler.rest import NOW, Time, client, page_of

SETTINGS = {
    "DataStorageConnection": "UseDevelopmentStorage=true",
    "TAG_HASH_KEY": "k" * 32,
    "EMABLER_ENVIRONMENT": "test",
    "EMABLER_API_KEY": "key",
    "RECONCILE_SCHEDULE": "0 */15 * * * *",
}


def charger(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "chargerId": f"CH-{number:04}",
        "name": f"Yard {number}",
        "state": "Online",
        "siteId": 7,
        "siteName": "Yard",
        "sockets": [
            {"id": 1, "name": "A", "status": "Available", "lastUpdated": "2026-11-02T08:00:00Z"}
        ],
    } | changes


class Chargers:
    """eMabler's chargers over HTTP, two a page, and finished sessions, of which there are none."""

    def __init__(self, *items: dict[str, Any]) -> None:
        self.items: list[Any] = list(items)
        self.pages: list[int] = []
        self.after_page: dict[int, Callable[[], object]] = {}
        self.status = 200
        self.answers = True
        self.sessions_asked = 0

    def __call__(self, request: httpx.Request) -> Any:
        if request.method == "POST":
            self.sessions_asked += 1
            return page_of()
        if request.url.path.endswith("/v2/ongoing-transactions"):
            return page_of()
        assert request.url.path.endswith("/v2/chargers")
        if not self.answers:
            return asyncio.Event().wait()
        if self.status != 200:
            return httpx.Response(self.status)
        page, limit = int(request.url.params["page"]), int(request.url.params["limit"])
        self.pages.append(page)
        total, shown = len(self.items), self.items[(page - 1) * limit : page * limit]
        answer = page_of(*shown, more=page * limit < total, totalRecords=total)
        self.after_page.pop(len(self.pages), lambda: None)()
        return answer


class Yard:
    """A store in memory, and refreshes of it whose time passes by hand."""

    def __init__(self, chargers: Chargers) -> None:
        self.chargers = chargers
        self.tables = MemoryTables(*ALL_TABLES)
        self.time = Time()

    async def refresh(self, *, believe: bool = False) -> Refreshed:
        async with client(self.chargers, time=self.time, list_page_size=2, retry_seconds=0) as rest:
            return await Inventory(rest, self.tables, buckets=4).refresh(believe=believe)

    async def ingest(self, *bodies: bytes) -> None:
        writer = SessionWriter(self.tables, buckets=4, tag_hash_key=b"k" * 32)
        ingestion = Ingestion(
            self.tables, MemoryBlobs(*ALL_CONTAINERS), buckets=4, sessions=writer, clock=lambda: NOW
        )
        await ingestion.ingest([IncomingMessage(body=body) for body in bodies])

    @property
    def rows(self) -> dict[str, Any]:
        return {row.key: row.columns for row in self.tables.rows(CHARGERS)}

    @property
    def vanished(self) -> list[str]:
        return sorted(key for key, columns in self.rows.items() if "inventory_vanished" in columns)


def yard(count: int) -> Yard:
    return Yard(Chargers(*map(charger, range(1, count + 1))))


async def test_an_inventory_is_loaded_and_marked_as_loaded() -> None:
    """A row for each charger and socket, and one that says as of when, and how many."""
    fleet = yard(5)
    assert await read_inventory_loaded(fleet.tables) is None

    done = await fleet.refresh()

    assert done == Refreshed(5, 0, 0, 10, 0, 0, complete=True)
    assert len(fleet.rows) == 10
    assert fleet.rows["CH-0003|!"]["inventory_site"] == "7"
    assert await read_inventory_loaded(fleet.tables) == InventoryLoaded(NOW, 5)
    assert fleet.chargers.pages == [1, 2, 3]


async def test_an_unchanged_inventory_writes_no_charger() -> None:
    """Each bucket is read once and nothing is written, by this worker or by another one."""
    fleet = yard(5)
    await fleet.refresh()
    before = fleet.tables.rows(CHARGERS)
    fleet.time.seconds = 3600

    with counted() as requests:
        done = await fleet.refresh()

    assert (done.rows_written, done.listed) == (0, 5)
    assert requests.by_purpose == {"chargers_range": 4, "store_write": 1}
    assert fleet.tables.rows(CHARGERS) == before
    assert await read_inventory_loaded(fleet.tables) == InventoryLoaded(NOW + timedelta(hours=1), 5)


async def test_only_what_differs_is_written() -> None:
    """One new name, one new socket: two rows, all others keep their ETags."""
    fleet = yard(5)
    await fleet.refresh()
    before = {row.key: row.etag for row in fleet.tables.rows(CHARGERS)}
    fleet.time.seconds = 60
    fleet.chargers.items[1]["name"] = "Renamed"
    fleet.chargers.items[2]["sockets"].append({"id": 2, "status": "Reserved"})

    done = await fleet.refresh()

    assert done.rows_written == 2
    after = {row.key: row.etag for row in fleet.tables.rows(CHARGERS)}
    assert {key for key in after if after[key] != before.get(key)} == {"CH-0002|!", "CH-0003|2"}


async def test_events_and_inventory_share_their_rows(  # also with a worker that remembers
) -> None:
    """An ingesting worker's memory is older than the inventory's write: both are in the row."""
    fleet = Yard(Chargers(charger(42, sockets=[{"id": 1, "status": "Charging"}])))
    writer = SessionWriter(fleet.tables, buckets=4, tag_hash_key=b"k" * 32)
    ingestion = Ingestion(
        fleet.tables, MemoryBlobs(*ALL_CONTAINERS), buckets=4, sessions=writer, clock=lambda: NOW
    )

    await ingestion.ingest([IncomingMessage(body=payloads.state_v2())])
    done = await fleet.refresh()
    later = payloads.state_v2(status="Faulted", deviceTimeStamp="2026-11-02T11:30:00Z")
    await ingestion.ingest([IncomingMessage(body=later)])

    assert done.rows_written == 2
    row = fleet.rows["CH-0042|1"]
    assert (row["state_status"], row["inventory_status"]) == ("Faulted", "Charging")
    assert (await fleet.refresh()).rows_written == 0


async def test_a_writer_beside_it_loses_nothing() -> None:
    """An event that is written between the inventory's reading and writing stays."""
    fleet = Yard(Chargers(charger(42)))
    await fleet.ingest(payloads.state_v2(status="Available"))
    real = fleet.tables.pause

    async def between(table: str, moment: str) -> None:
        if (table, moment) == (CHARGERS, "before_write"):
            fleet.tables.pause = real
            later = "2026-11-02T11:30:00Z"
            await fleet.ingest(payloads.state_v2(status="Faulted", deviceTimeStamp=later))

    fleet.tables.pause = between
    await fleet.refresh()

    row = fleet.rows["CH-0042|1"]
    assert (row["state_status"], row["inventory_status"]) == ("Faulted", "Available")


async def test_what_is_not_listed_any_more_is_marked() -> None:
    """The charger and its sockets stay, with the instant as of which they were gone."""
    fleet = yard(5)
    await fleet.refresh()
    await fleet.ingest(payloads.state_v2(chargerId="CH-9999"))
    fleet.time.seconds = 60
    gone = fleet.chargers.items.pop(3)

    done = await fleet.refresh()
    again = await fleet.refresh()

    assert (done.vanished, again.vanished, again.rows_written) == (1, 0, 0)
    assert fleet.vanished == ["CH-0004|!", "CH-0004|1"]
    assert fleet.rows["CH-0004|!"]["inventory_vanished"] == "2026-11-02T12:01:00.000000Z"
    fleet.chargers.items.append(gone)
    fleet.time.seconds = 120
    assert (await fleet.refresh()).rows_written == 2
    assert fleet.vanished == []


async def test_an_inventory_that_lost_most_is_not_believed() -> None:
    """A key that sees fewer sites has not scrapped the fleet, unless the operator says so."""
    fleet = yard(5)
    await fleet.refresh()
    fleet.time.seconds = 60
    fleet.chargers.items = fleet.chargers.items[:2]

    doubted = await fleet.refresh()

    assert (doubted.vanished, doubted.not_believed, fleet.vanished) == (0, 3, [])
    assert (await fleet.refresh(believe=True)).vanished == 3


async def test_an_empty_inventory_is_none() -> None:
    """It marks nothing, and does not count as loaded: every charger would be unknown."""
    fleet = yard(0)
    assert (await fleet.refresh(believe=True)).complete
    assert await read_inventory_loaded(fleet.tables) is None

    fleet = yard(2)
    await fleet.refresh()
    fleet.chargers.items = []
    fleet.time.seconds = 60
    await fleet.refresh(believe=True)

    assert fleet.vanished == []
    assert await read_inventory_loaded(fleet.tables) == InventoryLoaded(NOW, 2)


async def test_a_list_that_moves_is_walked_again() -> None:
    """A charger removed between two pages hides another one: the second walk sees it."""
    fleet = yard(5)
    fleet.chargers.after_page[1] = lambda: fleet.chargers.items.pop(0)

    done = await fleet.refresh()

    assert (done.listed, done.complete) == (4, True)
    assert fleet.chargers.pages == [1, 2, 1, 2]


async def test_a_list_that_never_stands_still_marks_nothing() -> None:
    """What came is written; nothing is called vanished, and nothing counts as loaded."""
    fleet = yard(5)
    await fleet.refresh()
    fleet.time.seconds = 60

    def remove_and_add() -> None:
        fleet.chargers.items.append(fleet.chargers.items.pop(0))
        fleet.chargers.items[0]["name"] += "!"

    for n in range(1, 20, 3):
        fleet.chargers.after_page[n + 3] = remove_and_add
    done = await fleet.refresh()

    assert (done.complete, done.vanished, done.not_believed) == (False, 0, 0)
    assert fleet.vanished == []
    assert await read_inventory_loaded(fleet.tables) == InventoryLoaded(NOW, 5)
    assert fleet.chargers.pages == [1, 2, 3] * 4


@pytest.mark.parametrize("row", [None, {"id": 9}, {"chargerId": ""}, {"chargerId": "x" * 256}])
async def test_a_charger_that_cannot_be_read_is_counted(row: Any) -> None:
    """It may be any of those that are not named: nothing is called vanished then."""
    fleet = yard(4)
    await fleet.refresh()
    fleet.time.seconds = 60
    fleet.chargers.items[3] = row

    done = await fleet.refresh()

    assert (done.listed, done.unreadable, done.complete) == (3, 1, False)
    assert fleet.vanished == []


async def test_a_socket_without_a_number_spares_its_charger_s_sockets() -> None:
    """It is counted and left out; the inventory is loaded, and what else vanished is marked."""
    fleet = yard(5)
    await fleet.refresh()
    fleet.time.seconds = 60
    fleet.chargers.items.pop(3)
    fleet.chargers.items[1]["sockets"] = [{"id": None, "name": "?"}, {"id": 2, "name": "B"}]
    fleet.chargers.items[2]["sockets"] = []

    done = await fleet.refresh()

    assert (done.unreadable, done.numberless, done.complete) == (0, 1, True)
    assert done.told()["numberless"] == 1
    assert fleet.vanished == ["CH-0003|1", "CH-0004|!", "CH-0004|1"]
    assert await read_inventory_loaded(fleet.tables) == InventoryLoaded(
        NOW + timedelta(minutes=1), 4
    )


async def test_a_failure_leaves_what_was_there() -> None:
    """Without the permission, or with the store away, nothing is marked and nothing is loaded."""
    fleet = yard(3)
    await fleet.refresh()
    before = fleet.rows
    fleet.chargers.status = 403
    with pytest.raises(RestRefusedError, match="ReadChargers"):
        await fleet.refresh()
    fleet.chargers.status = 500
    with pytest.raises(RestUnavailableError):
        await fleet.refresh()
    assert fleet.rows == before


async def test_stopped_at_any_write_the_next_run_makes_it_whole() -> None:
    """Whatever was written before a crash, a refresh afterwards ends in the same rows."""
    fleet = yard(40)
    await fleet.refresh()
    whole = fleet.rows
    for stop in range(1, 6):
        crashed = yard(40)
        await stopped_at(stop, crashed.tables, crashed.refresh)
        crashed.tables.pause = MemoryTables().pause
        await crashed.refresh()
        assert crashed.rows == whole


async def stopped_at(
    write: int, tables: MemoryTables, run: Callable[[], Awaitable[object]]
) -> None:
    left = write

    async def crash(_table: str, moment: str) -> None:
        nonlocal left
        left -= moment.endswith("_write")
        if left <= 0:
            raise StoreUnavailableError("stopped")

    tables.pause = crash
    with pytest.raises(StoreUnavailableError):
        await run()


class Timer:
    """The timer function's room on a clock of its own."""

    def __init__(self, chargers: Chargers, **settings: str) -> None:
        self.now = datetime(2026, 11, 2, 12, tzinfo=UTC)
        self.tables = MemoryTables(*ALL_TABLES)
        self.tables.clock = lambda: self.now
        self.rooms = Rooms(
            SETTINGS | settings,
            tables=self.tables,
            clock=lambda: self.now,
            emabler=lambda: client(chargers, time=self._time(), retry_seconds=0),
        )

    def _time(self) -> Time:
        time = Time()
        time.seconds = (self.now - NOW).total_seconds()
        return time

    async def tick(self, minutes: float = 15) -> dict[str, Any]:
        wide = WideEvent("reconcile")
        try:
            await self.rooms.reconciliation.on_schedule(wide)
        finally:
            self.now += timedelta(minutes=minutes)
            json.dumps(wide.fields)
        return wide.fields


async def test_the_timer_refreshes_at_most_every_so_often() -> None:
    """Every hour by default, beside reconciliation, which runs each time."""
    chargers = Chargers(charger(1), charger(2))
    timer = Timer(chargers)

    ticks = [await timer.tick() for _ in range(6)]

    assert all(tick["windows"] for tick in ticks)
    assert [tick.get("inventory") for tick in ticks] == [
        {"listed": 2, "rows_written": 4},
        None,
        None,
        None,
        {"listed": 2},
        None,
    ]


async def test_the_timer_can_do_without_an_inventory() -> None:
    """0 minutes: chargers are never asked for, and no permission is needed."""
    chargers = Chargers()
    chargers.status = 403

    fields = await Timer(chargers, INVENTORY_EVERY_MINUTES="0").tick()

    assert fields["windows"] >= 1
    assert chargers.pages == []


async def test_an_inventory_that_fails_keeps_nothing_from_reconciling() -> None:
    """Sessions are reconciled all the same; then the failure is the run's, with its advice."""
    chargers = Chargers(charger(1))
    chargers.status = 403
    timer = Timer(chargers)

    with pytest.raises(RestRefusedError, match="ReadChargers"):
        await timer.tick()
    before = chargers.sessions_asked
    assert before > 0
    chargers.status = 200
    fields = await timer.tick()

    assert fields["inventory"] == {"listed": 1, "rows_written": 2}
    assert chargers.sessions_asked > before


async def test_an_inventory_that_takes_too_long_leaves_time_for_sessions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It ends after its share of a run; sessions are reconciled, and the run says what to do."""
    monkeypatch.setattr(reconciliation_room, "MOST_SECONDS_OF_INVENTORY", 0.0)
    chargers = Chargers(charger(1))
    chargers.answers = False

    with pytest.raises(BudgetSpentError, match="chargers refresh"):
        await Timer(chargers).tick()

    assert chargers.sessions_asked > 0
