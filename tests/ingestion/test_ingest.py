"""Ingestion: whatever the order, repetition and company, the same rows; poison parked at once."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import StoreUnavailableError
from shared.ingestion.messages import declared_type
from shared.sessions.indexes import END_ROWS, OPEN_ROWS
from shared.storage.memory import MemoryTables
from shared.storage.tables import (
    ALL_TABLES,
    CHARGERS,
    EVENTS,
    PARKED,
    SESSIONS,
    TAGS,
)
from tests import payloads
from tests.ingestion.day import POISON, events_of, ingestion, messages
from tests.payloads import ABSENT
from tests.stores import content


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
    before = await content(tables)
    again = await worker.ingest(messages(payloads.state_v2()))

    assert (first.journal.stored, first.journal.repeated) == (1, 1)
    assert (again.journal.stored, again.journal.repeated, again.journal.exact) == (0, 1, True)
    assert await content(tables) == before


async def test_a_repeat_makes_no_row_younger() -> None:
    """Else it would outlive its session, by which alone an erasure finds it. What is new is new."""
    tables = MemoryTables(*ALL_TABLES)
    worker = ingestion(tables)
    await worker.ingest(messages(payloads.state_v2(), payloads.full_v2()))
    before = tables.rows(EVENTS)

    again = await worker.ingest(
        messages(payloads.boot_v2(), payloads.state_v2(), payloads.full_v2(unknown="x"))
    )

    after = tables.rows(EVENTS)
    assert [row for row in after if row in before] == before
    assert len(after) == len(before) + 1
    assert (again.journal.stored, again.journal.repeated, again.journal.exact) == (1, 2, True)


async def test_a_crash_between_any_two_writes_is_made_whole_by_the_next_delivery() -> None:
    """Stopped at each write in turn, the batch delivered again leaves the same store."""
    bodies = [*events_of("CH-0042"), *POISON]
    whole = await content(await after(*bodies))
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
        assert await content(tables) == whole, stops

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
