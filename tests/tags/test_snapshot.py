"""The snapshot of the tags that may charge offline: small, exact, and never an earlier scan's."""

from __future__ import annotations

import gc
import random
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import StoreUnavailableError
from shared.identifiers import hash_tag
from shared.storage.containers import SNAPSHOTS
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.rows import Upsert
from shared.storage.tables import ALL_TABLES, TAG_GROUPS, TAGS
from shared.tags.groups import Group, group_row, member_row
from shared.tags.records import Scope, Tag, tag_session_row
from shared.tags.snapshot import (
    Snapshot,
    make_snapshot,
    may_charge_offline,
    read_snapshot,
    record_of,
)
from shared.tags.snapshot_store import NAME, SnapshotStore
from tests.tagging import put_tags

KEY = b"k" * 32
NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
# The snapshot keeps the first half of a hash: tests keep to hashes that differ there.
HASHES = st.binary(min_size=16, max_size=16).map(lambda half: (half * 2).hex())


def hashed(tag: str) -> str:
    return hash_tag(tag, KEY)


def snapshot_of(*tags: Tag, scanned: datetime = NOW) -> Snapshot:
    return make_snapshot([record_of(hashed(tag.tag), tag, None) for tag in tags], scanned)


@given(st.sets(HASHES, max_size=60), st.sets(HASHES, max_size=10))
def test_a_snapshot_holds_what_was_put_in(inside: set[str], others: set[str]) -> None:
    """Each tag is found and no other, also when read back from its bytes."""
    records = [record_of(each, Tag(tag="T"), None) for each in inside]
    made = make_snapshot(records, NOW)

    read = read_snapshot(made.content())

    assert read == made
    assert len(made) == len(inside)
    assert all(made.validity(each) is not None for each in inside)
    assert all(made.validity(each) is None for each in others - inside)


@given(st.sets(HASHES, min_size=1, max_size=40), st.sets(HASHES, max_size=3), st.data())
def test_tags_are_denied(inside: set[str], others: set[str], data: st.DataObject) -> None:
    """What is withdrawn is held and may not charge, the rest may; the scan is as old as before."""
    gone = data.draw(st.sets(st.sampled_from(sorted(inside)))) | (others - inside)
    made = make_snapshot([record_of(each, Tag(tag="T"), None) for each in inside], NOW)

    left = made.denying([*gone, *sorted(gone)[:1]])

    validities = {each: left.validity(each) for each in inside | gone}
    may = {each for each, validity in validities.items() if validity and validity.holds(NOW)}
    assert may == inside - gone
    assert None not in validities.values()
    assert len(left) == len(inside | gone)
    assert left.scanned == NOW
    assert left.as_of > made.as_of
    assert read_snapshot(left.content()) == left


@pytest.mark.parametrize(
    "content", [b"", b"x" * 27, b"x" * 200, b"TAGS\x00\x00\x00\x02" + bytes(20)]
)
def test_other_bytes_are_no_snapshot(content: bytes) -> None:
    """A blob of another version, or cut off, is as none."""
    assert read_snapshot(content) is None
    assert read_snapshot(snapshot_of(Tag(tag="T")).content()[:-1]) is None
    assert read_snapshot(b"TAGS\x00\x00\x00\x01" + b"\xff" * 16 + bytes(4)) is None


def test_validity_holds_to_the_second() -> None:
    """Bounds are cut to the second: never earlier than the tag's beginning, never after its end."""
    tag = Tag(tag="T", valid_from=NOW + SECOND / 4, valid_until=NOW + 9.75 * SECOND)
    validity = snapshot_of(tag).validity(hashed("T"))

    assert validity is not None
    assert [validity.holds(NOW + n * SECOND) for n in (0, 1, 8, 9, 10)] == [
        False,
        True,
        True,
        False,
        False,
    ]
    unbounded = snapshot_of(Tag(tag="T")).validity(hashed("T"))
    assert unbounded is not None
    assert unbounded.holds(datetime(1970, 1, 1, tzinfo=UTC))
    assert unbounded.holds(datetime(9999, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "tag",
    [
        Tag(tag="T", valid_from=datetime(2200, 1, 1, tzinfo=UTC)),
        Tag(tag="T", valid_until=datetime(1969, 1, 1, tzinfo=UTC)),
        Tag(tag="T", valid_until=datetime(1970, 1, 1, tzinfo=UTC)),
        Tag(tag="T", blocked=True),
    ],
)
def test_what_may_never_charge_is_held_and_denied(tag: Tag) -> None:
    """Its validity is empty, at any time."""
    validity = snapshot_of(tag).validity(hashed("T"))

    assert validity is not None
    for year in (1970, 2026, 2106, 2300):
        assert not validity.holds(datetime(year, 2, 8, tzinfo=UTC))


SCOPED = Scope(chargers=("CH",))


@pytest.mark.parametrize(
    ("tag", "group", "may"),
    [
        (Tag(tag="T"), None, True),
        (Tag(tag="T", most_sessions=1), None, True),
        (Tag(tag="T", blocked=True, offline=True), None, False),
        (Tag(tag="T", offline=False), None, False),
        (Tag(tag="T", scope=SCOPED), None, False),
        (Tag(tag="T", scope=SCOPED, offline=True), None, True),
        (Tag(tag="T", group="G"), None, False),
        (Tag(tag="T", group="G"), Group(name="G"), True),
        (Tag(tag="T", group="G", offline=True), Group(name="G", blocked=True), False),
        (Tag(tag="T", group="G"), Group(name="G", scope=SCOPED), False),
        (Tag(tag="T", group="G", offline=True), Group(name="G", scope=SCOPED), True),
    ],
)
def test_who_may_charge_offline(
    tag: Tag,
    group: Group | None,
    may: bool,  # noqa: FBT001 - the expectation
) -> None:
    """Not the blocked; those with a scope only where the operator says so."""
    assert may_charge_offline(tag, group) is may


def test_a_group_s_end_is_its_tags_end() -> None:
    """The earlier of the two ends counts."""
    tag = Tag(tag="T", group="G", valid_until=NOW + 9 * SECOND)
    record = record_of(hashed("T"), tag, Group(name="G", valid_until=NOW + 5 * SECOND))
    validity = make_snapshot([record], NOW).validity(hashed("T"))

    assert validity is not None
    assert (validity.holds(NOW + 4 * SECOND), validity.holds(NOW + 5 * SECOND)) == (True, False)


def test_a_hundred_thousand_tags_fit_a_worker() -> None:
    """At hand they take 24 bytes each; reading them back stays far below 40 MB."""
    chance = random.Random(7)
    hashes = [chance.randbytes(32).hex() for _ in range(100_000)]
    records = [record_of(each, Tag(tag="T"), None) for each in hashes]
    content = make_snapshot(records, NOW).content()
    del records
    gc.collect()

    tracemalloc.start()
    snapshot = read_snapshot(content)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert snapshot is not None
    assert len(snapshot) == 100_000
    assert all(snapshot.validity(each) for each in hashes[::1000])
    assert kept < 3_000_000
    assert peak < 40_000_000


class Kept:
    """A store with tags and a snapshot, and a clock that is moved by hand."""

    def __init__(self) -> None:
        self.tables = MemoryTables(*ALL_TABLES)
        self.blobs = MemoryBlobs(SNAPSHOTS)
        self.now = NOW
        self.store = SnapshotStore(self.tables, self.blobs, lambda: self.now)

    async def knows(self, *tags: Tag) -> None:
        await put_tags(self.tables, tags, KEY)

    async def allows(self, *tags: str) -> list[bool]:
        snapshot, _ = await self.store.read()
        validities = [snapshot.validity(hashed(tag)) for tag in tags] if snapshot else []
        return [validity is not None and validity.holds(NOW) for validity in validities]


async def test_a_scan_takes_the_tags_and_their_groups() -> None:
    """Sessions and members of groups are no tags."""
    kept = Kept()
    await kept.knows(Tag(tag="A"), Tag(tag="B", blocked=True), Tag(tag="C", group="G"))
    await kept.knows(Tag(tag="D", group="H"))
    row = tag_session_row(hashed("E"), "CH|7", "start", "d", NOW)
    await kept.tables.write(TAGS, [Upsert(row)])
    for group in (Group(name="G"), Group(name="H", blocked=True)):
        await kept.tables.write(TAG_GROUPS, [Upsert(group_row(group))])
    await kept.tables.write(TAG_GROUPS, [Upsert(member_row("G", hashed("C")))])

    snapshot = await kept.store.refresh()

    assert len(snapshot) == 4
    assert snapshot.validity(hashed("E")) is None
    assert await kept.allows(*"ABCDE") == [True, False, True, False, False]


async def test_a_known_snapshot_is_not_fetched_again() -> None:
    """The ETag tells whether it changed."""
    kept = Kept()
    assert await kept.store.read() == (None, None)
    await kept.store.refresh()
    snapshot, etag = await kept.store.read()

    assert snapshot is not None
    assert await kept.store.read(etag) == (None, etag)


async def test_an_earlier_scan_never_replaces_a_later_one() -> None:
    """A scan during which another was written is made again, whatever the clocks say."""
    kept, slow = Kept(), Kept()
    slow.tables, slow.blobs = kept.tables, kept.blobs
    slow.store = SnapshotStore(kept.tables, kept.blobs, lambda: slow.now)
    await kept.knows(Tag(tag="A"))
    kept.now = NOW + 3600 * SECOND
    real = slow.store._records
    scans = 0

    async def later_comes_between() -> list[bytes]:
        nonlocal scans
        records = await real()
        scans += 1
        if scans == 1:
            await kept.knows(Tag(tag="B"))
            await kept.store.refresh()
        return records

    slow.store._records = later_comes_between  # type: ignore[method-assign]
    stands = await slow.store.refresh()

    assert scans == 2
    assert (await kept.store.read())[0] == stands
    assert await kept.allows("A", "B") == [True, True]


async def test_a_clock_that_is_ahead_freezes_nothing() -> None:
    """What was written by a machine an hour ahead is followed by the next scan."""
    kept = Kept()
    kept.now = NOW + 3600 * SECOND
    await kept.store.refresh()
    await kept.store.withdraw([hashed("X")])
    ahead, _ = await kept.store.read()
    kept.now = NOW
    await kept.knows(Tag(tag="A"))
    await kept.store.refresh()

    stands, _ = await kept.store.read()
    assert ahead is not None
    assert stands is not None
    assert stands.scanned == NOW
    assert stands.as_of > ahead.as_of
    assert await kept.allows("A") == [True]


@pytest.mark.parametrize("before", ["a snapshot", "nothing", "other bytes"])
@pytest.mark.parametrize("behind", [0, 3600])
async def test_a_block_holds_against_a_scan_under_way(before: str, behind: int) -> None:
    """A scan that read the tag before its block does not bring it back, be it the first of all."""
    kept, operator = Kept(), Kept()
    operator.now = NOW - behind * SECOND
    operator.store = SnapshotStore(kept.tables, kept.blobs, lambda: operator.now)
    await kept.knows(Tag(tag="A"), Tag(tag="B"))
    if before == "a snapshot":
        await kept.store.refresh()
    elif before == "other bytes":
        await kept.blobs.put(SNAPSHOTS, NAME, b"something else")
    kept.now += SECOND
    real = kept.store._records  # the moment between reading and writing

    async def blocked_meanwhile() -> list[bytes]:
        kept.store._records = real  # type: ignore[method-assign]
        records = await real()
        await kept.knows(replace(Tag(tag="A"), blocked=True))
        await operator.store.withdraw([hashed("A")])
        return records

    kept.store._records = blocked_meanwhile  # type: ignore[method-assign]
    await kept.store.refresh()

    assert await kept.allows("A", "B") == [False, True]


async def test_a_snapshot_that_keeps_changing_is_told() -> None:
    """Where each scan is overtaken, none is written, and whoever asked for it hears of it."""
    kept = Kept()
    await kept.store.refresh()
    real = kept.store._records

    async def always_overtaken() -> list[bytes]:
        await kept.store.withdraw([hashed("A")])
        return await real()

    kept.store._records = always_overtaken  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailableError) as error:
        await kept.store.refresh()

    assert error.value.code == "store_contended"
    assert await kept.allows("A") == [False]


async def test_two_writers_of_the_snapshot_both_prevail() -> None:
    """Under the ETag nobody writes over what he did not read."""
    kept = Kept()
    await kept.knows(Tag(tag="A"), Tag(tag="B"))
    await kept.store.refresh()
    real = kept.blobs.replace
    between = True

    async def other_comes_between(
        container: str, name: str, content: bytes, etag: str | None
    ) -> str:
        nonlocal between
        if between:
            between = False
            await kept.store.withdraw([hashed("B")])
        return await real(container, name, content, etag)

    kept.blobs.replace = other_comes_between  # type: ignore[method-assign]
    await kept.store.withdraw([hashed("A")])

    assert await kept.allows("A", "B") == [False, False]


async def test_without_a_snapshot_nothing_is_withdrawn() -> None:
    """A block before the first scan has nothing to change, and what is no snapshot is replaced."""
    kept = Kept()
    await kept.store.withdraw([hashed("A")])
    assert await kept.blobs.get(SNAPSHOTS, NAME) is None
    await kept.blobs.put(SNAPSHOTS, NAME, b"something else")
    await kept.store.withdraw([hashed("A")])
    await kept.store.refresh()

    assert (await kept.store.read())[0] is not None
