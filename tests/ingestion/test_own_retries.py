"""What an answer that was lost leaves behind is no repeat: counts tell of the queue, not of us."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from local.azurite import Azurite
from local.fault_proxy.proxy import FaultProxy
from shared.errors import RowExistsError, StoreUnavailableError
from shared.ingestion.deliver import Delivery
from shared.ingestion.journal import JournalCounts, write_journal
from shared.ingestion.weather import Outlasted
from shared.settings import read_settings
from shared.storage.connect import connect_tables
from shared.storage.memory import MemoryTables
from shared.storage.requests import counted
from shared.storage.rows import Insert, Row, Tables
from shared.storage.tables import ALL_TABLES, EVENTS, STORE
from tests import payloads
from tests.ingestion.day import NOW, ingestion, messages

LOST_ONCE = "error_after_write service=table kind=write count=1"


@pytest.fixture
async def proxied(azurite: Azurite) -> AsyncIterator[tuple[FaultProxy, Tables]]:
    """The gateway as the product opens it, with the proxy between it and Azurite."""
    async with await FaultProxy.start(azurite) as proxy:
        tables = connect_tables(read_settings({"DataStorageConnection": proxy.connection_string}))
        for name in (EVENTS, STORE):
            await tables.create_table(name)
        yield proxy, tables
        await tables.close()


def rows(partition: str, count: int) -> list[Row]:
    return [Row(partition, f"k{n}", {"schema": 1}) for n in range(count)]


@pytest.mark.parametrize("count", [1, 3])
async def test_the_sdk_s_own_retry_meets_its_own_rows_and_says_so(
    proxied: tuple[FaultProxy, Tables], count: int
) -> None:
    """The write was done and its answer was lost: the second request is told, and is counted."""
    proxy, tables = proxied
    proxy.add(LOST_ONCE)

    with counted() as requests, pytest.raises(RowExistsError) as error:
        await tables.write(EVENTS, [Insert(row) for row in rows(f"once{count}", count)])

    assert error.value.after_retry
    assert requests.by_purpose == {"events_write": 2}
    with pytest.raises(RowExistsError) as error:
        await tables.write(EVENTS, [Insert(row) for row in rows(f"once{count}", count)])
    assert not error.value.after_retry


@pytest.mark.parametrize("count", [1, 3])
async def test_the_sdk_s_own_retry_is_no_repeat(
    proxied: tuple[FaultProxy, Tables], count: int
) -> None:
    """Rows that met themselves are stored and not repeated; such a count is not exact."""
    proxy, tables = proxied
    proxy.add(LOST_ONCE)

    lost = await write_journal(tables, rows(f"journal{count}", count))
    repeated = await write_journal(tables, rows(f"journal{count}", count))

    assert lost == JournalCounts(count, 0, exact=False)
    assert repeated == JournalCounts(0, count)


async def test_a_delivery_s_own_second_attempt_is_no_repeat() -> None:
    """The store took everything and failed at last: what the next attempt meets is its own."""
    tables = MemoryTables(*ALL_TABLES)
    quiet = tables.pause

    async def fails_once(table: str, moment: str) -> None:
        if (table, moment) == (EVENTS, "after_write"):
            tables.pause = quiet
            raise StoreUnavailableError("the answer was lost")

    async def nothing_against_it() -> None:
        return

    async def at_once(_seconds: float) -> None:
        return

    tables.pause = fails_once
    delivery = Delivery(
        ingestion(tables),
        guard=nothing_against_it,
        longest_wait=120,
        clock=lambda: NOW,
        sleep=at_once,
    )
    told = Outlasted()

    done = await delivery.take(messages(payloads.state_v2(), payloads.boot_v2()), told)

    assert told.attempts == 2
    assert (done.journal.repeated, done.journal.exact) == (0, False)
    assert len(tables.rows(EVENTS)) == 2
