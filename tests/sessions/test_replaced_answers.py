"""REST answers that take the place of others: what stood under tags of the former goes with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.errors import StoreUnavailableError
from shared.sessions.claims import Claim, Source
from shared.sessions.writer import SessionWriter
from shared.storage.memory import MemoryTables
from shared.storage.requests import counted
from shared.storage.rows import Row, Upsert
from shared.storage.tables import ALL_TABLES, SESSIONS, TAGS

END = datetime(2026, 11, 2, 10, 41, 43, tzinfo=UTC)
HOUR = timedelta(hours=1)


def rest(hours: int, **fields: Any) -> Claim:
    """An answer that was observed so many hours after the end."""
    told: dict[str, Any] = {"start": END - HOUR, "end": END, "tag": "T1", "name": "9"}
    told |= {"charger": "CH-1", "transaction": "7", "observed": END + hours * HOUR} | fields
    return Claim(source=Source.REST, digest=f"digest-{hours}", **told)


START = Claim(
    source=Source.START,
    charger="CH-1",
    transaction="7",
    name="s",
    digest="s",
    start=END - HOUR,
    tag="T1",
)


def writer(tables: MemoryTables) -> SessionWriter:
    return SessionWriter(tables, buckets=1, tag_hash_key=b"k" * 32)


def under_tags(tables: MemoryTables) -> dict[tuple[str, str], Any]:
    return {(row.partition, row.key): row.columns for row in tables.rows(TAGS)}


async def written(*claims: Claim) -> MemoryTables:
    tables = MemoryTables(*ALL_TABLES)
    for claim in claims:
        await writer(tables).write([claim])
    return tables


@pytest.mark.parametrize("later", [{"end": END - HOUR / 2}, {"tag": "T2"}, {"energy_wh": 5.0}])
@pytest.mark.parametrize("before", [[], [START]])
async def test_a_corrected_answer_leaves_no_row_of_the_former(
    before: list[Claim], later: dict[str, Any]
) -> None:
    """What stands under tags is what stood there, had the later answer been the only one."""
    tables = await written(*before, rest(1), rest(2, **later))

    assert under_tags(tables) == under_tags(await written(*before, rest(2, **later)))


async def test_an_answer_that_says_the_same_costs_nothing_more() -> None:
    """Only where an answer takes another one's place are its rows under tags asked for."""
    tables = await written(rest(1))

    with counted() as requests:
        await writer(tables).write([rest(1, observed=END + 3 * HOUR)])

    assert "tags_get" not in requests.by_purpose


async def test_a_row_that_is_told_again_meanwhile_stays() -> None:
    """Who comes back to the former answer's row between its reading and its deletion keeps it."""
    tables = await written(rest(1))
    (former,) = tables.rows(TAGS)
    calm = tables.pause

    async def again(table: str, moment: str) -> None:
        if (table, moment) == (SESSIONS, "after_write"):
            tables.pause = calm
            await tables.write(TAGS, [Upsert(Row(former.partition, former.key, former.columns))])

    tables.pause = again
    await writer(tables).write([rest(2, tag="T2")])

    assert (former.partition, former.key) in under_tags(tables)


async def away(table: str, moment: str) -> None:
    """The store goes away before a write of sessions."""
    if (table, moment) == (SESSIONS, "before_write"):
        raise StoreUnavailableError("away")


async def test_no_row_goes_before_its_answer() -> None:
    """Where the session cannot be written, what stands under its former tag stays."""
    tables = await written(rest(1))
    before = under_tags(tables)
    calm, tables.pause = tables.pause, away

    with pytest.raises(StoreUnavailableError):
        await writer(tables).write([rest(2, tag="T2")])
    assert before.items() <= under_tags(tables).items()

    tables.pause = calm
    await writer(tables).write([rest(2, tag="T2")])
    assert under_tags(tables) == under_tags(await written(rest(2, tag="T2")))
