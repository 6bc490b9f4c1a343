"""Tags into the store: only what differs, groups kept in step, blocks that nothing undoes."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.errors import StoreUnavailableError
from shared.identifiers import hash_tag
from shared.storage.memory import MemoryTables
from shared.storage.requests import counted
from shared.storage.rows import Operation, Upsert
from shared.storage.tables import ALL_TABLES, TAG_GROUPS, TAGS
from shared.tags.changing import set_blocked
from shared.tags.importing import COLUMNS
from shared.tags.records import Scope, Tag, tag_from_row, tag_row, tag_session_row
from shared.tags.rehash import Rehash
from shared.tags.writing import Outcome, TagImport, Told

KEY, PREVIOUS = b"k" * 32, b"p" * 32
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)


class Storage:
    """Tables of tags and their groups, and imports into them."""

    def __init__(self) -> None:
        self.tables = MemoryTables(*ALL_TABLES)

    async def imports(
        self,
        *tags: Tag,
        columns: Collection[str] = COLUMNS,
        previous: bytes | None = None,
        look: bool = False,
        dry: bool = False,
    ) -> list[Told]:
        work = TagImport(self.tables, KEY, columns, previous_key=previous, dry_run=dry)
        if look:
            await work.look(lambda _more: None)
        return [told async for part in work.write(enumerate(tags, 2)) for told in part]

    def tags(self) -> dict[str, Tag]:
        rows = [row for row in self.tables.rows(TAGS) if row.key.startswith("tag|")]
        return {str(row.columns["tag"]): tag_from_row(row) for row in rows}

    def members(self) -> set[tuple[str, str]]:
        return {
            (row.partition, row.key.removeprefix("member|")) for row in self.tables.rows(TAG_GROUPS)
        }


def outcomes(told: list[Told]) -> list[str]:
    return [str(each.outcome) for each in told]


@pytest.mark.parametrize("look", [False, True], ids=["few", "many"])
async def test_an_import_writes_only_what_differs(*, look: bool) -> None:
    """New, changed and same tags are told apart; the same file again writes no row."""
    storage = Storage()
    await storage.imports(Tag(tag="A", group="G"), Tag(tag="B", blocked=True))
    tags = [Tag(tag="A", group="G"), Tag(tag="B"), Tag(tag="C", group="G")]

    told = await storage.imports(*tags, look=look)
    with counted() as requests:
        again = await storage.imports(*tags, look=look)

    assert outcomes(told) == ["same", "changed", "new"]
    assert told[1].changes == ("blocked: yes → no",)
    assert outcomes(again) == ["same"] * 3
    assert not [purpose for purpose in requests.by_purpose if "write" in purpose]
    assert storage.tags() == {tag.tag: tag for tag in tags}


@pytest.mark.parametrize("look", [False, True], ids=["few", "many"])
async def test_a_dry_run_tells_and_writes_nothing(*, look: bool) -> None:
    """The same outcomes and changes as for real, and no row."""
    storage = Storage()
    await storage.imports(Tag(tag="04A2", kind="TAG"))
    before = storage.tables.rows(TAGS)
    tags = [Tag(tag="04:a2", kind="VIN", most_sessions=2), Tag(tag="NEW", group="G")]

    dry = await storage.imports(*tags, look=look, dry=True)

    assert storage.tables.rows(TAGS) == before
    assert storage.members() == set()
    assert dry == await storage.imports(*tags, look=look)
    assert dry[0].changes == ("spelling", "type: TAG → VIN", "most_sessions: - → 2")


@pytest.mark.parametrize("look", [False, True], ids=["few", "many"])
async def test_columns_that_a_header_does_not_name_stay(*, look: bool) -> None:
    """An import of validities neither unblocks a tag nor forgets its driver.

    An empty field of a column that is named does take its value away.
    """
    storage = Storage()
    present = Tag(
        tag="A", blocked=True, kind="TAG", group="G", driver="7", scope=Scope(("CH",), ("S",))
    )
    await storage.tables.write(TAGS, [Upsert(tag_row(present, KEY))])

    told = await storage.imports(
        Tag(tag="A", valid_until=NOVEMBER), columns={"tag", "valid_until", "type"}, look=look
    )
    await storage.imports(Tag(tag="A", scope=Scope()), columns={"tag", "chargers"}, look=look)

    assert outcomes(told) == ["changed"]
    assert storage.tags()["A"] == Tag(
        tag="A",
        blocked=True,
        valid_until=NOVEMBER,
        group="G",
        driver="7",
        scope=Scope((), ("S",)),
    )


@pytest.mark.parametrize("look", [False, True], ids=["few", "many"])
async def test_groups_know_their_tags(*, look: bool) -> None:
    """A tag that joins, changes or leaves its group is a member of the one that it is in."""
    storage = Storage()

    def member(group: str, tag: str) -> tuple[str, str]:
        return group, hash_tag(tag, KEY)

    await storage.imports(Tag(tag="A", group="G"), Tag(tag="B", group="G"), look=look)
    assert storage.members() == {member("G", "A"), member("G", "B")}
    await storage.imports(Tag(tag="A", group="H"), Tag(tag="B"), Tag(tag="C", group="H"), look=look)
    assert storage.members() == {member("H", "A"), member("H", "C")}


async def test_sessions_of_a_tag_are_no_tags() -> None:
    """Looking at what is there walks past the sessions that lie beside each tag."""
    storage = Storage()
    row = tag_session_row(hash_tag("A", KEY), "CH|7", "start", "d", NOVEMBER)
    await storage.tables.write(TAGS, [Upsert(row)])

    assert outcomes(await storage.imports(Tag(tag="A"), look=True)) == ["new"]
    assert len(storage.tables.rows(TAGS)) == 2


async def test_an_import_goes_on_where_it_broke_off() -> None:
    """A store that goes away in the middle is told; the same import again writes the rest."""
    storage = Storage()
    tags = [Tag(tag=f"T{n}") for n in range(40)]
    writes = iter(range(1000))

    async def away_after_20(_table: str, moment: str) -> None:
        await asyncio.sleep(0)
        if moment == "before_write" and next(writes) >= 20:
            raise StoreUnavailableError("away")

    quiet, storage.tables.pause = storage.tables.pause, away_after_20
    with pytest.raises(StoreUnavailableError):
        await storage.imports(*tags)
    storage.tables.pause = quiet
    assert 0 < len(storage.tags()) < 40

    told = await storage.imports(*tags)

    assert Counter(outcomes(told)).keys() == {"new", "same"}
    assert len(storage.tags()) == 40


async def test_a_tag_that_appears_meanwhile_is_not_written_over() -> None:
    """What was not there when the import looked is merged with what came since."""
    storage = Storage()
    work = TagImport(storage.tables, KEY, {"tag", "type"})
    await work.look(lambda _more: None)
    await storage.imports(Tag(tag="A", blocked=True))

    told = [each async for part in work.write([(2, Tag(tag="A", kind="VIN"))]) for each in part]

    assert outcomes(told) == ["changed"]
    assert storage.tags()["A"] == Tag(tag="A", blocked=True, kind="VIN")


async def test_a_block_between_reading_and_writing_is_kept() -> None:
    """Tags are changed under their ETag: an import does not lift a block that it did not see."""
    storage = Storage()
    await storage.imports(Tag(tag="A"))
    between = True

    async def blocked_between(_table: str, moment: str) -> None:
        nonlocal between
        if between and moment == "before_write":
            between = False
            await set_blocked(storage.tables, [hash_tag("A", KEY)], KEY, blocked=True)

    storage.tables.pause = blocked_between
    await storage.imports(Tag(tag="A", kind="VIN"), columns={"tag", "type"})

    assert storage.tags()["A"] == Tag(tag="A", blocked=True, kind="VIN")


async def test_a_tag_is_blocked_and_unblocked() -> None:
    """Nothing else of it changes; again changes nothing; an unknown tag is told."""
    storage = Storage()
    tag = Tag(tag="04 A2", kind="VIN", group="G")
    await storage.imports(tag)
    hashes = [hash_tag("04a2", KEY)]

    blocked = await set_blocked(storage.tables, hashes, KEY, blocked=True)
    again = await set_blocked(storage.tables, hashes, KEY, blocked=True)
    await set_blocked(storage.tables, hashes, KEY, blocked=False)

    assert blocked is not None
    assert (blocked[0], blocked[1].blocked) == (tag, True)
    assert again is not None
    assert again[0] == again[1]
    assert storage.tags()["04A2"] == tag
    assert await set_blocked(storage.tables, [hash_tag("X", KEY)], KEY, blocked=True) is None


async def test_a_block_counts_while_tags_are_moved() -> None:
    """With a previous key the current one's record is blocked too, also where there was none."""
    storage = Storage()
    await storage.tables.write(TAGS, [Upsert(tag_row(Tag(tag="A", group="G"), PREVIOUS))])
    hashes = [hash_tag("A", KEY), hash_tag("A", PREVIOUS)]

    await set_blocked(storage.tables, hashes, KEY, blocked=True)

    rows = {row.partition: tag_from_row(row) for row in storage.tables.rows(TAGS)}
    assert {name: tag.blocked for name, tag in rows.items()} == dict.fromkeys(hashes, True)
    assert ("G", hashes[0]) in storage.members()


@pytest.mark.parametrize("look", [False, True], ids=["few", "many"])
async def test_an_import_while_tags_are_moved_lifts_no_block(*, look: bool) -> None:
    """A tag that lies under the previous key alone is merged, and written under the current one.

    A dry run tells the same; what is the same there is not written; the tag is a member of its
    group under the hash that counts.
    """
    storage = Storage()
    moving = Tag(tag="A", blocked=True, group="G", scope=Scope(chargers=("CH",)))
    for tag in (moving, Tag(tag="B", valid_until=NOVEMBER)):
        await storage.tables.write(TAGS, [Upsert(tag_row(tag, PREVIOUS))])
    lines = [Tag(tag=name, valid_until=NOVEMBER) for name in "ABC"]

    async def imported(*, dry: bool) -> list[Told]:
        return await storage.imports(
            *lines, columns={"tag", "valid_until"}, previous=PREVIOUS, look=look, dry=dry
        )

    dry = await imported(dry=True)
    told = await imported(dry=False)

    assert outcomes(told) == ["changed", "same", "new"]
    assert dry == told
    rows = {row.partition: tag_from_row(row) for row in storage.tables.rows(TAGS)}
    assert rows == {
        hash_tag("A", KEY): replace(moving, valid_until=NOVEMBER),
        hash_tag("A", PREVIOUS): moving,
        hash_tag("B", PREVIOUS): lines[1],
        hash_tag("C", KEY): lines[2],
    }
    assert storage.members() == {("G", hash_tag("A", KEY))}


async def test_an_import_beside_a_move_lifts_no_block() -> None:
    """Wherever the move of a blocked tag falls between an import's reads, it stays blocked."""
    for moment in range(4):
        storage = Storage()
        present = tag_row(Tag(tag="A", blocked=True), PREVIOUS)
        await storage.tables.write(TAGS, [Upsert(present)])
        steps = iter(range(100))

        async def moves(  # type: ignore[no-untyped-def]
            _table: str, _moment: str, at: int = moment, n=steps, of: Storage = storage
        ) -> None:
            if next(n) == at:
                of.tables.pause = MemoryTables().pause
                rehash = Rehash(of.tables, current=KEY, previous=PREVIOUS, buckets=1)
                await rehash.run(lambda _more: None)

        storage.tables.pause = moves
        await storage.imports(Tag(tag="A", kind="VIN"), columns={"tag", "type"}, previous=PREVIOUS)
        storage.tables.pause = MemoryTables().pause
        await Rehash(storage.tables, current=KEY, previous=PREVIOUS, buckets=1).run(lambda _: None)

        assert storage.tags() == {"A": Tag(tag="A", blocked=True, kind="VIN")}


async def test_changes_of_a_group_that_cross_lose_no_member() -> None:
    """A tag that is put back into its group amid leaving it is a member of it, at every moment."""
    for moment in range(12):
        storage = Storage()
        await storage.imports(Tag(tag="A", group="G"))
        steps = iter(range(100))

        def in_its_group(of: Storage = storage) -> bool:
            return (of.tags()["A"].group, hash_tag("A", KEY)) in of.members()

        async def goes_back(  # type: ignore[no-untyped-def]
            _table: str, _moment: str, at: int = moment, n=steps, of: Storage = storage
        ) -> None:
            assert in_its_group(of)
            if next(n) == at:
                await of.imports(Tag(tag="A", group="G"))

        storage.tables.pause = goes_back
        await storage.imports(Tag(tag="A", group="H"))

        assert in_its_group(storage)


async def test_the_memory_of_an_import_is_flat() -> None:
    """Ten times as many tags take hardly more memory: 24 bytes for each that is there."""

    class Sink(MemoryTables):
        async def write(self, _table: str, operations: Sequence[Operation]) -> list[str | None]:
            return ["kept nowhere"] * len(operations)

    def tags(count: int) -> Iterator[tuple[int, Tag]]:
        return ((n, Tag(tag=f"{n:014X}")) for n in range(count))

    async def peak(count: int) -> int:
        work = TagImport(Sink(*ALL_TABLES), KEY, COLUMNS)
        await work.look(lambda _more: None)
        gc.collect()
        tracemalloc.start()
        async for part in work.write(tags(count)):
            assert {told.outcome for told in part} == {Outcome.NEW}
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert await peak(20_000) < 1.5 * await peak(2_000)
