"""Tags moved to a new hash key: all of them, resumably, and never a moment when one is missed."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest

from shared.errors import StoreUnavailableError
from shared.identifiers import hash_tag
from shared.sessions.claims import Claim, Source
from shared.sessions.writer import SessionWriter
from shared.storage.memory import MemoryTables
from shared.storage.requests import counted
from shared.storage.rows import Row, Upsert
from shared.storage.tables import ALL_TABLES, TAG_GROUPS, TAG_ROSTER, TAGS, UNKNOWN_TAGS
from shared.tags.changing import set_blocked
from shared.tags.reading import read_tag
from shared.tags.records import Tag, tag_session_row
from shared.tags.rehash import Moved, Rehash
from shared.tags.spellings import hashes_of, spellings_of
from tests.tagging import put_tags

OLD, NEW = b"o" * 32, b"n" * 32
NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)


class Store:
    """A store whose tags lie under the old key."""

    def __init__(self) -> None:
        self.tables = MemoryTables(*ALL_TABLES)

    async def knows(self, *tags: Tag, key: bytes = OLD) -> None:
        await put_tags(self.tables, tags, key)

    async def charges(self, tag: str, charger: str, transaction: str = "7") -> None:
        writer = SessionWriter(self.tables, buckets=4, tag_hash_key=OLD)
        claim = Claim(
            source=Source.START,
            charger=charger,
            transaction=transaction,
            name="d",
            digest="d",
            start=NOW,
            tag=tag,
        )
        await writer.write([claim])

    async def rehash(self) -> Moved:
        rehash = Rehash(self.tables, current=NEW, previous=OLD, buckets=4)
        return await rehash.run(lambda _more: None)

    def under(self, key: bytes, *tags: str) -> dict[str, list[str]]:
        names = {hash_tag(tag, key): tag for tag in tags}
        found: dict[str, list[str]] = {}
        for row in self.tables.rows(TAGS):
            if row.partition in names:
                found.setdefault(names[row.partition], []).append(row.key.partition("|")[0])
        return found


@pytest.fixture
async def store() -> Store:
    store = Store()
    await store.knows(Tag(tag="A", group="G"), Tag(tag="B"))
    await store.charges("A", "CH-1")
    await store.charges("ONLY", "Säule 2")
    return store


async def test_everything_is_moved(store: Store) -> None:
    """Records, their sessions, members of groups, and sessions of tags that nobody recorded."""
    moved = await store.rehash()

    assert (moved.moved, moved.there, moved.unnamed) == (3, 0, 0)
    assert store.under(OLD, "A", "B", "ONLY") == {}
    assert store.under(NEW, "A", "B", "ONLY") == {
        "A": ["session", "tag"],
        "B": ["tag"],
        "ONLY": ["session"],
    }
    assert [row.key for row in store.tables.rows(TAG_GROUPS)] == [f"member|{hash_tag('A', NEW)}"]
    assert [row.key for row in store.tables.rows(TAG_ROSTER)] == sorted(
        hash_tag(tag, NEW) for tag in "AB"
    )
    known = await read_tag(store.tables, [hash_tag("A", NEW)], NOW)
    assert (known.tag, len(known.open_sessions)) == (Tag(tag="A", group="G"), 1)


async def test_a_second_run_moves_nothing(store: Store) -> None:
    """Once moved it is there, and nothing is written but the note of where the run stands."""
    await store.rehash()
    rows = store.tables.rows(TAGS)

    moved = await store.rehash()

    assert (moved.moved, moved.there) == (0, 3)
    assert store.tables.rows(TAGS) == rows


async def test_what_lies_under_the_current_key_counts(store: Store) -> None:
    """A record that was written under the new key is not overwritten by the old one."""
    await store.knows(Tag(tag="A", blocked=True), key=NEW)

    await store.rehash()

    known = await read_tag(store.tables, [hash_tag("A", NEW)], NOW)
    assert known.tag == Tag(tag="A", blocked=True)
    assert len(known.open_sessions) == 1


async def test_a_session_whose_tag_nobody_tells_stays(store: Store) -> None:
    """Without a record and without a claim nobody knows the tag: the rows stay, counted."""
    row = tag_session_row(hash_tag("GONE", OLD), "CH-9|9", "start", "d", NOW)
    await store.tables.write(TAGS, [Upsert(row)])

    assert (await store.rehash()).unnamed == 1
    assert store.under(OLD, "GONE") == {"GONE": ["session"]}


async def test_a_rehash_goes_on_where_it_broke_off() -> None:
    """Stopped at each write in turn and run again, all is moved; at no moment is a tag missed."""
    for stop in range(12):
        store = Store()
        await store.knows(Tag(tag="A", group="G"), Tag(tag="B"))
        await store.charges("A", "CH-1")
        writes = iter(range(100))

        async def stops(_table: str, moment: str, at: int = stop, n=writes) -> None:  # type: ignore[no-untyped-def]
            if moment == "before_write" and next(n) == at:
                raise StoreUnavailableError("away")

        quiet, store.tables.pause = store.tables.pause, stops
        with suppress(StoreUnavailableError):
            await store.rehash()
        store.tables.pause = quiet
        for tag in ("A", "B"):
            known = await read_tag(store.tables, hashes_of(tag, [NEW, OLD]), NOW)
            assert known.tag is not None
            assert len(known.open_sessions) == (tag == "A")
        await store.rehash()
        assert store.under(OLD, "A", "B") == {}
        assert store.under(NEW, "A", "B") == {"A": ["session", "tag"], "B": ["tag"]}


async def test_a_long_rehash_does_not_begin_anew() -> None:
    """It notes how far it came, and another pair of keys begins from the start."""
    store = Store()
    await store.knows(*(Tag(tag=f"T{n}") for n in range(500)))
    told: list[int] = []

    async def stops(table: str, moment: str) -> None:
        if table == TAGS and moment == "before_write" and sum(told) >= 400:
            raise StoreUnavailableError("away")

    store.tables.pause = stops
    rehash = Rehash(store.tables, current=NEW, previous=OLD, buckets=4)
    with pytest.raises(StoreUnavailableError):
        await rehash.run(told.append)
    store.tables.pause = MemoryTables().pause

    moved = await store.rehash()

    assert moved.moved == 500 - sum(told)
    assert moved.moved + moved.there < 500 + sum(told)
    back = Rehash(store.tables, current=OLD, previous=NEW, buckets=4)
    assert (await back.run(lambda _more: None)).moved == 500


async def test_a_block_during_a_move_is_not_undone() -> None:
    """A tag that is blocked while its partition is moved is blocked afterwards."""
    for moment in range(8):
        store = Store()
        await store.knows(Tag(tag="A"))
        await store.charges("A", "CH-1")
        steps = iter(range(100))

        async def blocks(  # type: ignore[no-untyped-def]
            _table: str,
            _moment: str,
            at: int = moment,
            n=steps,
            of: Store = store,
        ) -> None:
            if next(n) == at:
                of.tables.pause = MemoryTables().pause
                await set_blocked(of.tables, hashes_of("A", [NEW, OLD]), NEW, blocked=True)

        store.tables.pause = blocks
        await store.rehash()
        store.tables.pause = MemoryTables().pause
        await store.rehash()

        known = await read_tag(store.tables, hashes_of("A", [NEW, OLD]), NOW)
        assert known.tag is not None
        assert known.tag.blocked


async def test_the_inbox_moves_too(store: Store) -> None:
    """Unknown tags keep their counts under the new hash."""
    old = hash_tag("X", OLD)
    await store.tables.write(UNKNOWN_TAGS, [Upsert(Row(old[:2], old, {"tag": "X", "count": 3}))])

    await store.rehash()
    with counted() as requests:
        await store.rehash()

    (row,) = store.tables.rows(UNKNOWN_TAGS)
    assert (row.key, row.columns["count"]) == (hash_tag("X", NEW), 3)
    assert "unknowntags_write" not in requests.by_purpose


@pytest.mark.parametrize(
    ("tag", "kinds", "spellings"),
    [
        ("04:a2:2b:7f", (), ["04A22B7F"]),
        ("04A22B7F", ("reversed",), ["04A22B7F", "7F2BA204"]),
        ("0004A2", ("padded",), ["0004A2", "4A2", "000004A2", "000000000004A2", "0" * 17 + "4A2"]),
        ("ABC", ("reversed",), ["ABC"]),
        ("Karte 7", ("reversed", "padded"), ["KARTE7"]),
        ("00", ("padded",), ["00", "0", "0" * 8, "0" * 14, "0" * 20]),
        ("1" * 30, ("padded",), ["1" * 30]),
    ],
)
def test_spellings_of_one_card(tag: str, kinds: tuple[str, ...], spellings: list[str]) -> None:
    """Its own first; zeros in front and bytes turned round only for hexadecimal numbers."""
    assert spellings_of(tag, kinds) == spellings


def test_both_readers_of_one_card_meet() -> None:
    """With both kinds a reversed number with lost zeros is found, in a handful of reads."""
    found = spellings_of("04A22B00", ("reversed", "padded"))

    assert {"04A22B00", "002BA204"} <= set(found)
    assert len(found) <= 9
    assert hashes_of("04A22B00", [NEW, OLD], ("reversed",)) == [
        hash_tag(each, key) for each in ("04A22B00", "002BA204") for key in (NEW, OLD)
    ]
