"""The charger writer: few requests, nothing older over anything newer, whoever else writes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.chargers.reading import read_chargers
from shared.chargers.states import Telling, tellings_of
from shared.chargers.writer import ChargerWriter
from shared.errors import StoreUnavailableError
from shared.identifiers import bucket_of
from shared.push.decode import decode
from shared.push.digest import named
from shared.storage.memory import MemoryTables
from shared.storage.requests import counted
from shared.storage.rows import Delete, Upsert
from shared.storage.tables import CHARGERS
from tests import payloads

FIRST, SECOND, THIRD = (f"2026-11-02T09:1{n}:00Z" for n in (1, 2, 3))


def state(instant: str = FIRST, status: str = "Available", **changes: Any) -> list[Telling]:
    body = payloads.state_v2(deviceTimeStamp=instant, status=status, **changes)
    return list(tellings_of(named(decode(body))))


async def requests_of(writer: ChargerWriter, *tellings: list[Telling]) -> dict[str, int]:
    with counted() as requests:
        await writer.write(telling for each in tellings for telling in each)
    return requests.by_purpose


def statuses(tables: MemoryTables) -> list[object]:
    found = [row.columns.get("state_status") for row in tables.rows(CHARGERS)]
    return [status for status in found if status is not None]


@pytest.fixture
def tables() -> MemoryTables:
    return MemoryTables(CHARGERS)


@pytest.fixture
def writer(tables: MemoryTables) -> ChargerWriter:
    return ChargerWriter(tables, buckets=1)


async def test_new_chargers_of_a_bucket_are_one_transaction(
    tables: MemoryTables, writer: ChargerWriter
) -> None:
    """Fifty chargers with a socket each are 100 rows: one request, and no read."""
    told = [state(chargerId=f"CH-{n}") for n in range(50)]

    assert await requests_of(writer, *told) == {"chargers_write": 1}
    assert len(tables.rows(CHARGERS)) == 100


async def test_more_rows_than_fit_a_transaction_take_another(writer: ChargerWriter) -> None:
    """The 101st row is a second request."""
    assert await requests_of(writer, *(state(chargerId=f"CH-{n}") for n in range(51))) == {
        "chargers_write": 2
    }


async def test_each_bucket_is_a_transaction(tables: MemoryTables) -> None:
    """Chargers spread over the buckets that their ids give them."""
    writer = ChargerWriter(tables, buckets=4)
    told = [state(chargerId=f"CH-{n}") for n in range(12)]
    used = {bucket_of(f"CH-{n}", 4) for n in range(12)}

    assert await requests_of(writer, *told) == {"chargers_write": len(used)}
    assert {row.partition for row in tables.rows(CHARGERS)} == used


async def test_a_warm_worker_asks_nothing_for_what_it_knows(writer: ChargerWriter) -> None:
    """What is no newer than what the worker wrote itself costs no request."""
    await writer.write(state(SECOND))

    assert await requests_of(writer, state(SECOND), state(FIRST, "Charging")) == {}


async def test_a_newer_state_is_one_write(tables: MemoryTables, writer: ChargerWriter) -> None:
    """A warm worker writes over its own row without reading it."""
    await writer.write(state(FIRST))

    assert await requests_of(writer, state(SECOND, "Charging")) == {"chargers_write": 1}
    assert statuses(tables) == ["Charging"]


async def test_of_many_states_in_a_batch_the_latest_is_written_once(
    tables: MemoryTables, writer: ChargerWriter
) -> None:
    """Operations on one row are folded before anything is sent."""
    told = [state(THIRD, "Faulted"), state(FIRST), state(SECOND, "Charging")]

    assert await requests_of(writer, *told) == {"chargers_write": 1}
    assert statuses(tables) == ["Faulted"]


async def test_a_cold_worker_loses_a_write_and_reads_what_it_met(tables: MemoryTables) -> None:
    """A row of another worker costs a failed write, a point read of each row, and a write."""
    await ChargerWriter(tables, buckets=1).write(state(FIRST))

    cold = ChargerWriter(tables, buckets=1)
    assert await requests_of(cold, state(SECOND, "Charging")) == {
        "chargers_write": 2,
        "chargers_get": 2,
    }
    assert statuses(tables) == ["Charging"]


async def test_a_cold_worker_with_old_news_writes_nothing(tables: MemoryTables) -> None:
    """What the store holds is newer: the worker learns it and leaves it."""
    await ChargerWriter(tables, buckets=1).write(state(SECOND, "Charging"))
    before = tables.rows(CHARGERS)

    await ChargerWriter(tables, buckets=1).write(state(FIRST))

    assert tables.rows(CHARGERS) == before


async def test_a_row_that_went_away_is_made_again(
    tables: MemoryTables, writer: ChargerWriter
) -> None:
    """A remembered row that somebody deleted is no obstacle to what is newer."""
    await writer.write(state(FIRST))
    for row in tables.rows(CHARGERS):
        await tables.write(CHARGERS, [Delete(row.partition, row.key)])

    await writer.write(state(SECOND, "Charging"))

    assert statuses(tables) == ["Charging"]


async def test_workers_side_by_side_leave_the_latest(tables: MemoryTables) -> None:
    """Whoever meets whom in the middle of a write, the latest state stands."""

    async def turn(_table: str, _moment: str) -> None:
        await asyncio.sleep(0)

    tables.pause = turn
    workers = [ChargerWriter(tables, buckets=1) for _ in range(3)]
    told = [state(FIRST), state(THIRD, "Faulted"), state(SECOND, "Charging")]

    await asyncio.gather(*(worker.write(each) for worker, each in zip(workers, told, strict=True)))

    assert statuses(tables) == ["Faulted"]


async def test_a_row_that_never_rests_is_weather(
    tables: MemoryTables, writer: ChargerWriter
) -> None:
    """A worker that loses every race gives up with a transient error: the batch comes again."""
    await writer.write(state(FIRST))

    async def always_between(_table: str, moment: str) -> None:
        if moment == "before_write":
            tables.pause = MemoryTables().pause
            await tables.write(CHARGERS, [Upsert(row) for row in tables.rows(CHARGERS)])
            tables.pause = always_between

    tables.pause = always_between

    with pytest.raises(StoreUnavailableError, match="chargers kept changing") as error:
        await writer.write(state(SECOND, "Charging"))

    assert error.value.code == "store_contended"


async def test_a_failed_write_is_not_remembered(
    tables: MemoryTables, writer: ChargerWriter
) -> None:
    """What the store did not confirm is written again at the next delivery."""

    async def away(_table: str, moment: str) -> None:
        if moment == "before_write":
            raise StoreUnavailableError("away")

    quiet, tables.pause = tables.pause, away
    with pytest.raises(StoreUnavailableError):
        await writer.write(state())
    tables.pause = quiet

    await writer.write(state())

    assert statuses(tables) == ["Available"]


async def test_a_write_whose_answer_was_lost_is_met_again(
    tables: MemoryTables, writer: ChargerWriter
) -> None:
    """A write that succeeded although it seemed to fail changes nothing of the outcome."""

    async def answer_lost(_table: str, moment: str) -> None:
        if moment == "after_write":
            raise StoreUnavailableError("no answer")

    quiet, tables.pause = tables.pause, answer_lost
    with pytest.raises(StoreUnavailableError):
        await writer.write(state(SECOND))
    tables.pause = quiet

    await writer.write(state(SECOND))
    await writer.write(state(THIRD, "Charging"))

    assert statuses(tables) == ["Charging"]


async def test_what_is_remembered_is_bounded(
    tables: MemoryTables, writer: ChargerWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker forgets the rows it has not written for longest; that costs requests, no state."""
    monkeypatch.setattr("shared.chargers.writer._REMEMBERED_ROWS", 2)
    await writer.write(state(FIRST, chargerId="A"))
    await writer.write(state(FIRST, chargerId="B"))

    assert await requests_of(writer, state(FIRST, chargerId="B")) == {}
    assert (await requests_of(writer, state(SECOND, "Charging", chargerId="A")))[
        "chargers_get"
    ] == 2
    assert statuses(tables) == ["Charging", "Available"]


async def test_rows_are_read_by_charger(tables: MemoryTables) -> None:
    """One charger's rows are one range, the charger's own before its sockets'."""
    writer = ChargerWriter(tables, buckets=4)
    for charger in ("CH", "CH-1", "CH-10", "ch-1"):
        await writer.write([*state(chargerId=charger), *state(chargerId=charger, socketId=2)])

    async def found(charger: str | None) -> list[object]:
        rows = read_chargers(tables, charger=charger, buckets=4)
        return [(row.columns["charger"], row.columns.get("socket")) async for row in rows]

    with counted() as requests:
        assert await found("CH-1") == [("CH-1", None), ("CH-1", 1), ("CH-1", 2)]
    assert requests.by_purpose == {"chargers_range": 1}
    assert len(await found(None)) == 12
    assert await found("CH-2") == []
