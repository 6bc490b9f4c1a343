"""Restoring: equal row by row, into nothing but an empty store, without those who were erased."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from management.commands import backup_restore
from management.commands.rebuild import mend_all
from management.context import Context
from shared.backup import parts as parts_module
from shared.backup.take import Taken
from shared.backup_room import BackupRoom
from shared.errors import BackupError, OtherStoreError, StoreUnavailableError
from shared.identifiers import hash_tag
from shared.last_runs import LastRuns, read_last_runs
from shared.privacy.erasing import Erasure
from shared.privacy.finding import Search
from shared.retention.policies import WALKED_FOR_TAGS
from shared.rooms import Rooms
from shared.storage.beside import PrefixedBlobs, PrefixedTables
from shared.storage.blobs import Blobs
from shared.storage.bodies import MAX_ROW_BODY_BYTES
from shared.storage.containers import ALL_CONTAINERS, BACKUPS, BODIES
from shared.storage.memory import MemoryTables
from shared.storage.rows import Delete, Replace, Row, Tables, Upsert
from shared.storage.stamp import create_store
from shared.storage.tables import ALL_TABLES, EVENTS, SESSIONS, STORE, TAG_ROSTER, TAGS
from shared.storage.together import write_all
from shared.tags.records import Tag, tag_row
from shared.tags.roster import walk
from tests import payloads
from tests.backup.stores import SECRET, SETTINGS, Clock, Everything, Store, names
from tests.fleet.plays import Played
from tests.tagging import put_tags

TAG = "04:A2:B1:C3"
SPELLINGS = (b"04A2B1C3", b"04:A2:B1:C3")
LARGE = payloads.state_v2(unknown="x" * MAX_ROW_BODY_BYTES)
END = {"deviceTimeStampStart": "2026-11-02T09:11:32Z"}
OF_THE_PERSON = [
    payloads.start_v2(authorizedIdTag="04A2B1C3"),
    payloads.full_v2(authorizedIdTag=TAG, **END),
    payloads.full_v2(authorizedIdTag=TAG, transactionId="77", unknown="x" * 600_000, **END),
    payloads.start_v2(authorizedIdTag=TAG, socketId=TAG),
    b'{"authorizedIdTag": "04A2B1C3", "cut off',
]
OTHERS = [payloads.start_v2(authorizedIdTag="05B2B1C3", chargerId="CH-7", transactionId="9")]


async def emptied(store: Store) -> Store:
    """The same account after its tables were lost: empty, but for the backups."""
    for table in ALL_TABLES:
        rows = [Delete(row.partition, row.key) async for row in store.tables.scan(table)]
        await write_all(store.tables, table, rows)
    for container in ALL_CONTAINERS:
        if container != BACKUPS:
            for name in await names(store.blobs.names(container)):
                await store.blobs.delete(container, name)
    await create_store(store.tables, environment="test", buckets=4)
    return store


async def erase(store: Store, tag: str = TAG, clock: Clock | None = None) -> None:
    search = Search(
        store.tables,
        store.blobs,
        tag,
        hash_keys=[SECRET.encode()],
        buckets=4,
        walked=WALKED_FOR_TAGS,
    )
    await Erasure(store.tables, store.blobs, search, clock or store.clock).run("ann")


def beside(store: Store, prefix: str = "second") -> tuple[Tables, Blobs]:
    return PrefixedTables(store.tables, prefix), PrefixedBlobs(store.blobs, prefix)


def holding(found: Everything) -> list[str]:
    """Where the tag's bytes stand."""
    return [
        f"{place} {key}"
        for place, rows in found.items()
        for partition, key, value in rows
        if any(
            spelling.lower() in raw.lower()
            for raw in _raw(
                (partition, key, *(value.values() if isinstance(value, dict) else [value]))
            )
            for spelling in SPELLINGS
        )
    ]


def _raw(values: tuple[Any, ...]) -> list[bytes]:
    return [value if isinstance(value, bytes) else str(value).encode() for value in values]


async def test_a_charging_day_comes_back_row_by_row(store: Store) -> None:
    """A fleet's day with all that goes wrong: backed up, lost, restored into the empty store."""
    await store.ingest([*Played(3, chargers=2, faults="default").bodies, LARGE, b"not json"])
    await store.tables.write(TAGS, [Upsert(tag_row(Tag(tag="05B2B1C3"), SECRET.encode()))])
    there = await store.everything()
    assert all(there[table] for table in (EVENTS, SESSIONS, TAGS, "chargers", "parked", "bodies"))
    await store.taken()
    await emptied(store)

    code, _, said = await store.manage("backup", "restore", "--yes")

    assert (code, await store.everything()) == (0, there), said
    assert "0 rows mended" in said
    assert (await store.manage("backup", "restore", "--compare"))[0] == 0
    assert (await store.manage("rebuild", "--dry-run"))[0] == 0


async def test_a_backup_comes_back_beside_the_store(store: Store) -> None:
    """Under a prefix, equal; the store itself is not touched, and can be compared with either."""
    await store.ingest([*OF_THE_PERSON, *OTHERS, LARGE])
    await store.taken()
    await store.ingest([payloads.boot_v2()])
    there = await store.everything()

    code, _, said = await store.manage("backup", "restore", "--beside", "second", "--yes")
    equal = await store.manage("backup", "restore", "--beside", "second", "--compare")
    differing = await store.manage("backup", "restore", "--compare")

    assert code == 0, said
    assert await store.everything() == there
    assert equal[:2] == (0, [])
    assert differing[0] == 1
    assert {(row["what"], row["table"]) for row in differing[1]} == {
        ("only in store", "events"),
        ("changed", "chargers"),
    }


async def test_it_is_told_row_by_row_where_they_differ(memory: Store) -> None:
    """One row changed, one deleted, one added, a blob as well: each with its place and columns."""
    await memory.ingest([*OTHERS, LARGE])
    await memory.taken()
    (event,) = [r async for r in memory.tables.scan(EVENTS) if "body_blob" not in r.columns]
    changed = {**event.columns, "charger": "another"}
    await memory.tables.write(
        EVENTS, [Replace(type(event)(event.partition, event.key, changed, event.etag))]
    )
    (tag,) = [row async for row in memory.tables.scan(TAGS)]
    await memory.tables.write(TAGS, [Delete(tag.partition, tag.key)])
    await memory.ingest([b"new"])
    (blob,) = await names(memory.blobs.names("bodies"))
    await memory.blobs.put("bodies", blob, b"other")

    code, rows, said = await memory.manage("backup", "restore", "--compare")

    assert code == 1
    assert [(row["what"], row["table"], row["key"], row["columns"]) for row in rows] == [
        ("only in backup", "tags", tag.key, []),
        ("only in store", "parked", rows[1]["key"], []),
        ("changed", "events", event.key, ["charger"]),
        ("changed", "bodies", blob, ["content"]),
    ]
    assert "4 differ (2 changed, 1 only in backup, 1 only in store)" in said


async def test_nothing_is_restored_into_a_store_that_holds_something(memory: Store) -> None:
    """It is refused, and nothing is written."""
    await memory.ingest(OTHERS)
    await memory.taken()
    there = await memory.everything()

    with pytest.raises(BackupError) as error:
        await memory.manage("backup", "restore", "--yes")

    assert error.value.code == "store_not_empty"
    assert "--beside" in str(error.value)
    assert await memory.everything() == there


async def test_that_functions_ran_is_nothing_of_the_stores(memory: Store) -> None:
    """What workers note at any moment is not copied or compared, and leaves a store empty."""
    await memory.ingest(OTHERS)
    await _noted(memory, "push_webhook")
    done = await memory.taken()
    await _noted(memory, "reconcile")

    assert done.copied[STORE] == 1
    assert (await memory.manage("backup", "restore", "--compare"))[:2] == (0, [])
    await emptied(memory)
    await _noted(memory, "push_webhook")
    assert (await memory.manage("backup", "restore", "--yes"))[0] == 0
    assert list(await read_last_runs(memory.tables)) == ["push_webhook"]


async def _noted(store: Store, function: str) -> None:
    runs = LastRuns(lambda: store.tables, store.clock)
    runs.note(function)
    await runs.written()


@pytest.mark.parametrize("words", [("--compare",), ("--dry-run",), ("--beside", "second", "--yes")])
async def test_what_only_looks_does_not_stamp_the_store(
    memory: Store, words: tuple[str, ...]
) -> None:
    """A store without a stamp is not touched; one with another stamp is refused."""
    await memory.ingest(OTHERS)
    await memory.taken()
    (stamp,) = [row async for row in memory.tables.range(STORE, "stamp")]
    await memory.tables.write(STORE, [Delete(stamp.partition, stamp.key)])

    await memory.manage("backup", "restore", *words)

    assert [row async for row in memory.tables.range(STORE, "stamp")] == []
    other = {**stamp.columns, "environment": "production"}
    await memory.tables.write(STORE, [Upsert(Row(stamp.partition, stamp.key, other))])
    with pytest.raises(OtherStoreError):
        await memory.manage("backup", "restore", *words)


@pytest.mark.parametrize("stop", range(0, 34, 3))
async def test_a_restore_that_was_stopped_goes_on(
    memory: Store, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """Stopped at the n-th write; the same command makes it whole, another backup's is refused."""
    monkeypatch.setattr(parts_module, "RAW_BYTES", 8_000)
    await memory.ingest([*OF_THE_PERSON, *OTHERS, *Played(4, chargers=1).bodies[:60]])
    there = await memory.everything()
    await memory.taken()
    other = (await memory.taken()).backup
    await emptied(memory)
    assert isinstance(memory.tables, MemoryTables)
    calm, left = memory.tables.pause, stop

    async def killed(_table: str, moment: str) -> None:
        nonlocal left
        if moment == "after_write":
            left -= 1
            if left == -1:
                raise StoreUnavailableError("killed")

    memory.tables.pause = killed
    with pytest.raises(StoreUnavailableError):
        await memory.manage("backup", "restore", "20261103T013000Z", "--yes")
    memory.tables.pause = calm
    with pytest.raises(BackupError) as refused:
        await memory.manage("backup", "restore", other, "--yes")
    code, _, _ = await memory.manage("backup", "restore", "20261103T013000Z", "--yes")

    assert refused.value.code == "store_not_empty"
    assert (code, await memory.everything()) == (0, there)


async def test_the_roster_of_tags_is_made_anew(memory: Store) -> None:
    """A backup holds no roster: after a restore the first walk makes one of the records."""
    await put_tags(memory.tables, [Tag(tag=TAG, blocked=True)], SECRET.encode())
    await memory.ingest(OTHERS)
    await memory.taken()
    await emptied(memory)
    assert _rows(memory, TAG_ROSTER) == []

    assert (await memory.manage("backup", "restore", "--yes"))[0] == 0
    found = [tag async for _, tag in walk(memory.tables)]

    assert found == [Tag(tag=TAG, blocked=True)]
    assert len(_rows(memory, TAG_ROSTER)) == 1


async def test_an_erased_person_stays_erased(store: Store) -> None:
    """Backed up, erased, lost, restored: no byte of the tag, all else as it was.

    The erasure is known although the store is lost: it stands beside the backups, too.
    """
    await store.ingest([*OF_THE_PERSON, *OTHERS])
    await store.tables.write(TAGS, [Upsert(tag_row(Tag(tag=TAG), SECRET.encode()))])
    await store.taken()
    assert len(holding(await store.everything())) > 8
    store.clock.now += timedelta(hours=1)
    await erase(store)
    there = await store.everything()
    assert holding(there) == []
    await emptied(store)

    code, _, said = await store.manage("backup", "restore", "--yes")

    restored = await store.everything()
    assert code == 0, said
    assert "taken out again: 1 erased tag of the backup" in said
    assert holding(restored) == []
    for table in (SESSIONS, TAGS, EVENTS, "parked", "chargers", "bodies"):
        assert restored[table] == there[table], table


@pytest.mark.parametrize(
    "body",
    [
        b'{"authorizedIdTag": "04A2B1C3", "cut off',
        b'{"idTag":"04-a2-b1-c3"}',
        b'{"note":"refused\\n04A2B1C3."}',
        '{"idTag":"04A2B1C3"}'.encode("utf-16-le"),
        b'{"idTag":"04A2B1C3","more":"%s"}' % (b"x" * MAX_ROW_BODY_BYTES),
        b"x" * 65_532 + b" 04A2B1C3",
    ],
    ids=["cut off", "separated", "escaped", "utf-16", "blob", "across columns"],
)
@pytest.mark.parametrize("stopped", [False, True])
async def test_an_erased_person_known_from_a_message_only_stays_erased(
    memory: Store, monkeypatch: pytest.MonkeyPatch, body: bytes, *, stopped: bool
) -> None:
    """No row says whose tag it was but a message that nobody could read: it stays erased.

    Also where the restore was stopped when all was written.
    """
    await memory.ingest([body, *OTHERS])
    await memory.taken()
    memory.clock.now += timedelta(hours=1)
    await erase(memory)
    there = await memory.everything()
    await emptied(memory)
    if stopped:
        with monkeypatch.context() as patched:
            patched.setattr(backup_restore, "mend_all", _stopped)
            with pytest.raises(StoreUnavailableError):
                await memory.manage("backup", "restore", "--yes")

    code, _, said = await memory.manage("backup", "restore", "--yes")

    restored = await memory.everything()
    assert code == 0, said
    assert "taken out again: 1 erased tag of the backup" in said
    assert restored["bodies"] == there["bodies"]
    assert [row[2]["body_00"] for row in restored["parked"] if "body_00" in row[2]] == [
        row[2]["body_00"] for row in there["parked"] if "body_00" in row[2]
    ]
    assert holding(restored) == []


async def _stopped(*_: object) -> tuple[int, int]:
    raise StoreUnavailableError("stopped")


@pytest.mark.parametrize("named", [True, False])
async def test_a_backup_that_was_under_way_brings_nobody_back(
    memory: Store, monkeypatch: pytest.MonkeyPatch, *, named: bool
) -> None:
    """Begun after the erasure, while a restore had the person in the store: restored without.

    Also where nothing but the keyed hash was left of the person.
    """
    row = tag_row(Tag(tag=TAG), SECRET.encode())
    if named:
        await memory.ingest([*OF_THE_PERSON, *OTHERS])
    else:
        # All that a rehash left: a session of which nobody tells the tag.
        row = Row(row.partition, "session|x|started", {"schema": 1, "session": "x"})
    await memory.tables.write(TAGS, [Upsert(row)])
    first = await memory.taken()
    memory.clock.now += timedelta(hours=1)
    await erase(memory)
    await emptied(memory)
    memory.clock.now += timedelta(hours=1)
    second: list[Taken] = []

    async def meanwhile(context: Context, tables: Tables, blobs: Blobs) -> tuple[int, int]:
        # A run that began before the restore did, and copies what it writes.
        if not second:
            (mark,) = [r async for r in tables.range(STORE, "backup", "restore", "restore~")]
            await tables.write(STORE, [Delete(mark.partition, mark.key)])
            second.append(await memory.back_up().run(timedelta(hours=24)))
            await tables.write(STORE, [Upsert(mark)])
        return await mend_all(context, tables, blobs)

    monkeypatch.setattr(backup_restore, "mend_all", meanwhile)
    memory.clock.now += timedelta(hours=24)
    assert (await memory.manage("backup", "restore", first.backup, "--yes"))[0] == 0
    assert second[0].whole
    memory.clock.now += timedelta(minutes=1)
    await emptied(memory)

    code, _, said = await memory.manage("backup", "restore", second[0].backup, "--yes")

    restored = await memory.everything()
    assert code == 0, said
    assert holding(restored) == []
    hashed = hash_tag(TAG, SECRET.encode())
    assert [row for row in restored[TAGS] if row[0] == hashed] == []


@pytest.mark.parametrize("behind", [timedelta(minutes=-3), timedelta(), timedelta(minutes=3)])
async def test_no_machine_s_clock_decides_who_stays_erased(
    memory: Store, behind: timedelta
) -> None:
    """Backups begin and tags are erased by the store's clock, whatever an operator's says."""
    await memory.ingest(OF_THE_PERSON + OTHERS)
    rooms = Rooms(SETTINGS, tables=memory.tables, blobs=memory.blobs)
    done = await BackupRoom(rooms).take(timedelta())
    assert done.latest == memory.clock.now
    memory.clock.now += timedelta(minutes=1)
    await erase(memory, clock=Clock(memory.clock.now - behind))
    await emptied(memory)

    code, _, _ = await memory.manage("backup", "restore", "--yes")

    assert (code, holding(await memory.everything())) == (0, [])


async def test_who_comes_back_after_an_erasure_stays(memory: Store) -> None:
    """A backup that began after the erasure holds what was told anew, and a restore keeps it."""
    await memory.ingest(OF_THE_PERSON)
    await erase(memory)
    memory.clock.now += timedelta(hours=1)
    await memory.ingest([payloads.start_v2(authorizedIdTag=TAG, transactionId="new")])
    there = await memory.everything()
    await memory.taken()
    await emptied(memory)

    assert (await memory.manage("backup", "restore", "--yes"))[0] == 0
    assert holding(await memory.everything()) == holding(there) != []


async def test_an_erasure_under_a_key_that_is_not_at_hand_is_no_silence(memory: Store) -> None:
    """After the hash key was changed, a restore asks for the one before; with it, it goes well."""
    await memory.ingest(OF_THE_PERSON)
    await memory.taken()
    await erase(memory)
    await emptied(memory)
    memory.settings["TAG_HASH_KEY"] = "another key " * 4

    with pytest.raises(BackupError) as error:
        await memory.manage("backup", "restore", "--yes")
    memory.settings["TAG_HASH_KEY_PREVIOUS"] = SECRET
    code, _, _ = await memory.manage("backup", "restore", "--yes")

    assert error.value.code == "hash_key_missing"
    assert code == 0
    assert holding(await memory.everything()) == []


@pytest.mark.parametrize("seed", range(12))
async def test_a_backup_beside_ingestion_is_whole_after_a_restore(
    memory: Store, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Taken while messages come in and a person is erased.

    What was there before is in it, derived rows follow from their sources, the person is gone.
    """
    monkeypatch.setattr(parts_module, "RAW_BYTES", 2_000)
    played = Played(seed, chargers=2).bodies[:120]
    before, meanwhile = [*played[:60], *OF_THE_PERSON], played[60:]
    await memory.ingest(before)
    earlier = await memory.everything()
    put, left = memory.blobs.replace, len(meanwhile)
    when = 3 * seed + 2

    async def busy(container: str, name: str, content: bytes, etag: str | None) -> str:
        nonlocal left, when
        if left:
            await memory.ingest(meanwhile[len(meanwhile) - left :][:2])
            left = max(left - 2, 0)
        when -= 1
        if when == 0:
            memory.clock.now += timedelta(minutes=1)
            await memory.ingest([payloads.start_v2(authorizedIdTag=TAG, transactionId="late")])
            await erase(memory)
        return await put(container, name, content, etag)

    monkeypatch.setattr(memory.blobs, "replace", busy)
    await memory.taken()
    monkeypatch.setattr(memory.blobs, "replace", put)
    if when > 0:
        await erase(memory)
    await emptied(memory)

    code, _, said = await memory.manage("backup", "restore", "--yes")

    restored = await memory.everything()
    assert code == 0, said
    assert holding(restored) == []
    assert (await memory.manage("rebuild", "--dry-run"))[:2] == (0, [])
    keys = {(partition, key) for partition, key, _ in restored[EVENTS]}
    assert {(partition, key) for partition, key, _ in earlier[EVENTS]} <= keys
    claims = {key for _, key, _ in restored[SESSIONS]}
    assert {key for _, key, _ in earlier[SESSIONS] if not key.startswith("!open")} <= claims


async def test_a_damaged_backup_is_told_before_anything_is_written(memory: Store) -> None:
    """A dry run reads all of it; a part that was altered or is gone is named."""
    await memory.ingest(OTHERS)
    await memory.taken()
    assert (await memory.manage("backup", "restore", "--dry-run"))[0] == 0
    (name,) = [n for n in await names(memory.blobs.names(BACKUPS)) if "/events/" in n]
    await memory.blobs.put(BACKUPS, name, b"altered")

    with pytest.raises(BackupError, match="its digest is another"):
        await memory.manage("backup", "restore", "--dry-run")
    await memory.blobs.delete(BACKUPS, name)
    with pytest.raises(BackupError, match="is gone"):
        await memory.manage("backup", "restore", "--dry-run")


async def test_a_backup_of_another_store_is_refused(memory: Store) -> None:
    """Another environment or number of buckets; also one that is not there."""
    with pytest.raises(BackupError) as none:
        await memory.manage("backup", "restore", "--yes")
    await memory.taken()
    memory.settings["STORE_BUCKETS"] = "8"
    with pytest.raises(OtherStoreError):
        await memory.manage("backup", "restore", "--yes")

    assert none.value.code == "backup_missing"


async def test_a_restore_is_asked_for(memory: Store) -> None:
    """Without --yes where nobody can be asked, nothing happens."""
    await memory.ingest(OTHERS)
    await memory.taken()
    await emptied(memory)

    code, _, said = await memory.manage("backup", "restore")

    assert (code, said.split(":")[1]) == (2, " not_confirmed")
    assert [row.partition for row in _rows(memory, STORE)] == ["roster", "stamp"]


@pytest.mark.parametrize("erased", [False, True])
async def test_a_message_whose_blob_went_while_the_backup_was_taken_keeps_nothing_up(
    memory: Store, *, erased: bool
) -> None:
    """Retention took row and blob when the row was copied and the blob was not: it is told.

    Neither the restore nor an erasure of the same person, in it or after it, fails for it.
    """
    await memory.ingest(OF_THE_PERSON + OTHERS)
    tables = memory.tables
    assert isinstance(tables, MemoryTables)
    calm = tables.pause

    async def before_the_blobs(table: str, moment: str) -> None:
        copied = {row.columns.get("source") for row in tables.rows(STORE)}
        if table == STORE and moment == "before_read" and EVENTS in copied:
            tables.pause = calm
            for row in _rows(memory, EVENTS):
                if "body_blob" in row.columns:
                    await tables.write(EVENTS, [Delete(row.partition, row.key)])
                    await memory.blobs.delete(BODIES, str(row.columns["body_blob"]))

    tables.pause = before_the_blobs
    done = await memory.taken()
    assert done.copied[BODIES] == 0
    if erased:
        memory.clock.now += timedelta(hours=1)
        await erase(memory)
    await emptied(memory)

    code, _, said = await memory.manage("backup", "restore", "--yes")

    assert code == 0
    assert "of 1 event the message is gone" in said
    assert [row for row in _rows(memory, EVENTS) if "body_blob" in row.columns]
    assert (await memory.manage("rebuild", "--dry-run"))[0] == 0
    assert (await memory.manage("privacy", "erase", TAG, "--yes"))[0] == 0
    assert holding(await memory.everything()) == []
    assert (await memory.taken()).whole


def _rows(store: Store, table: str) -> list[Any]:
    assert isinstance(store.tables, MemoryTables)
    return store.tables.rows(table)
