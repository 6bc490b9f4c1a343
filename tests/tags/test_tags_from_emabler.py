"""Tags that eMabler lists: taken over, but for what was decided here."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.emabler.models.inventory import ListedTag, read_tag
from shared.identifiers import hash_tag
from shared.storage.memory import MemoryTables
from shared.storage.rows import Upsert
from shared.storage.tables import ALL_TABLES, TAG_GROUPS, TAGS
from shared.tags.from_emabler import import_listed, is_usable, merged, one_for_each
from shared.tags.records import Tag, tag_from_row, tag_key, tag_row
from shared.tags.writing import Outcome
from tests.tagging import put_tags

HASH_KEY = b"k" * 32
ITEM: dict[str, Any] = {
    "id": 5,
    "idTag": "04:a2:2b",
    "expiringDate": "2027-01-01T00:00:00Z",
    "startDate": "0001-01-01T00:00:00Z",
    "lastUpdated": "2026-11-01T00:00:00Z",
    "driverId": 9,
    "driverExternalId": "D-9",
}
UNTIL = datetime(2027, 1, 1, tzinfo=UTC)
TAG = Tag(tag="04:a2:2b", valid_until=UNTIL, driver="9", driver_external="D-9")


def listed(**changes: Any) -> ListedTag:
    found = read_tag(ITEM | changes)
    assert found is not None
    return found


async def imported(
    tables: MemoryTables, *tags: ListedTag, previous: bytes | None = None, dry_run: bool = False
) -> dict[Outcome, int]:
    looked: list[int] = []
    outcomes = await import_listed(
        tables, tags, HASH_KEY, previous_key=previous, dry_run=dry_run, done=looked.append
    )
    assert sum(looked) == len(tags) == outcomes.total()
    return dict(outcomes)


def tags_in(tables: MemoryTables) -> list[Tag]:
    return [tag_from_row(row) for row in tables.rows(TAGS)]


def test_a_listed_tag_becomes_one_of_ours() -> None:
    """Validity and driver come from eMabler; a sentinel is no limit."""
    assert merged(None, listed()) == TAG


def test_what_was_decided_here_stays() -> None:
    """A block, a type and the spelling are ours; validity and driver follow eMabler."""
    ours = Tag(
        tag="04-A2-2B", blocked=True, valid_from=UNTIL, valid_until=None, kind="VIN", driver="1"
    )

    assert merged(ours, listed()) == Tag(
        tag="04-A2-2B",
        blocked=True,
        valid_until=UNTIL,
        kind="VIN",
        driver="9",
        driver_external="D-9",
    )


def test_one_card_in_two_spellings_is_one_tag() -> None:
    """The registration that was updated last counts, then the later one."""
    old = listed(id=9, lastUpdated="2026-10-01T00:00:00Z")
    new, other = listed(id=10, idTag="04A22B"), listed(idTag="05")

    assert one_for_each([new, other, old]) == [new, other]
    assert one_for_each([old, other, new]) == [new, other]
    same = [listed(id=9), listed(id=10)]
    assert one_for_each(same) == one_for_each(same[::-1]) == [same[1]]


@pytest.mark.parametrize(("tag", "usable"), [("x" * 255, True), ("x" * 256, False)])
def test_a_tag_beyond_the_limit_of_ids_is_none(tag: str, usable: bool) -> None:  # noqa: FBT001 - a column of the table
    """Push could not tell of it either."""
    assert is_usable(listed(idTag=tag)) is usable


async def test_new_changed_and_same_are_told_apart() -> None:
    """A second import of the same list writes nothing; one changed limit writes one row."""
    tables = MemoryTables(*ALL_TABLES)
    other = listed(id=6, idTag="05")

    first = await imported(tables, listed(), other)
    etags = {row.key: row.etag for row in tables.rows(TAGS)}
    second = await imported(tables, listed(), other)
    assert {row.key: row.etag for row in tables.rows(TAGS)} == etags
    third = await imported(tables, listed(expiringDate=None), other)

    assert (first, second, third) == (
        {Outcome.NEW: 2},
        {Outcome.SAME: 2},
        {Outcome.CHANGED: 1, Outcome.SAME: 1},
    )
    assert sum(tag.valid_until is None for tag in tags_in(tables)) == 1


async def test_a_dry_run_counts_and_writes_nothing() -> None:
    """The same counts as the import that follows."""
    tables = MemoryTables(*ALL_TABLES)
    await put_tags(tables, [Tag(tag="04A22B")], HASH_KEY)
    before = tables.rows(TAGS)
    tags = (listed(), listed(id=6, idTag="05"))

    dry = await imported(tables, *tags, dry_run=True)

    assert tables.rows(TAGS) == before
    assert dry == await imported(tables, *tags) == {Outcome.CHANGED: 1, Outcome.NEW: 1}


async def test_tags_that_are_not_listed_stay() -> None:
    """An import adds and changes; nobody loses a tag by it."""
    tables = MemoryTables(*ALL_TABLES)
    await put_tags(tables, [Tag(tag="OURS")], HASH_KEY)

    await imported(tables, listed())

    assert {tag.tag for tag in tags_in(tables)} == {"OURS", "04:a2:2b"}


async def test_a_block_that_comes_in_between_is_not_lifted() -> None:
    """Between the import's reading and writing somebody blocks the tag: it stays blocked."""
    tables = MemoryTables(*ALL_TABLES)
    await imported(tables, listed())
    real = tables.pause

    async def block(_table: str, moment: str) -> None:
        if moment == "before_write":
            tables.pause = real
            await tables.write(TAGS, [Upsert(tag_row(Tag(tag="04a22b", blocked=True), HASH_KEY))])

    tables.pause = block
    await imported(tables, listed(expiringDate=None))

    (tag,) = tags_in(tables)
    assert (tag.blocked, tag.valid_until, tag.driver) == (True, None, "9")


async def test_a_block_that_is_not_moved_yet_is_not_lifted() -> None:
    """While tags are moved to a new key, one that lies under the previous key alone is merged."""
    previous = b"p" * 32
    tables = MemoryTables(*ALL_TABLES)
    ours = Tag(tag="04:a2:2b", blocked=True, group="G")
    await put_tags(tables, [ours], previous)

    dry = await imported(tables, listed(), previous=previous, dry_run=True)
    told = await imported(tables, listed(), previous=previous)
    again = await imported(tables, listed(), previous=previous)

    assert (dry, told, again) == ({Outcome.CHANGED: 1}, {Outcome.CHANGED: 1}, {Outcome.SAME: 1})
    row = await tables.get(TAGS, *tag_key(hash_tag(ours.tag, HASH_KEY)))
    assert row is not None
    assert tag_from_row(row) == replace(TAG, blocked=True, group="G")
    assert f"member|{row.partition}" in {each.key for each in tables.rows(TAG_GROUPS)}
