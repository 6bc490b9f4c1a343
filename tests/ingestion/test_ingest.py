"""Ingestion: whatever the order, repetition and company, the same rows; poison parked at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import StoreUnavailableError
from shared.ingestion.ingest import Ingestion
from shared.ingestion.messages import IncomingMessage, declared_type
from shared.sessions.indexes import END_ROWS, OPEN_ROWS, is_claim
from shared.sessions.writer import SessionWriter
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.tables import (
    ALL_TABLES,
    CHARGERS,
    EVENTS,
    PARKED,
    SESSIONS,
    TAGS,
)
from tests import payloads
from tests.payloads import ABSENT

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
HASH_KEY = b"k" * 32
FIRST_RECEIPT = ("stored_at", "received", "enqueued", "message_id", "generation", "flags")


def ingestion(tables: MemoryTables) -> Ingestion:
    writer = SessionWriter(tables, buckets=4, tag_hash_key=HASH_KEY)
    return Ingestion(
        tables, MemoryBlobs(*ALL_CONTAINERS), buckets=4, sessions=writer, clock=lambda: NOW
    )


def messages(*bodies: bytes) -> list[IncomingMessage]:
    return [IncomingMessage(body=body) for body in bodies]


def content(tables: MemoryTables) -> dict[str, list[Any]]:
    """All rows whole, but for the columns of first receipt."""
    return {
        table: [
            (
                row.partition,
                row.key,
                {
                    name: value
                    for name, value in row.columns.items()
                    if table != EVENTS
                    or (name not in FIRST_RECEIPT and not name.startswith("body_"))
                },
            )
            for row in tables.rows(table)
        ]
        for table in ALL_TABLES
        if table != PARKED
    }


async def after(*bodies: bytes) -> MemoryTables:
    tables = MemoryTables(*ALL_TABLES)
    await ingestion(tables).ingest(messages(*bodies))
    return tables


def indexed(tables: MemoryTables, kind: str) -> list[str]:
    return [row.key for row in tables.rows(SESSIONS) if row.key.startswith(kind)]


def summary(tables: MemoryTables) -> dict[str, Any]:
    (found,) = [row for row in tables.rows(SESSIONS) if row.key.endswith("|!")]
    return dict(found.columns)


async def test_every_documented_shape_is_journaled_once() -> None:
    """Each message type of each generation has a row of its own in the journal, body as it came."""
    bodies = [make(chargerId=f"CH-{shape}") for shape, make in payloads.ALL_SHAPES.items()]

    tables = await after(*bodies)

    rows = tables.rows(EVENTS)
    assert len(rows) == len(bodies)
    assert {str(row.columns["body_00"]).encode() for row in rows} == set(bodies)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (payloads.start_v2(), payloads.full_v2()),
        (payloads.start_v2_2025(), payloads.full_v2_2025()),
        (payloads.start_v1(), payloads.full_v1()),
        (payloads.start_v1(), payloads.stop_v1()),
    ],
    ids=["v2", "v2 2025", "v1 full", "v1 stop"],
)
async def test_a_start_and_a_stop_are_one_session(first: bytes, second: bytes) -> None:
    """In each generation a start and a stop fold into one ended session, in either order."""
    for bodies in ((first, second), (second, first)):
        tables = await after(*bodies)
        found = summary(tables)

        assert found["state"] == "ended"
        assert found["energy_wh"] == 12300.0
        assert found["sources"] == "start,stop"
        assert found["tag"] == "TAG123"
        assert indexed(tables, OPEN_ROWS) == []
        assert len(indexed(tables, END_ROWS)) == 1
        assert {row.columns["source"] for row in tables.rows(TAGS)} == {"start", "stop"}


async def test_a_start_alone_is_an_open_session() -> None:
    """A session without an end is open, and hinted at."""
    tables = await after(payloads.start_v2())

    assert summary(tables)["state"] == "open"
    assert indexed(tables, OPEN_ROWS) == ["!open|CH-0042|1032427936"]
    assert indexed(tables, END_ROWS) == []


async def test_a_full_message_alone_makes_the_session() -> None:
    """A stop whose start never came tells the session by itself."""
    found = summary(await after(payloads.full_v2()))

    assert (found["start"], found["end"]) == (
        "2026-11-02T09:11:32.400000Z",
        "2026-11-02T10:41:43.633143Z",
    )
    assert found["state"] == "ended"


async def test_two_stops_with_other_content_are_kept_and_in_conflict() -> None:
    """Neither stop overwrites the other; the summary shows the later one and says so."""
    one, other = (
        payloads.full_v2(),
        payloads.full_v2(
            deviceTimeStampEnd="2026-11-02T10:41:50Z", meterReadEnd=13400, consumptionWh=12400
        ),
    )

    for bodies in ((one, other), (other, one)):
        tables = await after(*bodies)

        assert summary(tables)["energy_wh"] == 12400.0
        assert summary(tables)["findings"] == "stop_conflict"
        assert summary(tables)["stops"] == 2
        assert sum(is_claim(row) for row in tables.rows(SESSIONS)) == 2


async def test_ids_that_identify_nothing_join_no_sessions() -> None:
    """Starts with the ids -1, 0 or none stay apart, however alike they are."""
    bodies = [
        payloads.start_v2(transactionId=given_id, meterRead=n)
        for n, given_id in enumerate((-1, "0", "", None, ABSENT, " 00 "))
    ]

    tables = await after(*bodies)

    summaries = [row for row in tables.rows(SESSIONS) if row.key.endswith("|!")]
    assert len(summaries) == len(bodies)
    assert all(row.columns["starts"] == 1 for row in summaries)


async def test_one_id_for_starts_more_than_a_day_apart_is_found() -> None:
    """A charger that uses a transaction id again gets a finding, not a silent merge."""
    later = payloads.start_v2(
        deviceTimeStamp="2026-11-03T09:11:33Z", receivedTimestamp="2026-11-03T09:11:34Z"
    )

    assert summary(await after(payloads.start_v2(), later))["findings"] == "transaction_id_reused"


async def test_an_older_state_never_replaces_a_newer_one() -> None:
    """A state that comes late changes nothing of the charger."""
    older = payloads.state_v2(deviceTimeStamp="2026-11-02T09:00:00Z", status="Faulted")

    for bodies in ((payloads.state_v2(), older), (older, payloads.state_v2())):
        tables = await after(*bodies)
        (socket,) = [row for row in tables.rows(CHARGERS) if row.key == "CH-0042|1"]
        assert socket.columns["state_status"] == "Available"


async def test_a_later_batch_meets_what_a_warm_worker_remembers() -> None:
    """What a worker remembers of a charger is written over only where the store still agrees."""
    tables = MemoryTables(*ALL_TABLES)
    warm, other = ingestion(tables), ingestion(tables)
    await warm.ingest(messages(payloads.state_v2()))
    await other.ingest(
        messages(payloads.state_v2(deviceTimeStamp="2026-11-02T11:00:00Z", status="Faulted"))
    )
    await warm.ingest(
        messages(payloads.state_v2(deviceTimeStamp="2026-11-02T10:00:00Z", status="Charging"))
    )

    (socket,) = [row for row in tables.rows(CHARGERS) if row.key == "CH-0042|1"]
    assert socket.columns["state_status"] == "Faulted"


async def test_poison_is_parked_and_the_rest_is_stored() -> None:
    """A batch with messages that cannot be read stores the others, at the first delivery."""
    tables = MemoryTables(*ALL_TABLES)

    done = await ingestion(tables).ingest(
        messages(payloads.state_v2(), b"not json", payloads.start_v2(socketId="left"), b"not json")
    )

    assert done.parked == {"not_json": 2, "bad_field": 1}
    assert done.journal.stored == 1
    parked = {row.columns["reason"]: row for row in tables.rows(PARKED)}
    assert set(parked) == {"not_json", "bad_field"}
    assert parked["not_json"].columns["body_00"] == b"not json"
    assert parked["not_json"].columns["delivery_count"] == 1


async def test_repeats_are_counted_and_change_nothing() -> None:
    """The same batch again is no new event, alone or with new company."""
    tables = MemoryTables(*ALL_TABLES)
    worker = ingestion(tables)
    first = await worker.ingest(messages(payloads.state_v2(), payloads.state_v2()))
    before = content(tables)
    again = await worker.ingest(messages(payloads.state_v2()))

    assert (first.journal.stored, first.journal.repeated) == (1, 1)
    assert (again.journal.stored, again.journal.repeated, again.journal.exact) == (0, 1, True)
    assert content(tables) == before


SESSION_EVENTS = [
    payloads.start_v2(),
    payloads.full_v2(),
    payloads.full_v2(consumptionWh=12400, meterReadEnd=13400),
    payloads.stop_v1(),
    payloads.start_v1(authorizedIdTag="OTHER"),
    payloads.full_v2(transactionId="-1"),
    payloads.full_v1(timeStampEnd="1970-01-01T00:00:00Z"),
    payloads.start_v2(chargerId="CH/\\#?|~%"),
    payloads.full_v2(chargerId="CH/\\#?|~%"),
]
EVENTS_OF_A_DAY = [
    *SESSION_EVENTS,
    payloads.state_v2(),
    payloads.state_v2(errorCode="No Error"),
    payloads.state_v2(status="Charging", deviceTimeStamp="2026-11-02T09:12:00Z"),
    payloads.state_v2(status="Faulted"),
    payloads.boot_v2(),
    payloads.boot_v1(chargerModel="Wallbox 11"),
    payloads.measurements(),
]


@settings(max_examples=150, deadline=None)
@given(st.data())
async def test_any_order_repetition_and_split_gives_the_same_rows(data: st.DataObject) -> None:
    """The tables are a function of the set of events, whoever brings them and how often."""
    chosen = data.draw(st.lists(st.sampled_from(EVENTS_OF_A_DAY), min_size=1, max_size=8))
    shuffled = data.draw(st.permutations([*chosen, *data.draw(st.lists(st.sampled_from(chosen)))]))
    cut = data.draw(st.integers(0, len(shuffled)))
    together = MemoryTables(*ALL_TABLES)
    apart = MemoryTables(*ALL_TABLES)

    await ingestion(together).ingest(messages(*dict.fromkeys(chosen)))
    for part in (shuffled[:cut], shuffled[cut:]):
        await ingestion(apart).ingest(messages(*part))

    assert content(apart) == content(together)


@settings(max_examples=60, deadline=None)
@given(st.permutations(SESSION_EVENTS), st.integers(0, 2**32), st.integers(2, 4))
async def test_workers_side_by_side_give_the_same_rows(
    bodies: list[bytes], seed: int, workers: int
) -> None:
    """Workers that meet in the middle of each other's writes leave what one worker leaves."""
    turns = iter(range(10**9))

    async def pause(_table: str, _moment: str) -> None:
        for _ in range((seed >> (next(turns) % 32)) & 3):
            await asyncio.sleep(0)

    crowded = MemoryTables(*ALL_TABLES, pause=pause)
    batches = [bodies[n::workers] + bodies[:2] for n in range(workers)]

    await asyncio.gather(*(ingestion(crowded).ingest(messages(*batch)) for batch in batches))

    assert content(crowded) == content(await after(*bodies))


async def test_a_crash_between_any_two_writes_is_made_whole_by_the_next_delivery() -> None:
    """Stopped at each write in turn, the batch delivered again leaves the same store."""
    bodies = [*EVENTS_OF_A_DAY, b"not json"]
    whole = content(await after(*bodies))
    stops = 0
    while True:
        tables = MemoryTables(*ALL_TABLES)
        moments = iter(range(10**9))

        async def pause(
            _table: str, moment: str, moments: Any = moments, stop: int = stops
        ) -> None:
            if moment != "before_read" and next(moments) >= stop:
                raise StoreUnavailableError("the worker stops here")

        tables.pause = pause
        try:
            await ingestion(tables).ingest(messages(*bodies))
        except StoreUnavailableError:
            stops += 1
        else:
            break
        tables.pause = MemoryTables().pause
        await ingestion(tables).ingest(messages(*bodies))
        assert content(tables) == whole, stops

    # Before and after each write: events, sessions, chargers and tags by partition, and parked.
    assert stops >= 14


async def test_an_event_received_before_what_the_journal_keeps_is_parked() -> None:
    """An event whose repeat could not be recognised is parked; at the limit it is stored."""
    at_limit = payloads.state_v2(receivedTimestamp="2025-09-28T12:00:00Z", deviceTimeStamp=ABSENT)
    beyond = payloads.state_v2(receivedTimestamp="2025-09-28T11:59:59Z", deviceTimeStamp=ABSENT)
    tables = MemoryTables(*ALL_TABLES)

    done = await ingestion(tables).ingest(messages(at_limit, beyond))

    assert done.parked == {"older_than_retention": 1}
    assert done.journal.stored == 1


@pytest.mark.parametrize(
    ("properties", "found"),
    [
        ({"MESSAGETYPE": "ChargerState"}, "ChargerState"),
        ({"type": "ChargerBoot", "eventType": "ChargerState"}, "ChargerState"),
        ({"other": "ChargerState", "type": 7}, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_property_declares_the_type(
    properties: dict[str, object] | None, found: str | None
) -> None:
    """The first property that is there counts, whatever its case."""
    names = ("messageType", "eventType", "type")

    assert declared_type(properties, names) == found
