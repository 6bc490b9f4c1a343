"""One person's data: found, given out, erased; searched for byte by byte afterwards."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.azurite import Azurite
from shared.errors import StoreUnavailableError
from shared.identifiers import hash_tag
from shared.ingestion.ingest import Ingestion
from shared.ingestion.messages import IncomingMessage
from shared.messaging.dead_letters import DeadLetter
from shared.parked.collecting import collect
from shared.privacy.erasing import Erasure, Report
from shared.privacy.finding import Search
from shared.reconciliation.findings import (
    Finding,
    FindingClass,
    Known,
    State,
    known_from_row,
    known_row,
)
from shared.retention.policies import WALKED_FOR_TAGS
from shared.sessions.claims import Claim, Source
from shared.sessions.reading import read_summaries
from shared.sessions.writer import SessionWriter
from shared.settings import read_settings
from shared.storage.blobs import Blobs
from shared.storage.bodies import MAX_ROW_BODY_BYTES
from shared.storage.connect import connect_blobs, connect_tables
from shared.storage.containers import ALL_CONTAINERS, SNAPSHOTS
from shared.storage.containers import BODIES as BLOBS
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.rows import Row, Tables, Upsert
from shared.storage.stamp import create_containers
from shared.storage.tables import ALL_TABLES, EVENTS, PARKED, RECONCILIATION, SESSIONS, STORE, TAGS
from shared.tags.records import Tag
from tests import payloads
from tests.tagging import put_tags

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
KEY = b"k" * 32
TAG = "04:A2:B1:C3"
OTHER = "05B2B1C3"
SPELLINGS = (b"04A2B1C3", b"04:A2:B1:C3", b"04-a2-b1-c3")
END = {"deviceTimeStampStart": "2026-11-02T09:11:32Z"}
BODIES = [
    payloads.start_v2(authorizedIdTag="04A2B1C3"),
    payloads.full_v2(authorizedIdTag=TAG, **END),
    payloads.start_v2(authorizedIdTag=OTHER, chargerId="CH-7", transactionId="9"),
    payloads.start_v2(authorizedIdTag=TAG, transactionId="-1", chargerId="CH/8"),
    payloads.full_v1(authorizedIdTag="04-a2-b1-c3", chargerId="x" * 200, transactionId=11),
    payloads.full_v2(
        authorizedIdTag=TAG, transactionId="77", unknown="x" * MAX_ROW_BODY_BYTES, **END
    ),
    payloads.start_v2(authorizedIdTag=TAG, socketId=TAG),
    b'{"authorizedIdTag": "04A2B1C3", "cut off',
]
LARGE = payloads.full_v2(authorizedIdTag=TAG, unknown="x" * MAX_ROW_BODY_BYTES, **END)
STATE = payloads.state_v2(message="card 04A2B1C3 refused")
REST = {"tag": "04A2B1C3", "price": 4.2}


class Store:
    """A store, ingestion of a fresh worker each time, and a search through every byte."""

    def __init__(self, tables: Tables, blobs: Blobs) -> None:
        self.tables = tables
        self.blobs = blobs

    def ingestion(self) -> Ingestion:
        writer = SessionWriter(self.tables, buckets=4, tag_hash_key=KEY)
        return Ingestion(self.tables, self.blobs, buckets=4, sessions=writer, clock=lambda: NOW)

    async def ingest(self, message: IncomingMessage) -> None:
        await self.ingestion().ingest([message])

    async def take(self, *bodies: bytes) -> None:
        ingestion = self.ingestion()
        for body in bodies:
            await ingestion.ingest([IncomingMessage(body=body)])

    async def tell_rest(self, *, hours: int = 0, **more: Any) -> None:
        claim = Claim(
            source=Source.REST,
            charger="CH-0042",
            transaction="1032427936",
            name="r1",
            digest=f"{hours:032}",
            end=NOW,
            tag="04A2B1C3",
            energy_wh=12300.0,
            observed=NOW + timedelta(hours=hours),
            body=json.dumps(REST | more),
        )
        await SessionWriter(self.tables, buckets=4, tag_hash_key=KEY).write([claim])

    async def fill(self) -> None:
        await self.take(*BODIES, STATE)
        await self.tell_rest()
        await put_tags(self.tables, [Tag(tag=TAG)], KEY)
        hashed = bytes.fromhex(hash_tag(TAG, KEY))
        await self.blobs.put(SNAPSHOTS, "tags", b"head" + hashed[:16] + b"tail")

    def search(self, tag: str = TAG) -> Search:
        return Search(self.tables, self.blobs, tag, hash_keys=[KEY], buckets=4)

    async def erase(self) -> Report:
        return await Erasure(self.tables, self.blobs, self.search(), lambda: NOW).run("ann")

    async def found(self, tag: str = TAG) -> list[str]:
        return sorted([found.table async for found in self.search(tag).all()])

    async def rows(self, table: str) -> list[Row]:
        return [row async for row in self.tables.scan(table)]

    async def occurrences(self) -> list[str]:
        """Where the tag's bytes stand: in every column, key and blob, in any of its spellings."""
        places = []
        for table in ALL_TABLES:
            for row in await self.rows(table):
                values = (row.partition, row.key, *row.columns.values())
                if any(_holds(value) for value in values):
                    places.append(f"{table} {row.key}")
        for container in ALL_CONTAINERS:
            async for name in self.blobs.names(container):
                blob = await self.blobs.get(container, name)
                if _holds(name) or _holds(blob.content if blob else b""):
                    places.append(f"{container} {name}")
        return places


class OneLetter:
    """The dead letters of a queue that holds one."""

    def __init__(self, body: bytes) -> None:
        self.left = [
            DeadLetter(
                body=body,
                reason="MaxDeliveryCountExceeded",
                description=None,
                delivery_count=10,
                message_id=None,
                enqueued=NOW,
                properties={},
            )
        ]

    async def receive(self, most: int) -> list[DeadLetter]:
        return self.left[:most]

    async def complete(self, letter: DeadLetter) -> None:
        self.left.remove(letter)

    async def peek(self, most: int, after: int) -> tuple[list[DeadLetter], int]:
        return self.left[after : after + most], after + most


class Held:
    """Erases before one of the requests of a worker: the `at`th, reads and writes and blobs."""

    def __init__(self, store: Store, at: int) -> None:
        self.up = False
        self._store = store
        self._left = at
        assert isinstance(store.tables, MemoryTables)
        store.tables.pause = self._pause
        for name in ("replace", "get", "put", "delete", "etag"):
            setattr(store.blobs, name, self._before(getattr(store.blobs, name)))

    async def _pause(self, _table: str, moment: str) -> None:
        if moment.startswith("before"):
            await self._count()

    def _before[**P, T](self, call: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        async def counted(*args: P.args, **kwargs: P.kwargs) -> T:
            await self._count()
            return await call(*args, **kwargs)

        return counted

    async def _count(self) -> None:
        if self.up:
            return
        if self._left:
            self._left -= 1
            return
        self.up = True
        await self._store.erase()


async def put_beside_its_row(store: Store) -> str:
    """A large body's blob beside a row that does not point at it; the blob's name."""
    (row,) = await store.rows(EVENTS)
    assert "body_blob" not in row.columns
    name = f"{EVENTS}/{row.partition}/{row.key.rpartition('|')[2]}"
    await store.blobs.put(BLOBS, name, LARGE)
    return name


def _holds(value: object) -> bool:
    raw = value if isinstance(value, bytes) else str(value).encode()
    return any(spelling.lower() in raw.lower() for spelling in SPELLINGS)


@pytest.fixture(params=["memory", "azurite"])
async def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield Store(MemoryTables(*ALL_TABLES), MemoryBlobs(*ALL_CONTAINERS))
        return
    node = os.environ.get("NODE", "node")
    async with await Azurite.start(tmp_path_factory.mktemp("privacy"), node=node) as azurite:
        settings = read_settings({"DataStorageConnection": azurite.connection_string})
        tables, blobs = connect_tables(settings), connect_blobs(settings)
        for table in ALL_TABLES:
            await tables.create_table(table)
        await create_containers(blobs)
        yield Store(tables, blobs)
        await tables.close()
        await blobs.close()


@pytest.fixture
def memory() -> Store:
    return Store(MemoryTables(*ALL_TABLES), MemoryBlobs(*ALL_CONTAINERS))


async def test_an_erased_tag_is_in_no_row_and_no_blob(store: Store) -> None:
    """Byte by byte: journal, sessions, chargers, tags, parked, large bodies, snapshots."""
    await store.fill()
    assert len(await store.occurrences()) > 15
    others = [row.columns async for row in read_summaries(store.tables, charger="CH-7", buckets=4)]

    report = await store.erase()

    assert await store.occurrences() == []
    assert await store.found() == []
    assert report.left == {}
    assert (report.sessions, report.deleted[SNAPSHOTS]) == (4, 1)
    assert [
        row.columns async for row in read_summaries(store.tables, charger="CH-7", buckets=4)
    ] == others

    # Whatever was told of it comes again: by eMabler, from the dead letters, from a replay.
    await store.take(*BODIES)
    await store.tell_rest()
    await store.tell_rest(hours=1, price=4.3)
    assert await store.occurrences() == []
    assert {row.columns["session"] for row in await store.rows(TAGS)} == {"CH-7|9"}


async def test_energy_and_times_stay(memory: Store) -> None:
    """The session is what it was, without the person; each source says so beside the other."""
    await memory.fill()
    (before,) = [
        row.columns
        async for row in read_summaries(memory.tables, charger="CH-0042", buckets=4)
        if row.columns["transaction"] == "1032427936"
    ]

    await memory.erase()

    (after,) = [
        row.columns
        async for row in read_summaries(memory.tables, charger="CH-0042", buckets=4)
        if row.columns["transaction"] == "1032427936"
    ]
    gone = {"tag", "start_tag", "stop_tag", "rest_tag"}
    assert {name: value for name, value in before.items() if name not in gone} | {
        "erased": True
    } == after
    assert after["energy_wh"] == 12300.0
    rests = [r for r in await memory.rows(SESSIONS) if r.columns.get("source") == "rest"]
    assert json.loads(str(rests[0].columns["body"])) == {"tag": None, "price": 4.2}


async def test_keys_and_counts_stay(memory: Store) -> None:
    """Rows are rewritten, none is lost: the journal and the claims hold what they held."""
    await memory.fill()
    before = {t: [(r.partition, r.key) for r in await memory.rows(t)] for t in (EVENTS, SESSIONS)}

    await memory.erase()

    after = {t: [(r.partition, r.key) for r in await memory.rows(t)] for t in (EVENTS, SESSIONS)}
    assert after == before


async def test_an_erasure_that_was_stopped_goes_on() -> None:
    """Stopped at each write in turn and run again, it leaves nothing."""
    stopped_at = 0
    while True:
        store = Store(MemoryTables(*ALL_TABLES), MemoryBlobs(*ALL_CONTAINERS))
        await store.fill()
        writes = 0
        tables = store.tables
        assert isinstance(tables, MemoryTables)

        async def stop(_table: str, moment: str, at: int = stopped_at) -> None:
            nonlocal writes
            if moment == "before_write":
                writes += 1
                if writes > at:
                    raise StoreUnavailableError("stopped")

        calm, tables.pause = tables.pause, stop
        try:
            await store.erase()
        except StoreUnavailableError:
            tables.pause = calm
            await store.erase()
            assert await store.occurrences() == []
            assert await store.found() == []
        else:
            break
        stopped_at += 1
    assert stopped_at > 15


async def test_everything_of_a_tag_is_given_out(memory: Store) -> None:
    """Claims, summaries, rows by end, events with their bodies, states, parked, the tag's own."""
    await memory.fill()

    found = await memory.found()

    assert {table: found.count(table) for table in set(found)} == {
        "events": 6,
        "sessions": 14,
        "chargers": 1,
        "tagroster": 1,
        "tags": 7,
        "parked": 2,
    }
    assert await memory.found("FFFFFFFF") == []
    bodies = [each.body async for each in memory.search().all() if each.table == EVENTS]
    assert BODIES[0] in bodies


async def test_the_report_names_nobody(memory: Store) -> None:
    """What was done stays in the store: when, by whom, how much, not of whom."""
    await memory.fill()

    await memory.erase()

    (report,) = [row for row in await memory.rows(STORE) if row.partition == "erasures"]
    assert report.columns["by"] == "ann"
    assert report.columns["sessions"] == 4
    assert hash_tag(TAG, KEY) not in str(report.columns)


async def test_a_second_erasure_finds_nothing(memory: Store) -> None:
    """Nothing is rewritten that was erased before."""
    await memory.fill()
    await memory.erase()

    again = await memory.erase()

    assert (again.rewritten.total(), again.deleted.total(), again.sessions) == (0, 0, 0)


async def test_a_parked_message_that_was_erased_stays_so(memory: Store) -> None:
    """Discarded and delivered again, it is parked without the tag."""
    await memory.fill()
    await memory.erase()
    for row in await memory.rows(PARKED):
        changed = Row(row.partition, row.key, {**row.columns, "state": "discarded"})
        await memory.tables.write(PARKED, [Upsert(changed)])

    await memory.take(*BODIES)

    assert {row.columns["state"] for row in await memory.rows(PARKED)} == {"parked"}
    assert [place for place in await memory.occurrences() if "body" in place] == []


async def test_an_erased_message_that_is_parked_again_names_nobody(memory: Store) -> None:
    """Neither its bytes nor its fault, its type or its properties bring the tag back."""
    body = payloads.start_v2(socketId=TAG, authorizedIdTag=TAG)
    message = IncomingMessage(body=body, declared_type=TAG, properties={"card": TAG})
    await memory.ingest(message)
    (before,) = await memory.rows(PARKED)
    assert TAG in str(before.columns["detail"])
    await memory.erase()
    (row,) = await memory.rows(PARKED)
    discarded = replace(row, columns={**row.columns, "state": "discarded"})
    await memory.tables.write(PARKED, [Upsert(discarded)])

    await memory.ingest(message)

    (again,) = await memory.rows(PARKED)
    assert (again.columns["state"], again.columns["times_parked"]) == ("parked", 2)
    assert await memory.occurrences() == []


@pytest.mark.parametrize("way", ["ingested", "unexpected", "dead letter"])
async def test_a_large_erased_message_that_comes_again_is_no_blob_anew(
    memory: Store, way: str
) -> None:
    """By whatever way the same bytes come: the erased row's blob stays as the erasure left it."""
    body = b'{"authorizedIdTag": "04A2B1C3", "cut off' + b"x" * MAX_ROW_BODY_BYTES
    message = IncomingMessage(body=body)
    await memory.ingest(message)
    await memory.erase()
    assert await memory.occurrences() == []
    (erased,) = [name async for name in memory.blobs.names(BLOBS)]
    left = await memory.blobs.get(BLOBS, erased)

    if way == "ingested":
        await memory.ingest(message)
    elif way == "unexpected":
        await memory.ingestion().park_unexpected([(message, ValueError("x"))])
    else:
        letters = OneLetter(body)
        await collect(
            memory.tables, memory.blobs, letters, clock=lambda: NOW, declared_type=lambda _: None
        )
        assert letters.left == []

    assert await memory.occurrences() == []
    blob = await memory.blobs.get(BLOBS, erased)
    assert blob is not None
    assert left is not None
    assert blob.content == left.content


async def test_an_erased_state_that_is_told_again_names_nobody(memory: Store) -> None:
    """The repeat of a state whose message named the tag leaves the charger's row as it is."""
    await memory.fill()
    await memory.erase()

    await memory.take(STATE)

    assert await memory.occurrences() == []


async def test_a_blob_that_its_row_does_not_point_at_goes_too(store: Store) -> None:
    """Of two bodies of one digest the large one's worker was cut off: row and blob lose the tag."""
    await store.take(payloads.full_v2(authorizedIdTag=TAG, **END))
    name = await put_beside_its_row(store)

    report = await store.erase()

    assert await store.occurrences() == []
    assert await store.blobs.get(BLOBS, name) is None
    assert report.deleted[BLOBS] == 1


async def test_a_large_body_that_is_told_during_an_erasure_is_no_blob_left(
    memory: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ingestion wrote the blob once more and was too late for the row: the blob goes."""
    await memory.take(payloads.full_v2(authorizedIdTag=TAG, **END))
    name = await put_beside_its_row(memory)
    delete, times = memory.blobs.delete, 0

    async def written_meanwhile(container: str, blob: str, etag: str | None = None) -> bool:
        nonlocal times
        times += 1
        if times == 1:
            await memory.blobs.put(container, blob, LARGE)
        return await delete(container, blob, etag)

    monkeypatch.setattr(memory.blobs, "delete", written_meanwhile)
    await memory.erase()

    assert await memory.blobs.get(BLOBS, name) is None
    assert await memory.occurrences() == []


@pytest.mark.parametrize("again", [BODIES[0], LARGE], ids=["row", "blob"])
async def test_a_repeat_that_lands_late_brings_nothing_back(again: bytes) -> None:
    """Before each of its requests in turn it is held up, as a frozen worker is, by an erasure."""
    held_at = 0
    while True:
        store = Store(MemoryTables(*ALL_TABLES), MemoryBlobs(*ALL_CONTAINERS))
        await store.take(*BODIES[:2])
        assert await store.occurrences() != []
        held = Held(store, held_at)

        await store.take(again)

        if not held.up:
            break
        assert await store.occurrences() == [], held_at
        held_at += 1
    assert held_at > 5


async def test_a_blob_that_a_cut_off_repeat_left_goes_at_its_next_delivery(memory: Store) -> None:
    """The worker was killed between the blob and the row, beside an erasure."""
    await memory.take(BODIES[1])
    await memory.erase()
    await put_beside_its_row(memory)

    await memory.take(LARGE)

    assert await memory.occurrences() == []
    assert [name async for name in memory.blobs.names(BLOBS)] == []


async def test_tables_without_an_index_are_walked(memory: Store) -> None:
    """Rows about the tag alone go; others lose its id and its hash, and keep the rest."""
    await memory.tables.create_table("taps")
    hashed, other = hash_tag(TAG, KEY), hash_tag(OTHER, KEY)
    rows = [
        Row("0-20261102", "CH|1", {"charger": "CH", "tag": "04A2B1C3", "tag_hash": hashed}),
        Row("0-20261102", "CH|2", {"charger": "CH", "tag": OTHER, "tag_hash": other}),
        Row(hashed[:2], hashed, {"count": 7}),
        Row("staff", f"member|{hashed}", {"schema": 1}),
    ]
    for row in rows:
        await memory.tables.write("taps", [Upsert(row)])
    search = Search(memory.tables, memory.blobs, TAG, hash_keys=[KEY], buckets=4, walked=["taps"])
    assert [found.row.key async for found in search.all()] == ["CH|1", rows[2].key, rows[3].key]

    report = await Erasure(memory.tables, memory.blobs, search, lambda: NOW).run("ann")

    left = {row.key: dict(row.columns) for row in await memory.rows("taps")}
    assert left == {
        "CH|1": {"charger": "CH", "tag": "(erased)", "erased": True},
        "CH|2": {"charger": "CH", "tag": OTHER, "tag_hash": other},
    }
    assert (report.deleted["taps"], report.left) == (2, {})


async def test_a_finding_holds_no_tag_and_loses_its_hash(memory: Store) -> None:
    """Where tags differ it names neither; an erasure takes the one's hash out, not the other's.

    That they differed, its note without the tag, and its state stay.
    """
    hashes = {name: hash_tag(tag, KEY) for name, tag in (("store", TAG), ("emabler", OTHER))}
    differs = Finding(
        FindingClass.TAG_DIFFERS,
        "CH-7|9",
        NOW,
        store={"tag": hashes["store"]},
        emabler={"tag": hashes["emabler"]},
    )
    row = known_row(Known(differs, State.RESOLVED, NOW.date(), NOW.date(), note=f"was {TAG}"))
    await memory.tables.write(RECONCILIATION, [Upsert(row)])
    search = Search(
        memory.tables, memory.blobs, TAG, hash_keys=[KEY], buckets=4, walked=WALKED_FOR_TAGS
    )
    assert [found.table async for found in search.all()] == [RECONCILIATION]

    await Erasure(memory.tables, memory.blobs, search, lambda: NOW).run("ann")

    assert [found async for found in search.all()] == []
    kept = await memory.tables.get(RECONCILIATION, row.partition, row.key)
    assert kept is not None
    known = known_from_row(kept)
    assert (known.finding.store, known.finding.emabler) == ({}, {"tag": hashes["emabler"]})
    assert (known.state, known.finding.cls) == (State.RESOLVED, FindingClass.TAG_DIFFERS)
