"""Bodies that fit no row: kept whole in a blob, written before the row that points there."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.errors import StoreUnavailableError
from shared.ingestion.ingest import Ingestion
from shared.ingestion.messages import IncomingMessage
from shared.sessions.writer import SessionWriter
from shared.storage.bodies import MAX_ROW_BODY_BYTES, read_body
from shared.storage.containers import ALL_CONTAINERS, BODIES
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.rows import Row
from shared.storage.tables import ALL_TABLES, EVENTS, PARKED
from tests import payloads

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)


class Store:
    """Tables, blobs and ingestion into them."""

    def __init__(self, *containers: str) -> None:
        self.tables = MemoryTables(*ALL_TABLES)
        self.blobs = MemoryBlobs(*containers)
        self.ingestion = Ingestion(
            self.tables,
            self.blobs,
            buckets=4,
            sessions=SessionWriter(self.tables, buckets=4, tag_hash_key=b"k" * 32),
            clock=lambda: NOW,
        )

    async def take(self, *bodies: bytes) -> dict[str, int]:
        done = await self.ingestion.ingest([IncomingMessage(body=body) for body in bodies])
        return done.parked

    def only(self, table: str) -> Row:
        (row,) = self.tables.rows(table)
        return row


def state(characters: int, **changes: Any) -> bytes:
    return payloads.state_v2(unknown="x" * characters, **changes)


@pytest.mark.parametrize("over", [-1, 0, 1])
async def test_a_body_is_kept_whole_at_the_limit_of_a_row(over: int) -> None:
    """One byte below, at and above 512 KiB: in the row, in the row, in a blob; read back alike."""
    store = Store(*ALL_CONTAINERS)
    body = payloads.state_v2(unknown="")
    more = MAX_ROW_BODY_BYTES + over - len(body)
    body = body.replace(b'"unknown": ""', b'"unknown": "%s"' % (b"x" * more))
    assert len(body) == MAX_ROW_BODY_BYTES + over

    await store.take(body)

    row = store.only(EVENTS)
    assert ("body_blob" in row.columns) == (over > 0)
    assert await read_body(store.blobs, row.columns) == body


async def test_a_large_event_lies_under_the_name_of_its_row() -> None:
    """A repeat that differs in what is unknown has the same row, and the same blob."""
    store = Store(*ALL_CONTAINERS)

    await store.take(state(600_000))
    await store.take(state(700_000))

    row = store.only(EVENTS)
    names = [name async for name in store.blobs.names(BODIES)]
    assert names == [row.columns["body_blob"]]
    assert names == [f"events/{row.partition}/{row.key.rpartition('|')[2]}"]


async def test_a_large_poison_is_parked_with_its_bytes() -> None:
    """Beyond what a message may have it is parked, whole, and found by its digest."""
    store = Store(*ALL_CONTAINERS)
    body = b"[" + b"7," * 600_000 + b"7]"

    assert await store.take(body) == {"too_large": 1}

    row = store.only(PARKED)
    assert row.columns["body_blob"] == f"parked/{hashlib.sha256(body).hexdigest()}"
    assert await read_body(store.blobs, row.columns) == body


async def test_no_row_is_written_before_its_blob() -> None:
    """While the blobs are away the batch fails as a whole; nothing points at what is not there."""
    store = Store()

    with pytest.raises(StoreUnavailableError):
        await store.take(state(600_000), payloads.boot_v2())
    assert store.tables.rows(EVENTS) == []

    await store.blobs.create_container(BODIES)
    await store.take(state(600_000), payloads.boot_v2())
    assert len(store.tables.rows(EVENTS)) == 2


async def test_a_blob_that_is_gone_is_told() -> None:
    """Reading a body whose blob was deleted by hand says so."""
    store = Store(*ALL_CONTAINERS)
    await store.take(state(600_000))
    row = store.only(EVENTS)
    await store.blobs.delete(BODIES, str(row.columns["body_blob"]))

    with pytest.raises(StoreUnavailableError) as error:
        await read_body(store.blobs, row.columns)

    assert error.value.code == "blob_missing"


async def test_a_parked_message_keeps_its_properties() -> None:
    """What Service Bus said beside the bytes stays with them, to be sent along when replayed."""
    store = Store(*ALL_CONTAINERS)
    properties = {"messageType": "ChargerState", "attempt": 3, "at": NOW}

    await store.ingestion.ingest(
        [IncomingMessage(body=b"poison", properties=properties, delivery_count=2)]
    )

    columns = store.only(PARKED).columns
    assert columns["properties"] == (
        '{"messageType": "ChargerState", "attempt": 3, "at": "2026-11-02 12:00:00+00:00"}'
    )
    assert columns["delivery_count"] == 2
