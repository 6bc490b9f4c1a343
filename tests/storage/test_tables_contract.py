"""One contract, two makers: the in-memory tables obey what the real gateway does on Azurite."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from azure.data.tables.aio import TableServiceClient

from local.azurite import Azurite
from shared.errors import (
    RowChangedError,
    RowExistsError,
    RowMissingError,
    RowRejectedError,
    StoreUnavailableError,
)
from shared.storage.azure import AzureTables
from shared.storage.memory import MemoryTables
from shared.storage.requests import counted
from shared.storage.rows import Delete, Insert, Replace, Row, Tables, Upsert, Value


@pytest.fixture(params=["memory", "azurite"])
async def tables(request: pytest.FixtureRequest, azurite: Azurite) -> AsyncIterator[Tables]:
    gateway: Tables
    if request.param == "memory":
        gateway = MemoryTables()
    else:
        gateway = AzureTables(
            TableServiceClient.from_connection_string(azurite.connection_string, retry_total=0)
        )
    yield gateway
    await gateway.close()


@pytest.fixture
async def table(tables: Tables) -> str:
    name = f"t{uuid4().hex}"
    assert await tables.create_table(name)
    return name


def row(key: str = "k", partition: str = "p", **columns: Value) -> Row:
    return Row(partition, key, columns or {"value": "x"})


async def test_a_row_comes_back_with_the_types_it_was_written_with(
    tables: Tables, table: str
) -> None:
    """Texts, numbers of 32 and 64 bits, floats that look whole, booleans and bytes round-trip."""
    columns: dict[str, Value] = {
        "text": 'quotes " and \\ and ä and 🚗',
        "empty": "",
        "small": 7,
        "big": 2**40,
        "negative": -(2**63),
        "float": 236.0,
        "truth": True,
        "raw": bytes(range(256)),
        "time_like": "2025-04-02T09:11:32.399120Z",
    }

    await tables.write(table, [Insert(Row("p", "k", columns))])

    found = await tables.get(table, "p", "k")
    assert found is not None
    assert found.columns == columns
    assert {name: type(value) for name, value in found.columns.items()} == {
        name: type(value) for name, value in columns.items()
    }


async def test_a_missing_row_is_none(tables: Tables, table: str) -> None:
    """Reading a row that is not there answers None and raises nothing."""
    assert await tables.get(table, "p", "k") is None


@pytest.mark.parametrize("company", [0, 1])
async def test_a_row_tells_when_the_store_wrote_it(
    tables: Tables, table: str, company: int
) -> None:
    """Each write, alone or in company, dates its rows by the store's clock; reading does not."""
    others = [Upsert(row(f"other{n}")) for n in range(company)]
    instants = []
    for value in ("first", "second"):
        before = datetime.now(UTC) - timedelta(milliseconds=5)
        await tables.write(table, [Upsert(row(value=value)), *others])
        found = await tables.get(table, "p", "k")
        assert found is not None
        assert found.timestamp is not None
        assert before <= found.timestamp <= datetime.now(UTC) + timedelta(milliseconds=5)
        instants.append(found.timestamp)

    ranged = [each.timestamp async for each in tables.range(table, "p", "k", "l")]
    scanned = [each.timestamp async for each in tables.scan(table) if each.key == "k"]
    assert ranged == scanned == [instants[1]]
    assert instants[0] < instants[1]


@pytest.mark.parametrize("company", [0, 1])
async def test_an_insert_refuses_an_existing_row(tables: Tables, table: str, company: int) -> None:
    """An insert that meets a row raises RowExistsError and leaves the row, alone or in company."""
    await tables.write(table, [Insert(row(value="first"))])
    others = [Insert(row(f"other{n}")) for n in range(company)]

    with pytest.raises(RowExistsError):
        await tables.write(table, [*others, Insert(row(value="second"))])

    assert [found.columns async for found in tables.range(table, "p")] == [{"value": "first"}]


@pytest.mark.parametrize("company", [0, 1])
async def test_an_upsert_replaces_the_whole_row(tables: Tables, table: str, company: int) -> None:
    """An upsert leaves no column of the row that was there before."""
    await tables.write(table, [Insert(row(old="x"))])

    await tables.write(
        table, [Upsert(row(new="y")), *(Upsert(row(f"other{n}")) for n in range(company))]
    )

    found = await tables.get(table, "p", "k")
    assert found is not None
    assert found.columns == {"new": "y"}


@pytest.mark.parametrize("company", [0, 1])
async def test_a_replace_needs_the_etag_that_was_read(
    tables: Tables, table: str, company: int
) -> None:
    """A row changed since it was read is not written over: RowChangedError, nothing written."""
    await tables.write(table, [Insert(row(value=1))])
    read = await tables.get(table, "p", "k")
    assert read is not None
    others = [Insert(row(f"other{n}")) for n in range(company)]
    await tables.write(table, [Replace(Row("p", "k", {"value": 2}, read.etag)), *others])

    with pytest.raises(RowChangedError):
        await tables.write(
            table,
            [
                Replace(Row("p", "k", {"value": 3}, read.etag)),
                *(Insert(row(f"more{n}")) for n in range(company)),
            ],
        )

    found = [(each.key, each.columns.get("value")) async for each in tables.range(table, "p")]
    assert found[0] == ("k", 2)
    assert len(found) == 1 + company


@pytest.mark.parametrize("company", [0, 1])
async def test_replacing_or_deleting_a_missing_row_is_told(
    tables: Tables, table: str, company: int
) -> None:
    """A replace and a delete of no row raise RowMissingError, with an ETag and without."""
    others = [Insert(row(f"other{n}")) for n in range(company)]

    for operation in (
        Replace(Row("p", "k", {"value": 1}, "W/\"datetime'2026-01-01T00%3A00%3A00.0000000Z'\"")),
        Delete("p", "k"),
    ):
        with pytest.raises(RowMissingError):
            await tables.write(table, [operation, *others])

    assert [found async for found in tables.range(table, "p")] == []


@pytest.mark.parametrize("company", [0, 1])
async def test_a_delete_takes_the_row_away(tables: Tables, table: str, company: int) -> None:
    """A deleted row is gone; with the ETag of an earlier version it stays."""
    await tables.write(table, [Insert(row(value=1))])
    read = await tables.get(table, "p", "k")
    assert read is not None
    await tables.write(table, [Replace(Row("p", "k", {"value": 2}, read.etag))])

    with pytest.raises(RowChangedError):
        await tables.write(table, [Delete("p", "k", read.etag)])
    await tables.write(
        table, [Delete("p", "k"), *(Insert(row(f"other{n}")) for n in range(company))]
    )

    assert await tables.get(table, "p", "k") is None


async def test_a_write_tells_the_new_etags(tables: Tables, table: str) -> None:
    """Each write answers the ETag that a read would find; a delete has none."""
    alone = await tables.write(table, [Insert(row("a"))])
    company = await tables.write(table, [Upsert(row("b")), Delete("p", "a"), Insert(row("c"))])

    assert company[1] is None
    found = {each.key: each.etag async for each in tables.range(table, "p")}
    assert found == {"b": company[0], "c": company[2]}
    replaced = await tables.write(table, [Replace(Row("p", "b", {"value": 2}, company[0]))])
    assert replaced[0] not in (None, company[0], alone[0])


async def test_every_write_changes_the_etag(tables: Tables, table: str) -> None:
    """Writing the same content again gives another ETag, so that a lost race is always seen."""
    await tables.write(table, [Upsert(row())])
    first = await tables.get(table, "p", "k")
    # Azurite's ETags are instants in milliseconds: two writes in one of them would look alike.
    await asyncio.sleep(0.002)
    await tables.write(table, [Upsert(row())])
    second = await tables.get(table, "p", "k")

    assert first is not None
    assert second is not None
    assert first.etag != second.etag


async def test_a_range_is_half_open_and_ordered(tables: Tables, table: str) -> None:
    """A range holds its start, not its end, in the order of code points, and one partition only."""
    keys = ["a", "a|", "a|b", "a|~", "a~", "B", "b"]
    await tables.write(table, [Insert(row(key)) for key in keys])
    await tables.write(table, [Insert(row("a|x", partition="q"))])

    assert [found.key async for found in tables.range(table, "p", "a|", "a|~")] == ["a|", "a|b"]
    assert [found.key async for found in tables.range(table, "p")] == sorted(keys)
    assert [found.key async for found in tables.range(table, "p", "a~")] == ["a~", "b"]


async def test_quotes_in_keys_change_no_query(tables: Tables, table: str) -> None:
    """A key with the filter language's own characters finds itself and nothing else."""
    hostile = "x' or PartitionKey ne '"
    await tables.write(table, [Insert(row("k", partition=hostile))])
    await tables.write(table, [Insert(row("k", partition="p"))])

    assert [found.partition async for found in tables.range(table, hostile)] == [hostile]
    found = await tables.get(table, hostile, "k")
    assert found is not None


async def test_a_scan_goes_over_partitions_in_order(tables: Tables, table: str) -> None:
    """A scan holds the partitions from start (held) to end (not held), ordered by both keys."""
    for partition in ("0-20250101", "0-20250102", "1-20250101"):
        await tables.write(table, [Insert(row(key, partition)) for key in ("b", "a")])

    found = [(r.partition, r.key) async for r in tables.scan(table, "0-20250102", "1-20250101")]
    everything = [(r.partition, r.key) async for r in tables.scan(table)]

    assert found == [("0-20250102", "a"), ("0-20250102", "b")]
    assert everything == sorted(everything)
    assert len(everything) == 6


async def test_a_scan_may_want_some_keys_only(tables: Tables, table: str) -> None:
    """Of each partition those from a key (held) to another (not held)."""
    for partition in ("p", "q"):
        for key in ("session|1", "tag|0", "tag|9", "tag}"):
            await tables.write(table, [Insert(row(key, partition))])

    found = [
        (r.partition, r.key) async for r in tables.scan(table, keys_from="tag|", keys_to="tag|9")
    ]
    rest = [r.key async for r in tables.scan(table, "q", keys_from="tag|9")]

    assert found == [("p", "tag|0"), ("q", "tag|0")]
    assert rest == ["tag|9", "tag}"]


def ranged(tables: Tables, table: str, **wanted: Any) -> AsyncIterator[Row]:
    return tables.range(table, "p", **wanted)


def scanned(tables: Tables, table: str, **wanted: Any) -> AsyncIterator[Row]:
    return tables.scan(table, **wanted)


@pytest.mark.parametrize("read", [ranged, scanned])
async def test_a_reading_may_want_some_columns_only(
    tables: Tables, table: str, read: Callable[..., AsyncIterator[Row]]
) -> None:
    """Each row with those that it has, its keys and its ETag, and nothing else."""
    await tables.write(table, [Insert(Row("p", "both", {"state": "new", "n": 1, "body": b"x"}))])
    await tables.write(table, [Insert(Row("p", "none", {"body": b"x"}))])

    found = [each async for each in read(tables, table, columns=["state", "n"])]

    assert [(each.partition, each.key, each.columns) for each in found] == [
        ("p", "both", {"state": "new", "n": 1}),
        ("p", "none", {}),
    ]
    whole = [each async for each in read(tables, table)]
    assert [each.etag for each in found] == [each.etag for each in whole]
    assert all(each.timestamp is None for each in found)
    assert all(each.etag and each.timestamp for each in whole)
    assert [each.columns async for each in read(tables, table, columns=[])] == [{}, {}]


async def test_a_range_of_more_than_a_page_is_whole(tables: Tables, table: str) -> None:
    """More rows than one answer holds (1,000) all come, each once."""
    for hundred in range(11):
        await tables.write(table, [Insert(row(f"{hundred:02d}{n:02d}")) for n in range(100)])

    keys = [found.key async for found in tables.range(table, "p")]

    assert len(keys) == len(set(keys)) == 1100


async def test_a_missing_table_is_weather(tables: Tables) -> None:
    """Reading and writing a table that is not there is transient: it may be made at any time."""
    missing = f"t{uuid4().hex}"

    with pytest.raises(StoreUnavailableError) as reading:
        _ = [found async for found in tables.range(missing, "p")]
    with pytest.raises(StoreUnavailableError) as getting:
        await tables.get(missing, "p", "k")
    with pytest.raises(StoreUnavailableError) as writing:
        await tables.write(missing, [Insert(row())])
    with pytest.raises(StoreUnavailableError) as writing_many:
        await tables.write(missing, [Insert(row("a")), Insert(row("b"))])

    assert {each.value.code for each in (reading, getting, writing, writing_many)} == {
        "table_missing"
    }


async def test_a_table_is_made_once(tables: Tables, table: str) -> None:
    """Making a table that exists says so and changes nothing."""
    await tables.write(table, [Insert(row())])

    assert not await tables.create_table(table)
    assert await tables.get(table, "p", "k") is not None


@pytest.mark.parametrize(
    "operations",
    [
        [],
        [Insert(row(str(n))) for n in range(101)],
        [Insert(row("a")), Insert(row("b", partition="q"))],
        [Insert(row("a")), Delete("p", "a")],
        [Insert(row("a/b"))],
        [Insert(row("a\x01b"))],
        [Insert(row("a" * 513))],
        [Insert(row(value="x" * (32 * 1024 + 1)))],
        [Insert(row(value=b"x" * (64 * 1024 + 1)))],
        [Insert(row(value=2**63))],
        [Insert(Row("p", "k", {"not a name": 1}))],
        [Insert(Row("p", "k", {f"c{n}": 1 for n in range(253)}))],
        [Insert(Row("p", "k", {f"c{n}": b"x" * 60_000 for n in range(18)}))],
    ],
    ids=[
        "none",
        "101",
        "two partitions",
        "a row twice",
        "slash",
        "control character",
        "long key",
        "long text",
        "long bytes",
        "beyond 64 bits",
        "column name",
        "253 columns",
        "1 MiB",
    ],
)
async def test_the_limits_of_the_service_are_held_before_anything_is_sent(
    tables: Tables, table: str, operations: list[Insert | Delete]
) -> None:
    """What breaks a documented limit raises RowRejectedError and reaches no store."""
    with counted() as requests, pytest.raises(RowRejectedError):
        await tables.write(table, operations)

    assert requests.total == 0


async def test_the_store_tells_its_own_time(tables: Tables) -> None:
    """Whole seconds of the store's clock, by one request, also where there is no table yet."""
    before = datetime.now(UTC)
    with counted() as requests:
        told = await tables.now()

    assert requests.by_purpose == {"store_now": 1}
    assert (told.tzinfo, told.microsecond) == (UTC, 0)
    assert before - timedelta(seconds=1) < told <= datetime.now(UTC)


async def test_requests_are_counted_by_purpose(tables: Tables, table: str) -> None:
    """Each call is one request under its table's name and what it did, also when it fails."""
    with counted() as requests:
        await tables.write(table, [Insert(row("a")), Insert(row("b"))])
        await tables.get(table, "p", "a")
        _ = [found async for found in tables.range(table, "p")]
        with pytest.raises(RowExistsError):
            await tables.write(table, [Insert(row("a"))])

    assert requests.by_purpose == {f"{table}_write": 2, f"{table}_get": 1, f"{table}_range": 1}
    assert requests.seconds > 0


async def test_writers_side_by_side_lose_no_update(tables: Tables, table: str) -> None:
    """Ten writers that add one to a row under its ETag make ten, however they meet."""
    await tables.write(table, [Insert(row(value=0))])

    async def add_one() -> None:
        while True:
            read = await tables.get(table, "p", "k")
            assert read is not None
            value = read.columns["value"]
            assert isinstance(value, int)
            try:
                await tables.write(table, [Replace(Row("p", "k", {"value": value + 1}, read.etag))])
            except RowChangedError:
                continue
            return

    await asyncio.gather(*(add_one() for _ in range(10)))

    found = await tables.get(table, "p", "k")
    assert found is not None
    assert found.columns == {"value": 10}
