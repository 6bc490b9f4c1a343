"""The audit: a row for each decision, beside the answer, tried again, counted when lost."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from shared.authorization import audit as auditing
from shared.authorization.audit import Audit, Entry
from shared.authorization.taps import Cause, Decision
from shared.authorization.unknown_tags import MANY, Guessing, UnknownTags
from shared.errors import StoreUnavailableError
from shared.identifiers import hash_tag
from shared.storage.memory import MemoryTables
from shared.storage.requests import counted
from shared.storage.rows import Upsert
from shared.storage.tables import ALL_TABLES, AUTHORIZATIONS, UNKNOWN_TAGS
from shared.tags.records import Tag
from tests.authorization.taps import BUCKETS, CHARGER, HASH_KEY, NOW, SECOND, TAG, Store, Tapper


def entry(n: int = 0, cause: Cause = Cause.KNOWN_TAG, **changes: Any) -> Entry:
    fields: dict[str, Any] = {
        "at": NOW + n * SECOND,
        "charger": CHARGER,
        "tag": TAG,
        "hashed": hash_tag(TAG, HASH_KEY),
        "decision": Decision(allowed=cause is Cause.KNOWN_TAG, cause=cause),
        "milliseconds": 1.25,
    }
    return Entry(**(fields | changes))


def audit_on(tables: MemoryTables, **changes: Any) -> Audit:
    return Audit(tables, buckets=BUCKETS, inbox=UnknownTags(tables), **({"linger": 0.0} | changes))


async def away(_table: str, _moment: str) -> None:
    raise StoreUnavailableError("away")


async def test_each_decision_leaves_a_row() -> None:
    """Allowed, denied, invalid and deferred taps: charger, tag, decision, cause, source, times."""
    store = Store()
    await store.has_charger()
    await store.knows(Tag(tag=TAG))
    tapper = Tapper(store)
    await tapper.tap()
    tapper.now += SECOND
    await tapper.tap("OTHER")
    tapper.now += SECOND
    await tapper.tap(tag=7)
    tapper.now += SECOND
    store.tables.pause = away
    await tapper.tap()
    store.tables.pause = MemoryTables().pause
    await tapper.audit.written()

    found = sorted(store.audited(), key=lambda columns: columns["at"])
    told = [
        [columns.get(name) for name in ("tag", "decision", "cause", "reason", "source")]
        for columns in found
    ]
    assert told == [
        [TAG, "allowed", "known_tag", None, "live"],
        ["OTHER", "denied", "unknown_tag", "UNKNOWN_RFID_TAG_ID", "live"],
        [None, "denied", "invalid_tap", "UNAUTHORIZED_RFID_TAG_ID", "live"],
        [TAG, "deferred", "store_unavailable", None, "policy"],
    ]
    assert {columns["charger"] for columns in found} == {CHARGER}
    assert found[0]["tag_hash"] == hash_tag(TAG, HASH_KEY)
    assert found[0]["at"] == "2026-11-02T12:00:00.000000Z"
    assert found[0]["charger_judged"] is True
    assert found[3]["error_code"] == "store_unavailable"
    assert all(columns["milliseconds"] >= 0 for columns in found)


async def test_a_charger_s_day_is_one_range() -> None:
    """The partition is bucket and day, the key begins with charger and time, no two rows meet."""
    tables = MemoryTables(*ALL_TABLES)
    audit = audit_on(tables)
    for n in (0, 0, 0, 2, 1):
        audit.note(entry(n))
    audit.note(entry(86_400))
    await audit.written()

    keys = [(row.partition, row.key.rpartition("|")[0]) for row in tables.rows(AUTHORIZATIONS)]
    partition = keys[0][0].removesuffix("20261102")
    assert keys == [
        *[(f"{partition}20261102", f"{CHARGER}|2026-11-02T12:00:00.000000Z")] * 3,
        (f"{partition}20261102", f"{CHARGER}|2026-11-02T12:00:01.000000Z"),
        (f"{partition}20261102", f"{CHARGER}|2026-11-02T12:00:02.000000Z"),
        (f"{partition}20261103", f"{CHARGER}|2026-11-03T12:00:00.000000Z"),
    ]


async def test_rows_of_a_moment_share_a_transaction() -> None:
    """What waits is written in groups, and none of it counts as an invocation's request."""
    tables = MemoryTables(*ALL_TABLES)
    audit, writes = audit_on(tables), []

    async def counting(table: str, moment: str) -> None:
        if moment == "before_write":
            writes.append(table)

    tables.pause = counting
    with counted() as requests:
        for n in range(150):
            audit.note(entry(n))
        await audit.written()

    assert len(tables.rows(AUTHORIZATIONS)) == 150
    assert writes == [AUTHORIZATIONS] * 2
    assert requests.total == 0


async def test_the_answer_waits_for_no_audit() -> None:
    """With a store whose audit never answers, a tap is decided all the same."""
    store = Store()
    await store.has_charger()
    await store.knows(Tag(tag=TAG))

    async def no_audit(table: str, _moment: str) -> None:
        if table in (AUTHORIZATIONS, UNKNOWN_TAGS):
            raise StoreUnavailableError("away")

    store.tables.pause = no_audit
    tapper = Tapper(store)

    assert (await tapper.tap()).decision.cause is Cause.KNOWN_TAG
    assert tapper.audit.waiting == 1
    await tapper.audit.close()


async def test_what_could_not_be_written_is_tried_again() -> None:
    """A store that comes back gets every row once; pauses grow meanwhile."""
    tables = MemoryTables(*ALL_TABLES)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 8:
            tables.pause = MemoryTables().pause

    tables.pause = away
    audit = audit_on(tables, sleep=sleep)
    for n in range(3):
        audit.note(entry(n, Cause.UNKNOWN_TAG))
    await audit.written()

    assert len(tables.rows(AUTHORIZATIONS)) == 3
    assert [row.columns["count"] for row in tables.rows(UNKNOWN_TAGS)] == [3]
    assert slept == [0, 0.5, 1, 2, 4, 8, 15, 15]
    assert (audit.waiting, audit.lost) == (0, 0)


async def test_what_is_lost_is_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """After ten minutes a row is given up: the count says so, and an error line."""
    assert auditing.RETRIED_FOR_SECONDS == 600
    tables = MemoryTables(*ALL_TABLES)
    tables.pause = away
    audit = audit_on(tables, retried_for=0.0)
    for n in range(3):
        audit.note(entry(n))

    await audit.written()

    assert (audit.waiting, audit.lost) == (0, 3)
    (line,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert line.getMessage() == "audit_lost: 3 rows, 3 since the start"
    assert TAG not in caplog.text


async def test_a_loss_is_told_once() -> None:
    """What was lost since the line before is told once, and the next loss by itself."""
    tables = MemoryTables(*ALL_TABLES)
    tables.pause = away
    audit = audit_on(tables, retried_for=0.0)
    told = [audit.lost_since_told()]
    for losses in (2, 1):
        for n in range(losses):
            audit.note(entry(n))
        await audit.written()
        told += [audit.lost_since_told(), audit.lost_since_told()]

    assert told == [0, 2, 0, 1, 0]
    assert audit.lost == 3


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that stays away does not fill the worker: the oldest rows go first, counted."""
    monkeypatch.setattr(auditing, "MOST_WAITING", 10)
    tables = MemoryTables(*ALL_TABLES)
    audit = audit_on(tables)
    for n in range(25):
        audit.note(entry(n))
    await audit.written()

    assert audit.lost == 15
    assert tables.rows(AUTHORIZATIONS)[0].columns["at"] == "2026-11-02T12:00:15.000000Z"


async def test_a_row_that_cannot_be_takes_no_other_with_it() -> None:
    """A row that breaks a limit of the store is lost alone."""
    tables = MemoryTables(*ALL_TABLES)
    audit = audit_on(tables)
    for n in range(3):
        audit.note(entry(n, tag="x" * 40_000 if n == 1 else TAG))
    await audit.written()

    assert (len(tables.rows(AUTHORIZATIONS)), audit.lost) == (2, 1)


async def test_closing_writes_what_waits() -> None:
    """A command that ends leaves its rows behind."""
    tables = MemoryTables(*ALL_TABLES)
    audit = audit_on(tables, linger=3600)
    audit.note(entry())

    await audit.close()

    assert len(tables.rows(AUTHORIZATIONS)) == 1


async def test_unknown_tags_are_kept_in_an_inbox() -> None:
    """How often, first and last time, and the charger of the last; known tags are not in it."""
    tables = MemoryTables(*ALL_TABLES)
    audit = audit_on(tables)
    audit.note(entry(5, Cause.UNKNOWN_TAG, charger="CH-5"))
    await audit.written()
    audit.note(entry(1, Cause.UNKNOWN_TAG, charger="CH-1"))
    audit.note(entry(9, Cause.UNKNOWN_TAG, charger="CH-9", tag="04:a2:2b:7f"))
    audit.note(entry(9, Cause.BLOCKED, tag="OTHER", hashed=hash_tag("OTHER", HASH_KEY)))
    await audit.written()

    (row,) = tables.rows(UNKNOWN_TAGS)
    assert row.key == hash_tag(TAG, HASH_KEY)
    assert row.columns == {
        "schema": 1,
        "count": 3,
        "first": "2026-11-02T12:00:01.000000Z",
        "last": "2026-11-02T12:00:09.000000Z",
        "charger": "CH-9",
        "tag": TAG,
        "spelling": "04:a2:2b:7f",
    }


async def test_a_tag_that_cannot_be_noted_counts_no_other_twice() -> None:
    """While one row of the inbox cannot be written, the others of its part are counted once."""
    tables = MemoryTables(*ALL_TABLES)
    failing = 3

    async def half_away(table: str, moment: str) -> None:
        nonlocal failing
        if (table, moment) == (UNKNOWN_TAGS, "before_write") and failing:
            failing -= 1
            raise StoreUnavailableError("busy")

    async def at_once(_seconds: float) -> None:
        pass

    tables.pause = half_away
    audit = audit_on(tables, sleep=at_once)
    for tag in ("A", "B", "C", "D"):
        audit.note(entry(0, Cause.UNKNOWN_TAG, tag=tag, hashed=hash_tag(tag, HASH_KEY)))
    await audit.written()

    assert [row.columns["count"] for row in tables.rows(UNKNOWN_TAGS)] == [1, 1, 1, 1]


async def test_two_workers_count_an_unknown_tag_together() -> None:
    """Whoever is overtaken reads the row again."""
    tables = MemoryTables(*ALL_TABLES)
    inbox, other = UnknownTags(tables), UnknownTags(tables)
    await inbox.take([entry(0, Cause.UNKNOWN_TAG)])
    between = True

    async def other_comes_between(table: str, moment: str) -> None:
        nonlocal between
        if between and (table, moment) == (UNKNOWN_TAGS, "before_write"):
            between = False
            await other.take([entry(1, Cause.UNKNOWN_TAG)])

    tables.pause = other_comes_between
    await inbox.take([entry(2, Cause.UNKNOWN_TAG)])

    assert [row.columns["count"] for row in tables.rows(UNKNOWN_TAGS)] == [3]


async def test_a_row_of_an_older_release_is_counted_on() -> None:
    """The inbox goes on from whatever row is there."""
    tables = MemoryTables(*ALL_TABLES)
    await UnknownTags(tables).take([entry(0, Cause.UNKNOWN_TAG)])
    (row,) = tables.rows(UNKNOWN_TAGS)
    await tables.write(UNKNOWN_TAGS, [Upsert(row)])
    await UnknownTags(tables).take([entry(0, Cause.UNKNOWN_TAG)])

    assert tables.rows(UNKNOWN_TAGS)[0].columns["count"] == 2


def test_a_charger_that_tries_many_unknown_tags_is_noticed() -> None:
    """Ten different ones within an hour; one tag tapped often is none of that."""

    def tries(*tags: str, charger: str = CHARGER, apart: timedelta = SECOND) -> list[bool]:
        return [
            guessing.tries_many(entry(charger=charger, hashed=tag, at=NOW + n * apart))
            for n, tag in enumerate(tags)
        ]

    tags = [f"T{n}" for n in range(MANY)]
    guessing = Guessing()
    assert tries(*tags) == [False] * (MANY - 1) + [True]
    assert tries(*["T"] * 50, charger="CH-1") == [False] * 50
    assert not any(tries(*tags * 3, charger="CH-2", apart=timedelta(minutes=7)))


async def test_such_a_charger_is_a_finding(caplog: pytest.LogCaptureFixture) -> None:
    """The tap's answer carries the finding, and a line names the charger, not the tag."""
    store = Store()
    await store.has_charger()
    tapper = Tapper(store)

    found = [(await tapper.tap(f"CANARY{n}")).findings for n in range(MANY)]

    assert found == [None] * (MANY - 1) + [{"many_unknown_tags": 1}]
    assert [record.getMessage() for record in caplog.records] == [
        f"many_unknown_tags: charger '{CHARGER}'"
    ]
