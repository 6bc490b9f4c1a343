"""An erasure beside another person's full day: whatever digits the tag has, nothing of it changes.

Digits are met everywhere: in instants, meter values, ids, versions, in the ledger of
reconciliation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.authorization.audit import Entry, audit_row
from shared.authorization.taps import Cause, Decision
from shared.identifiers import hash_tag
from shared.ingestion.messages import IncomingMessage
from shared.instants import format_instant
from shared.privacy.erasing import Erasure
from shared.privacy.finding import Search
from shared.reconciliation.findings import Finding, FindingClass, Known, State, known_row
from shared.reconciliation.ledger import Ledger, read_standing
from shared.reconciliation.runs import Outcome, RunRow, run_row
from shared.reconciliation.windows import Window, window_row
from shared.retention.policies import WALKED_FOR_TAGS
from shared.sessions.claims import Claim, Source
from shared.sessions.writer import SessionWriter
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.rows import Row, Upsert
from shared.storage.tables import (
    ALL_TABLES,
    AUTHORIZATIONS,
    EVENTS,
    RECONCILIATION,
    SESSIONS,
    STORE,
    TAG_GROUPS,
    TAGS,
)
from shared.tags.groups import Group, group_row
from shared.tags.records import Tag, tag_row
from tests import payloads
from tests.privacy.test_privacy import KEY, NOW, Store

OTHER = "05B2B1C3"
THEIRS = {"authorizedIdTag": OTHER}
EIGHT = datetime(2026, 11, 2, 8, 11, 32, 100_000, tzinfo=UTC)
TIMES = {"deviceTimeStampStart": "2026-11-02T09:00:00+01:00", "deviceTimeStampEnd": "2026-11-02"}
OTHERS_DAY = [
    *(make() for make in (payloads.state_v2, payloads.boot_v1, payloads.measurements)),
    *(
        make(**THEIRS)
        for make in (payloads.start_v2, payloads.full_v2, payloads.start_v1, payloads.full_v1)
    ),
    payloads.start_v2(**THEIRS, transactionId="4711", deviceTimeStamp="2026-11-02T10:00:00Z"),
    payloads.full_v2(**THEIRS, **TIMES, transactionId="4711", meterReadEnd="13300"),
    payloads.boot_v2(firmwareVersion="1.2.34", serialNumber="2026-1234", chargerModel="1132"),
    payloads.state_v2(
        errorCode="4242",
        message="well since 2026-11-02 09:12:34.5678, 2026-11-02T10:00:00+01:00, on 2026-11-02",
        deviceTimeStamp="2026-11-02T09:00:00.0000Z",
        power="12.34",
        run="00001132-0000-2026-1102-000000091132",
    ),
    payloads.state_v2(message="x" * 5000),
    # Cut off, so that it is parked: all of it stands in bytes that are no JSON.
    payloads.full_v2(**THEIRS, transactionId="1132", meterReadEnd=1332)[:-20],
    payloads.start_v2(**THEIRS, transactionId="1132", chargerId="1132")[:-1]
    .decode()
    .encode("utf-16"),
]


def others_rest() -> Claim:
    body = {"id": 1132, "timestampEnd": "2026-11-02T09:11:32Z", "totalCost": "12.34"}
    return Claim(
        source=Source.REST,
        charger="CH-0042",
        transaction="1032427936",
        name="1132",
        digest="1132".rjust(32, "0"),
        end=NOW,
        tag=OTHER,
        energy_wh=1132.0,
        observed=NOW,
        body=json.dumps(body),
    )


def others_rows() -> Iterator[tuple[str, Row]]:
    decision = Decision(allowed=True, cause=Cause.KNOWN_TAG)
    hashed = hash_tag(OTHER, KEY)
    tap = Entry(
        at=EIGHT, charger="CH-0042", tag=OTHER, hashed=hashed, decision=decision, milliseconds=11.3
    )
    yield AUTHORIZATIONS, audit_row(tap, buckets=4, name="1132")
    yield TAGS, tag_row(Tag(tag=OTHER, valid_from=EIGHT, group="1132"), KEY)
    yield TAG_GROUPS, group_row(Group(name="1132", valid_until=EIGHT))
    yield RECONCILIATION, window_row(Window(EIGHT, NOW, NOW, 1132, "front", "r-1132"))
    yield RECONCILIATION, window_row(Window(NOW - timedelta(hours=2), NOW, NOW, 5, "front", "r"))
    run = RunRow(
        id="r-1132", began=EIGHT, holder="timer 1132", outcome=Outcome.OK, sessions={"same": 1132}
    )
    yield RECONCILIATION, run_row(run)
    differs = Finding(
        FindingClass.TAG_DIFFERS,
        "CH-0042|4711",
        EIGHT,
        store={"tag": hashed, "energy_wh": 1132.0, "end": format_instant(EIGHT)},
        emabler={"tag": hashed, "energy_wh": 1332.0, "rest_id": "1132"},
        end=EIGHT,
    )
    day = NOW.date()
    yield (
        RECONCILIATION,
        known_row(Known(differs, State.RESOLVED, day, day, "r-1132", who="ann", note=f"{EIGHT}")),
    )


async def filled() -> Store:
    tables = MemoryTables(*ALL_TABLES, clock=lambda: NOW)
    store = Store(tables, MemoryBlobs(*ALL_CONTAINERS))
    await store.take(*OTHERS_DAY)
    await store.ingest(
        IncomingMessage(body=b"poison", properties={"at": NOW, "attempt": 1132}, enqueued=EIGHT)
    )
    await SessionWriter(tables, buckets=4, tag_hash_key=KEY).write([others_rest()])
    for table, row in others_rows():
        await tables.write(table, [Upsert(row)])
    ledger = await Ledger.take(
        tables, lambda: NOW, run="r-1132", holder="timer", lasts=timedelta(minutes=10)
    )
    await ledger.commit(front=EIGHT)
    return store


@cache
def digits_of_the_day() -> tuple[str, ...]:
    """All ids of one to six digits that the other's day holds, however they are separated."""
    texts = [json.dumps([body.decode("latin-1") for body in OTHERS_DAY]).replace("\\u0000", "")]
    texts += [str(dict(row.columns)) for _, row in others_rows()]
    found = set[str]()
    for run in re.findall(r"(?<![A-Za-z0-9])\d+(?:[\s:\-._]+\d+)*(?![A-Za-z0-9])", " ".join(texts)):
        words = re.split(r"[\s:\-._]+", run)
        for first in range(len(words)):
            for last in range(first + 1, len(words) + 1):
                found.add("".join(words[first:last]))
    return tuple(sorted(each for each in found if len(each) <= 6))


async def changed_by_erasing(tag: str) -> list[str]:
    """What of the other's day an erasure of the tag writes anew, deletes or adds."""
    store = await filled()
    tables = store.tables
    assert isinstance(tables, MemoryTables)
    await store.take(
        payloads.start_v2(authorizedIdTag=tag, transactionId="5", socketId=2),
        payloads.full_v2(authorizedIdTag=tag, transactionId="5", socketId=2),
    )
    hashed = hash_tag(tag, KEY)
    mine = {
        (table, row.partition, row.key)
        for table in ALL_TABLES
        for row in tables.rows(table)
        if row.partition == hashed
        or (table == SESSIONS and "CH-0042|5" in row.key)
        or (table == EVENTS and row.columns.get("transaction") == "5")
    }
    assert len(mine) == 8

    def others() -> dict[tuple[str, str, str], Row]:
        return {
            (table, row.partition, row.key): row
            for table in ALL_TABLES
            if table != STORE
            for row in tables.rows(table)
            if (table, row.partition, row.key) not in mine
        }

    before = others()
    search = Search(tables, store.blobs, tag, hash_keys=[KEY], buckets=4, walked=WALKED_FOR_TAGS)

    report = await Erasure(tables, store.blobs, search, lambda: NOW).run("ann")

    after = others()
    assert report.left == {}
    assert [row for row in tables.rows(TAGS) if row.partition == hashed] == []
    for row in (row for table in (EVENTS, SESSIONS) for row in tables.rows(table)):
        if (row.columns.get("transaction")) == "5":
            told = "".join(str(row.columns[n]) for n in sorted(row.columns) if n[:5] == "body_")
            assert json.loads(told or "{}").get("authorizedIdTag") is None
            assert [name for name in row.columns if name in ("tag", "start_tag", "stop_tag")] == []
    return [
        f"{key}: {before.get(key)} -> {after.get(key)}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


@pytest.mark.parametrize("tag", digits_of_the_day())
async def test_a_tag_of_digits_that_another_day_holds_takes_none_of_it(tag: str) -> None:
    """Minutes and seconds, years, meter values, versions, other ids: row by row as they were."""
    assert await changed_by_erasing(tag) == []


@settings(max_examples=40)
@given(st.from_regex(r"\A[0-9]{1,6}\Z"))
async def test_no_tag_of_digits_takes_anything_of_another(tag: str) -> None:
    """Of one to six digits: their rows, the ledger and all other tables stay as they were."""
    assert await changed_by_erasing(tag) == []


@pytest.mark.parametrize("tag", ["1132", "0000", "2026", "100000"])
async def test_the_ledger_stays_as_it_is(tag: str) -> None:
    """Its front, its windows and its lease are proofs: a digit less proves something else."""
    store = await filled()
    standing = await read_standing(store.tables)
    search = Search(
        store.tables, store.blobs, tag, hash_keys=[KEY], buckets=4, walked=WALKED_FOR_TAGS
    )
    ledger = await store.rows(RECONCILIATION)

    await Erasure(store.tables, store.blobs, search, lambda: NOW).run("ann")

    assert await read_standing(store.tables) == standing
    assert await store.rows(RECONCILIATION) == ledger


async def test_an_export_gives_out_no_other_person() -> None:
    """A tag of four digits that anybody's tap has in its seconds."""
    store = await filled()
    search = Search(
        store.tables, store.blobs, "1132", hash_keys=[KEY], buckets=4, walked=WALKED_FOR_TAGS
    )

    assert [found async for found in search.all()] == []
