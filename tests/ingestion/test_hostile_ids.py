"""Ids with whatever characters: each is read back as it came, and none meets another."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import batched

import pytest

from local.azurite import Azurite
from shared.chargers.reading import read_chargers
from shared.identifiers import hash_tag, normalise_tag
from shared.ingestion.reading import EventFilter, read_events
from shared.sessions.reading import read_summaries
from shared.storage.bodies import read_body
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.rows import Row, Tables
from shared.storage.tables import PARKED, TAGS
from shared.tags.records import SESSION_ROWS, TAG_ROWS, Tag, tag_from_row
from tests import payloads
from tests.ingestion.day import HASH_KEY, NOW, deliver, ingestion
from tests.stores import InMemory, OnAzurite, Stores
from tests.tagging import put_tags

MARKS = (
    "/\\#?% '\"|=~!&+;:,.-_<>(){}[]$@^`*\x00\x01\t\n\r\x1f\x7f\x80\x85\x9f\xa0\u2028\ufeff\uffff"
)
HOSTILE = (
    *(f"a{mark}b" for mark in MARKS),
    *("ab", "Ab", "aB", "AB", "a  b", " ab", "ab ", "'ab'", "''", "a''b", "x' or 'x' eq 'x"),
    # What other ids' escaped forms look like.
    *("a=2Fb", "a=3D2Fb", "a%2Fb", "a%252Fb", "=~", "=none-start-0a", "!", "~", "a|!", "a|~"),
    # A letter in one piece and in two, both cases beyond ASCII, emoji, one of several characters.
    *("é", "e\u0301", "ß", "ss", "SS", "\u0130", "i", "I", "\u0131", "🚗", "🚙", "a🚗b"),
    *("\U0001f469", "\U0001f469\u200d\U0001f527"),
    *("x" * 200, "X" * 200, "x" * 199 + "y", "/" * 200, "/" * 199 + "\\"),
    *("x" * 255, "x" * 254 + "y", "y" + "x" * 254, "🚗" * 255, "🚗" * 254 + "🚙"),
    *("7", "07", "7.0", "+7", "1e1"),
)


def told_of_all() -> Iterator[bytes]:
    """All five types of each charger; then the same ids as transactions of one charger."""
    for each in HOSTILE:
        whole = {"chargerId": each, "transactionId": each, "authorizedIdTag": each}
        yield from (make(chargerId=each) for make in (payloads.state_v2, payloads.boot_v2))
        yield from (make(**whole) for make in (payloads.start_v2, payloads.full_v2))
        yield payloads.measurements(chargerId=each)
    for each in HOSTILE:
        yield from (make(transactionId=each) for make in (payloads.start_v2, payloads.full_v2))


@pytest.fixture(scope="module", params=["memory", "azurite"])
async def tables(request: pytest.FixtureRequest, azurite: Azurite) -> AsyncIterator[Tables]:
    """One store in which all of these ids are chargers, transactions and tags."""
    stores: Stores = InMemory() if request.param == "memory" else OnAzurite(azurite)
    (tables,) = await stores.fresh()
    worker = ingestion(tables)
    for batch in batched(told_of_all(), 100, strict=False):
        await deliver(worker, batch)
    await put_tags(tables, [Tag(tag=each) for each in HOSTILE], HASH_KEY)
    yield tables
    await stores.close()


async def all_of(rows: AsyncIterator[Row]) -> list[Row]:
    return [row async for row in rows]


def test_the_ids_are_different_ones() -> None:
    """The list says nothing twice, and is long enough to say much."""
    assert len(set(HOSTILE)) == len(HOSTILE) > 80


async def test_nothing_of_it_was_parked(tables: Tables) -> None:
    """Every one of these ids is an id."""
    assert await all_of(tables.scan(PARKED)) == []


async def test_the_journal_tells_chargers_and_transactions_apart(tables: Tables) -> None:
    """Five events of each charger, two of each transaction, with the ids in columns and bodies."""
    rows = await all_of(read_events(tables, EventFilter(), buckets=4, now=NOW))

    found = Counter((row.columns["charger"], row.columns.get("transaction")) for row in rows)
    wanted: dict[tuple[object, object], int] = {
        **{(each, None): 2 for each in HOSTILE},
        **{(each, each): 2 for each in HOSTILE},
        **{(each, "1032427936"): 1 for each in HOSTILE},
        **{("CH-0042", each): 2 for each in HOSTILE},
    }
    assert found == wanted
    assert {await read_body(MemoryBlobs(), row.columns) for row in rows} == set(told_of_all())


@pytest.mark.parametrize("charger", ["a/b", "a=2Fb", "Ab", "x" * 254 + "y", "🚗" * 255, "a\x00b"])
async def test_the_journal_is_read_by_charger(tables: Tables, charger: str) -> None:
    """Who asks for one charger's events is given all five types, and no other charger's."""
    wanted = EventFilter(charger=charger, start=NOW.replace(hour=0), end=NOW)

    rows = await all_of(read_events(tables, wanted, buckets=4, now=NOW))

    assert len({row.columns["type"] for row in rows}) == len(rows) == 5
    assert {row.columns["charger"] for row in rows} == {charger}


async def test_each_charger_has_its_own_sessions(tables: Tables) -> None:
    """One charger's range holds its session and no other's, whole."""
    for each in HOSTILE:
        (row,) = await all_of(read_summaries(tables, charger=each, buckets=4))

        assert (row.columns["charger"], row.columns["transaction"]) == (each, each)
        assert (row.columns["starts"], row.columns["stops"]) == (1, 1)
        assert row.columns["tag"] == normalise_tag(each)


async def test_each_transaction_is_a_session_of_its_own(tables: Tables) -> None:
    """Of one charger all transactions are told apart, each with its start and its stop."""
    rows = await all_of(read_summaries(tables, charger="CH-0042", buckets=4))

    assert sorted(str(row.columns["transaction"]) for row in rows) == sorted(HOSTILE)
    assert {(row.columns["starts"], row.columns["stops"]) for row in rows} == {(1, 1)}


async def test_each_charger_has_its_own_rows(tables: Tables) -> None:
    """The charger itself and its socket, and nobody else's."""
    for each in HOSTILE:
        rows = await all_of(read_chargers(tables, charger=each, buckets=4))

        assert [row.columns["charger"] for row in rows] == [each, each], each
        assert [row.columns.get("state_status") for row in rows] == [None, "Available"]


async def test_each_tag_has_its_own_row_and_sessions(tables: Tables) -> None:
    """A tag's partition holds the sessions of its spellings, and of no other tag."""
    spellings: Mapping[str, set[str]] = {
        normalise_tag(each): {e for e in HOSTILE if normalise_tag(e) == normalise_tag(each)}
        for each in HOSTILE
    }
    assert len(spellings) > 60
    for tag, spelled in spellings.items():
        rows = await all_of(tables.range(TAGS, hash_tag(tag, HASH_KEY)))

        (own,) = [row for row in rows if row.key.startswith(TAG_ROWS)]
        assert tag_from_row(own).tag in spelled
        sessions = {row.columns["session"] for row in rows if row.key.startswith(SESSION_ROWS)}
        assert len(sessions) == len(spelled), tag
