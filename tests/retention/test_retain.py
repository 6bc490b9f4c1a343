"""Retention: what is due goes, whole, and nothing else; wrong clocks neither kill nor save."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from shared.errors import StoreUnavailableError
from shared.identifiers import hash_tag
from shared.ingestion.ingest import Ingestion
from shared.ingestion.messages import IncomingMessage
from shared.reconciliation.finding_book import FindingBook, repaired
from shared.reconciliation.findings import Finding, FindingClass
from shared.reconciliation.ledger import Ledger
from shared.reconciliation.pairing_writer import Pairing
from shared.reconciliation.windows import Window
from shared.retention.due import is_due
from shared.retention.retain import Retained, Retention
from shared.sessions.rebuilding import session_of
from shared.sessions.writer import SessionWriter, row_of_unlisted
from shared.storage.bodies import MAX_ROW_BODY_BYTES, read_body
from shared.storage.containers import ALL_CONTAINERS, BODIES
from shared.storage.erased import mark_erased
from shared.storage.ledger_keys import PARTITION, RUN_ROWS
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.rows import Insert, Row, Upsert, Value
from shared.storage.tables import ALL_TABLES, EVENTS, PARKED, RECONCILIATION, SESSIONS, STORE, TAGS
from tests import payloads

THEN = datetime(2026, 11, 2, 12, tzinfo=UTC)
KEY = b"k" * 32
DAY = timedelta(days=1)
LARGE_STATE = payloads.state_v2(unknown="x" * MAX_ROW_BODY_BYTES)


class Store:
    """A store whose clock is moved by hand, and retention on it."""

    def __init__(self) -> None:
        self.now = THEN
        self.tables = MemoryTables(*ALL_TABLES, clock=self.clock)
        self.blobs = MemoryBlobs(*ALL_CONTAINERS, clock=self.clock)

    def clock(self) -> datetime:
        return self.now

    async def take(self, *bodies: bytes) -> None:
        writer = SessionWriter(self.tables, buckets=4, tag_hash_key=KEY)
        ingestion = Ingestion(self.tables, self.blobs, buckets=4, sessions=writer, clock=self.clock)
        await ingestion.ingest([IncomingMessage(body=body) for body in bodies])

    def retention(
        self, elapsed: Callable[[], float] = lambda: 0.0, *, sessions: int = 3650
    ) -> Retention:
        days = {"JOURNAL": 400, "SESSIONS": sessions, "AUTHORIZATION": 90, "PARKED": 400}
        days |= {"RUNS": 90, "WINDOWS": 400, "FINDINGS": 400}
        return Retention(
            self.tables,
            self.blobs,
            ages={f"RETENTION_{name}_DAYS": number * DAY for name, number in days.items()},
            buckets=4,
            hash_keys=[KEY],
            clock=self.clock,
            elapsed=elapsed,
        )

    async def retain(self, *, after: timedelta) -> Retained:
        self.now = THEN + after
        return await self.retention().run()

    def count(self, table: str) -> int:
        return len(self.tables.rows(table))

    async def blob_names(self) -> list[str]:
        return [name async for name in self.blobs.names(BODIES)]


def slow(seconds: float) -> Callable[[], float]:
    """A clock of which each look takes so long."""
    ticks: Iterator[int] = count()
    return lambda: next(ticks) * seconds


@pytest.mark.parametrize(
    ("own", "written", "due"),
    [
        (THEN - DAY, THEN - DAY, True),
        (THEN - DAY, THEN, False),
        (THEN, THEN - DAY, False),
        (datetime(1970, 1, 1, tzinfo=UTC), THEN, False),
        (datetime(1970, 1, 1, tzinfo=UTC), THEN - DAY, True),
        (datetime(2099, 1, 1, tzinfo=UTC), THEN - DAY, True),
        (datetime(2099, 1, 1, tzinfo=UTC), THEN, False),
        (None, THEN - DAY, True),
        (None, THEN, False),
        (THEN - DAY, None, False),
    ],
)
def test_both_times_decide(own: datetime | None, written: datetime | None, due: bool) -> None:  # noqa: FBT001 - a parameter
    """The row's own time and the store's; a time that was not yet is none; no timestamp keeps."""
    assert is_due(own, written, THEN) is due


async def test_the_journal_goes_after_its_age_and_not_before() -> None:
    """A day is kept whole: 400 days after its end it is gone, the hour before it is there."""
    store = Store()
    await store.take(payloads.state_v2(), payloads.measurements())
    end_of_day = datetime(2026, 11, 3, tzinfo=UTC) - THEN

    early = await store.retain(after=400 * DAY + end_of_day - timedelta(hours=1))
    assert (early.deleted, store.count(EVENTS)) == ({}, 2)

    # The partition of a day is walked when the whole of it is beyond the age.
    late = await store.retain(after=401 * DAY)
    assert (dict(late.deleted), store.count(EVENTS)) == ({EVENTS: 2}, 0)
    assert late.finished


async def test_a_session_goes_whole() -> None:
    """Claims, summary, rows by end and the rows under its tag; a younger session stays whole."""
    store = Store()
    await store.take(payloads.start_v2(), payloads.full_v2())
    before = store.count(SESSIONS), store.count(TAGS)
    store.now = THEN + DAY
    later = {"chargerId": "CH-1", "receivedTimestamp": "2026-11-03T10:41:43Z"}
    later |= {"deviceTimeStampStart": "2026-11-03T09:00:00Z"}
    await store.take(payloads.full_v2(**later, deviceTimeStampEnd="2026-11-03T10:41:43Z"))
    assert store.count(SESSIONS) > before[0]

    done = await store.retain(after=3650 * DAY + timedelta(hours=1))

    assert (done.deleted[SESSIONS], done.deleted[TAGS]) == before
    assert all("CH-1" in row.key for row in store.tables.rows(SESSIONS))
    assert all("CH-1" in row.key for row in store.tables.rows(TAGS))
    done = await store.retain(after=3651 * DAY + timedelta(hours=1))
    assert store.count(SESSIONS) == store.count(TAGS) == 0


@pytest.mark.parametrize("sessions", [30, 400])
async def test_no_session_goes_before_the_events_that_it_finds(sessions: int) -> None:
    """With a shorter age than the journal's, or the same, a session goes with its last event."""
    store = Store()
    await store.take(payloads.start_v2(), payloads.full_v2())
    held = []
    for hours in range(399 * 24, 403 * 24, 3):
        store.now = THEN + timedelta(hours=hours)
        await store.retention(sessions=sessions).run()
        held.append((store.count(EVENTS) > 0, store.count(SESSIONS) > 0))

    assert (True, False) not in held
    assert (held[0], held[-1]) == ((True, True), (False, False))


async def test_a_session_that_nobody_ended_goes_by_its_start() -> None:
    """Open for ten years, it is listed as open no longer."""
    store = Store()
    await store.take(payloads.start_v2())

    await store.retain(after=3649 * DAY)
    assert store.count(SESSIONS) == 3
    await store.retain(after=3651 * DAY)

    assert store.count(SESSIONS) == store.count(TAGS) == 0


async def test_paired_and_unlisted_sessions_go_whole() -> None:
    """Claims without an id go with what they are part of, and all that stands under their tags."""
    store = Store()
    nothing = {"transactionId": "-1"}
    start = {"deviceTimeStamp": "2026-11-02T09:11:32.4Z"}
    await store.take(payloads.start_v2(**nothing, **start), payloads.full_v2(**nothing))
    await store.take(payloads.start_v2(chargerId="CH-8", transactionId="8"))
    names = [
        (row.partition, session_of(row))
        for row in store.tables.rows(SESSIONS)
        if not row.key.startswith("!")
    ]
    paired = await Pairing(store.tables, tag_hash_key=KEY).pair(sorted(set(names)))
    assert {len(each.members) for each in paired} == {1, 2}
    (open_one,) = [each for each in paired if each.session.endswith("|8")]
    (claim,) = open_one.claims
    hashed = hash_tag(str(claim.tag), KEY)
    await store.tables.write(TAGS, [Insert(row_of_unlisted(hashed, open_one.session, claim))])

    await store.retain(after=3651 * DAY)

    assert store.count(SESSIONS) == store.count(TAGS) == 0


async def test_a_claim_that_comes_meanwhile_saves_its_session() -> None:
    """Between the reading of a session and its deletion a claim arrives: nothing of it is gone."""
    store = Store()
    await store.take(payloads.full_v2())
    store.now = THEN + 3651 * DAY
    calm = store.tables.pause

    async def claim_comes(table: str, moment: str) -> None:
        if (table, moment) == (SESSIONS, "before_write"):
            store.tables.pause = calm
            store.now = THEN
            await store.take(payloads.start_v2())
            store.now = THEN + 3651 * DAY

    store.tables.pause = claim_comes
    done = await store.retention().run()

    assert done.deleted[SESSIONS] == 0
    assert len([r for r in store.tables.rows(SESSIONS) if not r.key.startswith("!")]) == 3


@pytest.mark.parametrize("day", ["19700101", "20990101", "undated"])
async def test_a_day_that_cannot_be_goes_by_the_store_s_clock(day: str) -> None:
    """A row under 1970, 2099 or no day stays 400 days after it was written, and goes then."""
    store = Store()
    await store.tables.write(EVENTS, [Insert(Row(f"2-{day}", "x|y", {"schema": 1}))])

    assert (await store.retain(after=399 * DAY)).deleted == {}
    assert dict((await store.retain(after=401 * DAY)).deleted) == {EVENTS: 1}


@pytest.mark.parametrize("end", ["2099-01-01T00:00:00.000000Z", "undated"])
async def test_an_end_that_cannot_be_goes_by_the_store_s_clock(end: str) -> None:
    """A session whose end is in the far future does not stay for ever."""
    store = Store()
    key = f"CH|7|stop|{'d' * 32}"
    claim: dict[str, Value] = {"schema": 1, "source": "stop", "charger": "CH", "transaction": "7"}
    claim |= {"name": "d" * 32, "digest": "d" * 32}
    if end != "undated":
        claim["end"] = end
    await store.tables.write(SESSIONS, [Insert(Row("1", key, claim))])
    await store.tables.write(SESSIONS, [Insert(Row("1", f"!end|{end}|{key}", {"schema": 1}))])

    await store.retain(after=3649 * DAY)
    assert store.count(SESSIONS) == 2
    await store.retain(after=3651 * DAY)
    assert store.count(SESSIONS) == 0


async def test_parked_messages_go_with_their_bytes() -> None:
    """Rows and blobs, by the time of their parking."""
    store = Store()
    await store.take(b"nonsense", b"x" * (MAX_ROW_BODY_BYTES + 1))

    await store.retain(after=399 * DAY)
    assert (store.count(PARKED), len(await store.blob_names())) == (2, 1)
    done = await store.retain(after=401 * DAY)

    assert dict(done.deleted) == {PARKED: 2, BODIES: 1}
    assert await store.blob_names() == []


async def test_a_parked_message_that_comes_again_gets_its_whole_age() -> None:
    """Parked on the first day and again on the 399th, it goes 400 days after that; its tries count.

    What comes again within a day is the same delivery: it changes nothing.
    """
    store = Store()
    await store.take(b"nonsense")
    store.now = THEN + timedelta(hours=23)
    await store.take(b"nonsense")
    (first,) = store.tables.rows(PARKED)
    assert (first.columns["times_parked"], "last_parked_at" in first.columns) == (1, False)
    store.now = THEN + 399 * DAY
    for _ in range(2):
        await store.take(b"nonsense", b"nonsense")

    await store.retain(after=401 * DAY)
    (row,) = store.tables.rows(PARKED)
    await store.retain(after=800 * DAY)

    assert (row.columns["times_parked"], row.columns["state"]) == (2, "parked")
    assert row.columns["parked_at"] == first.columns["parked_at"]
    assert store.count(PARKED) == 0


async def test_a_large_body_goes_after_its_row() -> None:
    """No row that can be read points at nothing; what a crash leaves is found by the next run."""
    store = Store()
    await store.take(payloads.state_v2(unknown="x" * MAX_ROW_BODY_BYTES))
    (name,) = await store.blob_names()
    seen: list[int] = []

    async def away(container: str, name: str, _etag: str | None = None) -> bool:
        seen.append(store.count(EVENTS))
        raise StoreUnavailableError(f"{container} {name}: away")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store.blobs, "delete", away)
        with pytest.raises(StoreUnavailableError):
            await store.retain(after=402 * DAY)

    assert seen == [0]
    assert await store.blob_names() == [name]
    assert dict((await store.retain(after=402 * DAY)).deleted) == {BODIES: 1}


@pytest.mark.parametrize("body", [b"x" * (MAX_ROW_BODY_BYTES + 1), LARGE_STATE])
@pytest.mark.parametrize("moment", ["row", "blob"])
async def test_a_body_that_comes_again_meanwhile_keeps_its_blob(body: bytes, moment: str) -> None:
    """Just before its old row or its old blob is deleted, the message comes again, blob and row."""
    store = Store()
    await store.take(body)
    delete, calm = store.blobs.delete, store.tables.pause
    came = False

    async def comes_again() -> None:
        nonlocal came
        if not came:
            came, store.tables.pause = True, calm
            await store.take(body)

    async def before_blob(container: str, name: str, etag: str | None = None) -> bool:
        await comes_again()
        return await delete(container, name, etag)

    async def before_row(table: str, at: str) -> None:
        if table in (EVENTS, PARKED) and at == "before_write":
            await comes_again()

    with pytest.MonkeyPatch.context() as patch:
        if moment == "blob":
            patch.setattr(store.blobs, "delete", before_blob)
        else:
            store.tables.pause = before_row
        await store.retain(after=402 * DAY)

    assert came
    rows = [*store.tables.rows(EVENTS), *store.tables.rows(PARKED)]
    assert [await read_body(store.blobs, row.columns) for row in rows] == [body] * len(rows)
    assert len(rows) == 1


async def test_blobs_whose_rows_are_still_to_come_stay() -> None:
    """A blob is written before its row: a new one without a row is no orphan."""
    store = Store()
    for name in ("parked/" + "a" * 64, "events/1-20200101/" + "d" * 32):
        await store.blobs.put(BODIES, name, b"x")

    assert (await store.retain(after=timedelta(hours=1))).deleted == {}
    assert dict((await store.retain(after=2 * DAY)).deleted) == {BODIES: 1}
    assert dict((await store.retain(after=401 * DAY)).deleted) == {BODIES: 1}


async def test_a_run_that_is_out_of_time_goes_on_at_the_next() -> None:
    """100,000 rows in pieces of eight minutes: only what is due is gone, and all of it."""
    store = Store()
    days = [20260901 + n for n in range(10)]
    for bucket in range(4):
        for day in days:
            partition = f"{bucket}-{day}"
            for n in range(25):
                rows = [Row(partition, f"x|{n:03}|{m:03}", {"schema": 1}) for m in range(100)]
                await store.tables.write(EVENTS, [Insert(row) for row in rows])
    assert store.count(EVENTS) == 100_000
    # The end of the sixth day is 400 days ago, to the minute.
    store.now = datetime(2026, 9, 7, tzinfo=UTC) + 400 * DAY + timedelta(minutes=1)
    for row in store.tables._tables[EVENTS].values():
        object.__setattr__(row, "timestamp", datetime(2026, 9, 10, tzinfo=UTC) - 10 * DAY)

    deleted, runs = 0, 0
    while True:
        done = await store.retention(slow(30)).run()
        runs += 1
        deleted += done.deleted[EVENTS]
        assert done.resumed is (runs > 1)
        if done.finished:
            break

    assert runs > 2
    assert deleted == 60_000
    assert {row.partition[2:] for row in store.tables.rows(EVENTS)} == {str(d) for d in days[6:]}
    (progress,) = store.tables.rows(STORE)
    assert progress.columns["step"] == ""


async def test_a_row_that_is_written_meanwhile_stays() -> None:
    """What somebody writes between reading and deleting is another row: an erasure's, for one."""
    store = Store()
    await store.take(payloads.state_v2(), payloads.state_v2(socketId=2))
    store.now = THEN + 402 * DAY
    calm = store.tables.pause

    async def written(table: str, moment: str) -> None:
        if (table, moment) == (EVENTS, "before_write"):
            store.tables.pause = calm
            await store.tables.write(EVENTS, [Upsert(store.tables.rows(EVENTS)[0])])

    store.tables.pause = written
    done = await store.retention().run()

    assert done.deleted[EVENTS] == 1
    assert [row.columns["socket"] for row in store.tables.rows(EVENTS)] == [1]


async def test_what_reconciliation_knows_goes_kind_by_kind() -> None:
    """Runs, proofs and findings have ages of their own; lease, edges and open findings stay."""
    store = Store()
    ledger = await Ledger.take(store.tables, store.clock, run="r", holder="t", lasts=DAY)
    open_one, missing = (
        Finding(cls, f"CH|{cls}", THEN, "CH", str(cls))
        for cls in (FindingClass.ENERGY_DIFFERS, FindingClass.MISSING_IN_STORE)
    )
    book = await FindingBook.read(store.tables)
    writes = book.seen([open_one], compared=[], classes=[], as_of=THEN)
    windows = [
        Window(THEN - DAY, THEN, THEN),
        Window(THEN - 3 * DAY, THEN, THEN - DAY),
        Window(THEN, None, THEN),
    ]
    await ledger.commit(windows=windows, findings=[*writes, repaired(missing)])
    await ledger.commit(run=ledger.opening(), front=THEN)
    left = []
    for days in (89, 91, 399, 401, 3649, 3651):
        await store.retain(after=days * DAY)
        rows = store.tables.rows(RECONCILIATION)
        left.append([row.key.partition("|")[0] for row in rows])

    assert left == [
        ["!lease", "closed", "open", "run", "wide", "wide", "window"],
        ["!lease", "closed", "open", "wide", "wide", "window"],
        ["!lease", "closed", "open", "wide", "wide", "window"],
        ["!lease", "open"],
        ["!lease", "open"],
        ["!lease"],
    ]


async def test_a_walk_over_one_partition_goes_on_where_it_stopped() -> None:
    """Of the ledger and of marks, what a run had no time for is gone after the next, all of it."""
    store = Store()
    for number in range(450):
        row = Row(PARTITION, f"{RUN_ROWS}{number:04}", {"began": "2026-11-01T00:00:00.000000Z"})
        await store.tables.write(RECONCILIATION, [Insert(row)])
        await mark_erased(store.tables, f"{number:04}-20251101")
    store.now = THEN + 500 * DAY
    counts = []
    for _ in range(40):
        done = await store.retention(slow(250)).run()
        counts.append((store.count(RECONCILIATION), store.count(STORE), done.finished))
        if done.finished:
            break

    # One row of the store is retention's own progress.
    assert counts[-1] == (0, 1, True)
    assert len(counts) > 3
