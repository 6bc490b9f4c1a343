"""Messages that fit no row as they are: kept whole, and no burden to their neighbours."""

from __future__ import annotations

from random import Random

import pytest

from shared.errors import RowRejectedError, StoreUnavailableError
from shared.ingestion.parking import read_parked
from shared.storage.bodies import MAX_BODY_BYTES, body_columns, body_of
from shared.storage.memory import MemoryTables
from shared.storage.tables import ALL_TABLES, EVENTS, PARKED
from tests import payloads
from tests.ingestion.day import ingestion, messages
from tests.stores import Stores

# Of a body beyond a mebibyte the HTTP client says that sending it takes a moment.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")

MIB = 1024 * 1024
NOISE = Random(7).randbytes(3 * MIB + 17)
"""Bytes that no packing makes smaller."""


def state_of(size: int) -> bytes:
    """A state whose body has so many bytes, for a field that nobody knows."""
    short = payloads.state_v2(other="")
    return payloads.state_v2(other="x" * (size - len(short)))


@pytest.mark.parametrize("size", [MAX_BODY_BYTES, MAX_BODY_BYTES + 1, MIB])
async def test_an_event_of_up_to_a_mebibyte_is_stored_whole(stores: Stores, size: int) -> None:
    """Beyond what a row holds the body is packed; what is read is what came."""
    (tables,) = await stores.fresh()
    large = state_of(size)
    assert len(large) == size

    done = await ingestion(tables).ingest(messages(large, payloads.boot_v2()))
    again = await ingestion(tables).ingest(messages(payloads.boot_v2(), large))

    assert (done.journal.stored, done.parked, again.parked) == (2, {}, {})
    rows = [row async for row in tables.scan(EVENTS)]
    assert {body_of(row.columns) for row in rows} == {large, payloads.boot_v2()}


@pytest.mark.parametrize(
    "poison", [state_of(MIB + 1), b"x" * (5 * MIB), NOISE], ids=["a state", "alike", "noise"]
)
async def test_what_is_too_large_is_parked_whole_and_blocks_nobody(
    stores: Stores, poison: bytes
) -> None:
    """Beyond a mebibyte a message is parked at once, all its bytes are kept; the rest is stored."""
    (tables,) = await stores.fresh()

    for _ in range(2):
        done = await ingestion(tables).ingest(messages(payloads.state_v2(), poison))
        assert done.parked == {"too_large": 1}

    ((row, body),) = [each async for each in read_parked(tables)]
    assert (row.columns["reason"], row.columns["bytes"]) == ("too_large", len(poison))
    assert row.columns["delivery_count"] == 1
    assert body == poison
    assert len([row async for row in tables.scan(EVENTS)]) == 1


async def test_a_worker_that_stops_between_two_pieces_is_no_harm() -> None:
    """The row of a message is there only after all of its bytes; the next delivery completes it."""
    tables = MemoryTables(*ALL_TABLES)
    quiet, writes = tables.pause, 0

    async def second_fails(table: str, moment: str) -> None:
        nonlocal writes
        writes += (table, moment) == (PARKED, "before_write")
        if writes > 1:
            raise StoreUnavailableError("the worker stops here")

    tables.pause = second_fails
    with pytest.raises(StoreUnavailableError):
        await ingestion(tables).ingest(messages(NOISE * 3))
    tables.pause = quiet
    assert [each async for each in read_parked(tables)] == []

    await ingestion(tables).ingest(messages(NOISE * 3))

    ((_, body),) = [each async for each in read_parked(tables)]
    assert body == NOISE * 3


def test_what_cannot_be_packed_fits_no_row() -> None:
    """Noise of a mebibyte is refused as a body of one row."""
    with pytest.raises(RowRejectedError) as error:
        body_columns(NOISE)

    assert error.value.code == "body_too_large"


async def test_an_event_that_cannot_be_packed_is_parked() -> None:
    """A documented message below a mebibyte that is nearly noise is parked whole, not lost."""
    chance = Random(7)
    ascii_letters = [n for n in range(0x23, 0x80) if chr(n) != "\\"]
    scripts = [ascii_letters, range(0x80, 0x800), range(0x800, 0xD800)]
    drawn = chance.choices(scripts, (0.7, 0.25, 0.05), k=720_000)
    noise = payloads.state_v2(other="").replace(
        b'"other": ""', f'"other": "{"".join(chr(chance.choice(each)) for each in drawn)}"'.encode()
    )
    assert MAX_BODY_BYTES < len(noise) <= MIB
    tables = MemoryTables(*ALL_TABLES)

    done = await ingestion(tables).ingest(messages(noise, payloads.boot_v2()))

    assert (done.parked, done.journal.stored) == ({"too_large": 1}, 1)
    ((_, body),) = [each async for each in read_parked(tables)]
    assert body == noise
