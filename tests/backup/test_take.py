"""Taking backups: whole, going on after any stop, one at a time, gone after their age."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from shared.backup import parts as parts_module
from shared.backup.manifest import backup_ids, read_manifest
from shared.backup.reading import rows_after, stored_rows
from shared.errors import BackupError, StoreUnavailableError
from shared.storage.beside import PrefixedTables
from shared.storage.bodies import MAX_ROW_BODY_BYTES
from shared.storage.containers import ALL_CONTAINERS, BACKUPS
from shared.storage.erasures import ErasedTag, keep_erased, kept_erasures
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.rows import Delete, Insert, Row, Tables
from shared.storage.tables import ALL_TABLES, EVENTS, STORE, TAGS
from shared.tags.records import Tag, tag_row
from tests import payloads
from tests.backup.stores import BEGUN, Store, names
from tests.ingestion.day import EVERYTHING

DAY = timedelta(days=1)
OLD = {"deviceTimeStamp": "2026-10-20T09:00:00Z", "receivedTimestamp": "2026-10-20T09:00:01Z"}


def slow(seconds: float) -> Callable[[], float]:
    """A clock of which each look takes so long."""
    ticks: Iterator[int] = count()
    return lambda: next(ticks) * seconds


async def test_a_backup_counts_all_that_there_is(store: Store) -> None:
    """Each table and container by rows or blobs; the manifest's parts are there, and no other."""
    await store.ingest(EVERYTHING)
    there = await store.everything()

    done = await store.taken()

    manifest = await read_manifest(store.blobs, done.backup)
    assert manifest.counts == {name: len(rows) for name, rows in there.items() if rows}
    assert manifest.counts == done.copied
    assert (manifest.begun, manifest.environment, manifest.buckets) == (BEGUN, "test", 4)
    assert await names(store.blobs.names(BACKUPS, "parts/")) == sorted(
        part.name for part in manifest.parts
    )
    progress = [row async for row in store.tables.range(STORE, "backup")]
    assert [row.key for row in progress] == ["progress"]


class Killer:
    """Stops a run at its n-th write of a row or a blob, before the write or after it."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch, stop: int) -> None:
        self._left, self._after = stop // 2, bool(stop % 2)
        assert isinstance(store.tables, MemoryTables)
        store.tables.pause = self._pause
        replace = store.blobs.replace

        async def put(container: str, name: str, content: bytes, etag: str | None) -> str:
            self._count(before=True)
            done = await replace(container, name, content, etag)
            self._count(before=False)
            return done

        monkeypatch.setattr(store.blobs, "replace", put)

    async def _pause(self, _table: str, moment: str) -> None:
        if moment.endswith("write"):
            self._count(before=moment == "before_write")

    def _count(self, *, before: bool) -> None:
        if before is not self._after:
            self._left -= 1
            if self._left == -1:
                raise StoreUnavailableError("killed")


async def taken_at_last(store: Store) -> int:
    """Run by the timer until there is a whole backup; how many runs it took."""
    for run in range(1, 100):
        with suppress(StoreUnavailableError):
            done = await store.back_up().run(DAY)
            if done.whole or not done.backup:
                return run
        store.clock.now += timedelta(minutes=15)
    raise AssertionError("no backup ever became whole")


@pytest.mark.parametrize("stop", range(40))
async def test_a_run_that_is_cut_off_goes_on(
    memory: Store, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """Killed at any write, the next run makes it whole: as if nothing had happened, each row once.

    Also where the write was done and nobody knows.
    """
    monkeypatch.setattr(parts_module, "RAW_BYTES", 6_000)
    await memory.ingest(EVERYTHING)
    there = await memory.everything()
    Killer(memory, monkeypatch, stop)

    runs = await taken_at_last(memory)

    assert runs == 2
    (backup,) = [each async for each in backup_ids(memory.blobs)]
    manifest = await read_manifest(memory.blobs, backup)
    assert manifest.counts == {name: len(rows) for name, rows in there.items() if rows}
    assert len(manifest.parts) > 15
    assert (await memory.manage("backup", "restore", "--compare"))[:2] == (0, [])


async def test_a_run_ends_within_its_time(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the clock takes a minute: many short runs make one backup, every row once."""
    monkeypatch.setattr(parts_module, "RAW_BYTES", 3_000)
    await memory.ingest(EVERYTHING)
    there = await memory.everything()
    copied, runs = 0, 0
    while True:
        done = await memory.back_up(slow(60)).run(DAY)
        runs += 1
        copied += done.copied.total()
        assert done.resumed is (runs > 1)
        if done.whole:
            break

    assert runs > 5
    assert copied == sum(map(len, there.values()))
    assert (await memory.manage("backup", "restore", "--compare"))[0] == 0


async def test_a_backup_is_taken_when_it_is_due(memory: Store) -> None:
    """A day after the last one began, not before; zero takes one at once, none never."""
    first = await memory.back_up().run(DAY)
    memory.clock.now += DAY - timedelta(minutes=2)
    early = await memory.back_up().run(DAY)
    at_once = await memory.back_up().run(timedelta())
    memory.clock.now += DAY
    never = await memory.back_up().run(None)
    due = await memory.back_up().run(DAY)

    assert first.whole
    assert (early.backup, early.whole, early.latest) == ("", False, BEGUN)
    assert at_once.whole
    assert never.backup == ""
    assert due.whole
    assert due.latest == memory.clock.now


async def test_two_backups_of_one_second_are_two(memory: Store) -> None:
    """The second one gets the next second's name."""
    assert (await memory.taken()).backup == "20261103T013000Z"
    assert (await memory.taken()).backup == "20261103T013001Z"


async def test_of_two_runs_one_gives_way(memory: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a run is copying, another one finishes the backup: the first stops and says nothing."""
    await memory.ingest(EVERYTHING)
    put = memory.blobs.replace

    async def other_first(container: str, name: str, content: bytes, etag: str | None) -> str:
        monkeypatch.setattr(memory.blobs, "replace", put)
        assert (await memory.back_up().run(DAY)).whole
        return await put(container, f"{name}.late", content, etag)

    monkeypatch.setattr(memory.blobs, "replace", other_first)
    beaten = await memory.back_up().run(DAY)

    assert not beaten.whole
    assert (await memory.manage("backup", "restore", "--compare"))[0] == 0


async def test_old_backups_go(store: Store) -> None:
    """After their age, with what was never finished; the erasures when none can be undeleted."""
    await store.ingest(EVERYTHING)
    await store.taken()
    await store.blobs.put(BACKUPS, "parts/20261101T000000Z/events/000000-0.jsonl.gz", b"x")
    await keep_erased(store.tables, store.blobs, ErasedTag(store.clock(), (("k", "h"),)))
    store.clock.now += 29 * DAY
    kept = await store.back_up().run(DAY)
    await keep_erased(store.tables, store.blobs, ErasedTag(store.clock(), (("k", "i"),)))
    assert (kept.whole, kept.deleted) == (True, 0)
    store.clock.now += 4 * DAY

    done = await store.back_up().run(None)

    assert done.deleted == 1
    found = await names(store.blobs.names(BACKUPS))
    assert {name.split("/")[1][:8] for name in found if "erasures" not in name} == {"20261202"}
    for days, hashes in ((0, ["h", "i"]), (5, ["h", "i"]), (1, ["i"])):
        store.clock.now += days * DAY + timedelta(minutes=1)
        await store.back_up().run(None)
        erasures = await kept_erasures(store.tables, store.blobs)
        assert [dict(erased.hashes)["k"] for erased in erasures] == hashes, days


async def test_what_is_immutable_stays_whole(
    memory: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account refuses to delete the manifest: its parts stay as well, and the run goes on."""
    await memory.taken()
    before = await names(memory.blobs.names(BACKUPS))
    delete = memory.blobs.delete

    async def refused(container: str, name: str, etag: str | None = None) -> bool:
        return False if name.startswith("manifests/") else await delete(container, name, etag)

    monkeypatch.setattr(memory.blobs, "delete", refused)
    memory.clock.now += 31 * DAY

    assert (await memory.back_up().run(None)).deleted == 0
    assert await names(memory.blobs.names(BACKUPS)) == before
    monkeypatch.setattr(memory.blobs, "delete", delete)
    assert (await memory.back_up().run(None)).deleted == 1
    assert await names(memory.blobs.names(BACKUPS)) == []


async def test_a_walk_goes_on_after_any_row(store: Store) -> None:
    """Keys that begin like others, with a blank or a letter behind: each row once, in its order."""
    keys = ["a", "a b", "a|b", "ab", "b", "b!", "b-", "~"]
    for partition in ("0", "0 1", "0-1", "1"):
        await store.tables.write(EVENTS, [Insert(Row(partition, k, {"schema": 1})) for k in keys])
    every = [(row.partition, row.key) async for row in store.tables.scan(EVENTS)]
    assert every == sorted(every)

    for number, place in enumerate(every):
        after = [(r.partition, r.key) async for r in rows_after(store.tables, EVENTS, *place)]
        assert after == every[number + 1 :]


async def test_a_backup_takes_so_many_days_of_the_journal(store: Store) -> None:
    """Older days stay out with their blobs, undated rows stay in, from any place on, in any bucket.

    Compared with the store they are no difference; restored, all but they are there.
    """
    old = payloads.state_v2(unknown="x" * MAX_ROW_BODY_BYTES, **OLD)
    new = payloads.state_v2(unknown="x" * MAX_ROW_BODY_BYTES)
    await store.ingest([*EVERYTHING, old, new])
    for bucket in ("0", "1", "3"):
        rows = [Row(f"{bucket}-{day}", "k", {"schema": 1}) for day in ("20261101", "20261102")]
        for row in (*rows, Row(f"{bucket}-undated", "j", {"schema": 1})):
            await store.tables.write(EVENTS, [Insert(row)])
    there = await store.everything()

    backup = await store.back_up(journal=DAY).run(timedelta())

    assert backup.whole
    kept = [row for row in there[EVENTS] if row[0].partition("-")[2] >= "20261102"]
    assert 0 < len(kept) < len(there[EVENTS])
    assert (backup.copied[EVENTS], backup.copied["bodies"]) == (len(kept), 1)
    assert len(there["bodies"]) == 2
    assert (await store.manage("backup", "restore", "--compare"))[:2] == (0, [])
    places = [(partition, key) for partition, key, _ in kept]
    for number in range(0, len(places), 9):
        partition, key = places[number]
        after = stored_rows(
            store.tables,
            EVENTS,
            buckets=4,
            journal_from="20261102",
            partition=partition,
            key=key,
        )
        assert [(row.partition, row.key) async for row in after] == places[number + 1 :]


class Many(MemoryTables):
    """Tables of which one holds as many rows as are wanted, made as they are read."""

    wanted = 0

    async def scan(self, table: str, start: str = "", *_: Any, **_more: Any) -> AsyncIterator[Row]:
        if table != EVENTS:
            async for row in super().scan(table, start):
                yield row
            return
        for n in range(self.wanted):
            yield Row("0-20261101", f"x|{n:09}", {"schema": 1, "body_00": f"{n}" * 100})


async def test_memory_does_not_grow_with_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times the rows take no more memory: a part is at hand, never all of them."""
    monkeypatch.setattr(parts_module, "RAW_BYTES", 256 * 1024)
    store = Store(Many(*ALL_TABLES), MemoryBlobs(*ALL_CONTAINERS))
    kept, peaks = 0, []

    async def forgotten(_container: str, _name: str, content: bytes, _etag: str | None) -> str:
        nonlocal kept
        kept += len(content)
        return ""

    monkeypatch.setattr(store.blobs, "replace", forgotten)
    for Many.wanted in (3_000, 30_000):
        tracemalloc.start()
        await store.taken()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert kept > 0
    assert peaks[1] < 1.5 * peaks[0]


class Late(PrefixedTables):
    """The same tables for a run that stands still before it reads the rows of parts."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables, "")
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()

    async def range(
        self, table: str, partition: str, start: str = "", end: str | None = None, **more: Any
    ) -> AsyncIterator[Row]:
        if start.startswith("part|"):
            self.reached.set()
            await self.go_on.wait()
        async for row in super().range(table, partition, start, end, **more):
            yield row


async def test_a_late_deletion_takes_no_part_from_another_backup(
    memory: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs begin side by side: what the beaten one deletes late is nothing of the other's."""
    await memory.ingest(EVERYTHING)
    late = Late(memory.tables)
    beaten = asyncio.create_task(Store(late, memory.blobs).back_up().run(timedelta()))
    await late.reached.wait()
    put, before = memory.blobs.replace, 4

    async def counted(container: str, name: str, content: bytes, etag: str | None) -> str:
        nonlocal before
        before -= 1
        if before == 0:
            late.go_on.set()
            assert not (await beaten).whole
        return await put(container, name, content, etag)

    monkeypatch.setattr(memory.blobs, "replace", counted)

    done = await memory.taken()

    assert beaten.done()
    assert (await read_manifest(memory.blobs, done.backup)).counts == done.copied
    assert (await memory.manage("backup", "restore", "--compare"))[:2] == (0, [])


async def test_a_backup_of_which_a_part_is_unknown_never_becomes_whole(
    memory: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins anew under another name, and leaves no row behind."""
    await memory.ingest(EVERYTHING)
    put, before = memory.blobs.replace, 4

    async def counted(container: str, name: str, content: bytes, etag: str | None) -> str:
        nonlocal before
        before -= 1
        if before == 0:
            (row, *_) = [r async for r in memory.tables.range(STORE, "backup", "part|", "part|~")]
            await memory.tables.write(STORE, [Delete(row.partition, row.key)])
        return await put(container, name, content, etag)

    monkeypatch.setattr(memory.blobs, "replace", counted)

    broken = await memory.back_up().run(DAY)

    assert (broken.anew, broken.whole, broken.backup) == (True, False, "20261103T013001Z")
    assert [each async for each in backup_ids(memory.blobs)] == []
    done = await memory.back_up().run(DAY)
    assert (done.whole, done.backup) == (True, broken.backup)
    assert (await memory.manage("backup", "restore", "--compare"))[:2] == (0, [])
    assert [row.key async for row in memory.tables.range(STORE, "backup")] == ["progress"]


async def test_a_store_that_is_being_restored_is_not_backed_up(memory: Store) -> None:
    """What a restore writes may name who was erased: it is refused until the restore is done."""
    await memory.ingest(EVERYTHING)
    await memory.tables.write(
        STORE, [Insert(Row("backup", "restore", {"schema": 1, "id": "20261101T000000Z"}))]
    )
    memory.clock.now += 40 * DAY

    with pytest.raises(BackupError, match="backup restore 20261101T000000Z") as error:
        await memory.back_up().run(DAY)

    assert error.value.code == "restore_under_way"
    assert await names(memory.blobs.names(BACKUPS)) == []
    await memory.tables.write(STORE, [Delete("backup", "restore")])
    assert (await memory.back_up().run(DAY)).whole


@pytest.mark.parametrize("stop", [3, 20, 38])
async def test_a_rehash_beside_a_backup_loses_no_tag(
    memory: Store, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """Tags move to before the place where the backup is: it begins anew, and holds them all."""
    monkeypatch.setattr(parts_module, "RAW_BYTES", 1)
    before = b"another horse battery staple 0123456789"
    memory.settings["TAG_HASH_KEY_PREVIOUS"] = before.decode()
    for number in range(40):
        row = tag_row(Tag(tag=f"AA{number:02}"), before)
        await memory.tables.write(TAGS, [Insert(row)])
    put = memory.blobs.replace

    async def counted(container: str, name: str, content: bytes, etag: str | None) -> str:
        nonlocal stop
        stop -= 1
        if stop == 0:
            assert (await memory.manage("tags", "rehash"))[0] == 0
        return await put(container, name, content, etag)

    monkeypatch.setattr(memory.blobs, "replace", counted)

    beaten = await memory.back_up().run(timedelta(hours=24))
    again = await memory.back_up().run(timedelta(hours=24))

    assert (beaten.whole, again.whole) == (False, True)
    assert (await memory.manage("backup", "restore", "--compare"))[:2] == (0, [])
    assert again.copied[TAGS] == 40
    # A rehash that finds nothing to move leaves a backup alone.
    under_way = await memory.back_up(slow(200)).run(timedelta())
    assert (await memory.manage("tags", "rehash"))[0] == 0
    assert (await memory.back_up().run(timedelta())).backup == under_way.backup
