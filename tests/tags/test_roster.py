"""The roster beside the records: never an older record, wherever anybody is stopped or killed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import StoreUnavailableError
from shared.identifiers import hash_tag
from shared.storage.memory import MemoryTables
from shared.storage.requests import counted
from shared.storage.roster_mark import KEY, ROSTER, make_roster_anew
from shared.storage.rows import Row, Upsert
from shared.storage.stamp import create_store
from shared.storage.tables import ALL_TABLES, STORE, TAG_ROSTER, TAGS
from shared.tags.changing import Change, change_tags, delete_tag, set_blocked
from shared.tags.records import Tag, tag_from_row, tag_row, tag_session_row
from shared.tags.roster import LEFT_BEHIND, MARK, NOTHING_CAME, is_noted, mark, note, walk
from tests.tagging import put_tags

HASH_KEY = b"k" * 32
NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
OURS, NEW = "04A2", "04B3"

type Choose = Callable[[Sequence[int]], tuple[int, bool]]

_actor: ContextVar[int | None] = ContextVar("actor", default=None)


def hashed(tag: str) -> str:
    return hash_tag(tag, HASH_KEY)


def columns(row: Row | None) -> tuple[tuple[str, object], ...] | None:
    return None if row is None else tuple(sorted(row.columns.items()))


async def walked(tables: MemoryTables) -> dict[str, Tag]:
    return {name: tag async for name, tag in walk(tables)}


class Races:
    """Actors at one store of which each takes its next step when a schedule says so."""

    def __init__(self) -> None:
        self.tables = MemoryTables(*ALL_TABLES, pause=self._wait, clock=self._tick)
        self.now = NOW
        self.waiting: list[tuple[int, asyncio.Future[None]]] = []
        self.history: list[dict[str, Tag]] = []
        self.deletes = False

    def _tick(self) -> datetime:
        # Every mark looks left behind at once: walkers disturb whom they can.
        self.now += LEFT_BEHIND
        return self.now

    async def _wait(self, _table: str, _moment: str) -> None:
        actor = _actor.get()
        if actor is not None:
            step = asyncio.get_running_loop().create_future()
            self.waiting.append((actor, step))
            await step

    def look(self) -> None:
        """Hold the roster against the records: whatever is not marked is the record as it is."""
        rows = [row for row in self.tables.rows(TAGS) if row.key.startswith("tag|")]
        records = {row.partition: row for row in rows}
        for row in self.tables.rows(TAG_ROSTER):
            if row.partition != "noted" and MARK not in row.columns:
                assert columns(records.get(row.key)) == columns(row)
        self.history.append({name: tag_from_row(row) for name, row in records.items()})

    async def walks(self) -> None:
        """Each tag of a walk is as it was at some moment since it began, and none is missed."""
        since = len(self.history) - 1
        found = await walked(self.tables)
        self.look()
        for tag in (OURS, NEW):
            states = [state.get(hashed(tag)) for state in self.history[since:]]
            assert found.get(hashed(tag)) in [*states, *([None] if self.deletes else [])]

    async def changes(self, name: str, *, absent: bool) -> None:
        def change(present: Tag | None, tag: str) -> Tag:
            return replace(present or Tag(tag=tag), kind=name)

        await change_tags(
            self.tables,
            HASH_KEY,
            [
                Change(hashed(tag), lambda present, tag=tag: change(present, tag), absent=absent)  # type: ignore[misc]
                for tag in (OURS, NEW)
            ],
        )

    def actor(self, kind: str, number: int) -> Coroutine[object, object, object]:
        match kind:
            case "blocks":
                return set_blocked(self.tables, [hashed(OURS)], HASH_KEY, blocked=True)
            case "changes" | "imports":
                return self.changes(f"{kind} {number}", absent=kind == "imports")
            case "deletes":
                self.deletes = True
                return delete_tag(self.tables, hashed(NEW if number % 2 else OURS))
            case "makes anew":
                return make_roster_anew(self.tables)
            case _:
                return self.walks()

    async def run(self, kinds: Sequence[str], choose: Choose) -> bool:
        """Let all of them run to their ends, in the order of the choices; whether one was killed.

        `choose` is told whose steps wait, and says which of them is next, or kills one.
        """
        await put_tags(self.tables, [Tag(tag=OURS)], HASH_KEY)
        await walked(self.tables)
        self.look()

        async def act(kind: str, number: int) -> None:
            _actor.set(number)
            await self.actor(kind, number)

        tasks = [asyncio.create_task(act(kind, n)) for n, kind in enumerate(kinds)]
        killed = False
        while not all(task.done() for task in tasks):
            await _settled()
            self.look()
            self.waiting = [each for each in self.waiting if not each[1].done()]
            if not self.waiting:
                continue
            place, kills = choose([actor for actor, _ in self.waiting])
            actor, gate = self.waiting[place]
            if kills and not killed:
                killed = True
                tasks[actor].cancel()
            else:
                gate.set_result(None)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result
        self.look()
        return killed

    async def ends_well(self, *, killed: bool) -> None:
        """Walks with nobody beside them find all tags, and leave copies alone behind."""
        for _ in range(2):
            self.now += 2 * NOTHING_CAME
            await self.walks()
        assert await walked(self.tables) == self.history[-1]
        rows = self.tables.rows(TAG_ROSTER)
        assert not [row for row in rows if row.partition == "noted" or MARK in row.columns]
        if not (killed and self.deletes):
            assert {row.key for row in rows} == self.history[-1].keys()


async def _settled() -> None:
    for _ in range(12):
        await asyncio.sleep(0)


KINDS = ("blocks", "changes", "imports", "deletes", "makes anew", "walks")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=2, max_size=4),
    steps=st.lists(st.integers(0, 40), max_size=120),
)
def test_no_walk_returns_an_older_record(kinds: list[str], steps: list[int]) -> None:
    """Writers and walkers that cross and are killed anywhere: a copy is the record, always."""
    schedule = iter(steps)

    def choose(waiting: Sequence[int]) -> tuple[int, bool]:
        step = next(schedule, 1)
        return step // 2 % len(waiting), step == 0

    async def race() -> None:
        races = Races()
        await races.ends_well(killed=await races.run(kinds, choose))

    asyncio.run(race())


@pytest.mark.parametrize("kills", [False, True], ids=["goes on", "is killed"])
@pytest.mark.parametrize("one", KINDS)
@pytest.mark.parametrize("other", KINDS)
async def test_who_is_stopped_at_any_step_leaves_no_older_copy(
    one: str, other: str, *, kills: bool
) -> None:
    """One stops before and after each write in turn; another and a walk run from end to end."""
    for stop in range(30):
        begun, done = 0, False

        def choose(waiting: Sequence[int], stop: int = stop) -> tuple[int, bool]:
            nonlocal begun, done
            first = min(
                range(len(waiting)), key=lambda n: (waiting[n] or 9) if done else waiting[n]
            )
            if waiting[first] == 0 and not done:
                if begun < stop:
                    begun += 1
                    return first, False
                done = True
                return choose(waiting)
            return first, kills and waiting[first] == 0

        races = Races()
        killed = await races.run([one, other, "walks"], choose)
        await races.ends_well(killed=killed)
        if not done:
            return


@dataclass
class Roster:
    """A store, its clock, and what its tables hold."""

    now: datetime = NOW
    tables: MemoryTables = field(init=False)

    def __post_init__(self) -> None:
        self.tables = MemoryTables(*ALL_TABLES, clock=lambda: self.now)

    def rows(self) -> dict[str, bool]:
        return {row.key: MARK in row.columns for row in self.tables.rows(TAG_ROSTER)}

    def is_whole(self) -> bool:
        (row,) = (row for row in self.tables.rows(STORE) if row.partition == ROSTER)
        return row.columns["whole"] is True


async def made(*tags: Tag) -> Roster:
    roster = Roster()
    await create_store(roster.tables, environment="test", buckets=4)
    await put_tags(roster.tables, tags, HASH_KEY)
    return roster


async def test_a_walk_walks_over_no_sessions() -> None:
    """Where the roster is whole, the table of the sessions is not asked."""
    roster = await made(Tag(tag=OURS, blocked=True), Tag(tag=NEW, kind="VIN"))
    row = tag_session_row(hashed(OURS), "CH|7", "start", "d", NOW)
    await roster.tables.write(TAGS, [Upsert(row)])

    with counted() as requests:
        found = await walked(roster.tables)

    assert {tag.tag: tag for tag in found.values()} == {
        OURS: Tag(tag=OURS, blocked=True),
        NEW: Tag(tag=NEW, kind="VIN"),
    }
    assert not [purpose for purpose in requests.by_purpose if purpose.startswith(f"{TAGS}_")]


@pytest.mark.parametrize("stamped", [False, True], ids=["made before", "filled otherwise"])
async def test_a_store_without_a_roster_gets_one(*, stamped: bool) -> None:
    """Every record is in it; copies that it had are not believed; then nothing is left marked."""
    roster = Roster()
    if stamped:
        roster = await made(Tag(tag=OURS))
        await make_roster_anew(roster.tables)
    for tag in (Tag(tag=OURS, blocked=True), Tag(tag=NEW)):
        await roster.tables.write(TAGS, [Upsert(tag_row(tag, HASH_KEY))])

    found = await walked(roster.tables)
    marked = roster.rows()
    roster.now += LEFT_BEHIND
    again = await walked(roster.tables)

    assert found == again
    assert {tag.tag: tag.blocked for tag in found.values()} == {OURS: True, NEW: False}
    assert marked == dict.fromkeys(found, True)
    assert roster.rows() == dict.fromkeys(found, False)
    assert roster.is_whole()


async def test_making_a_roster_goes_on_where_it_broke_off() -> None:
    """It notes how far it came, and the next walk marks the others only."""
    roster = Roster()
    tags = [Tag(tag=f"T{n}") for n in range(2_500)]
    await roster.tables.write(STORE, [Upsert(Row("other", "row", {}))])
    for tag in tags:
        await roster.tables.write(TAGS, [Upsert(tag_row(tag, HASH_KEY))])
    notes = 0

    async def away(table: str, moment: str) -> None:
        nonlocal notes
        notes += table == STORE and moment == "before_write"
        if notes == 3:
            raise StoreUnavailableError("away")

    quiet, roster.tables.pause = roster.tables.pause, away
    with pytest.raises(StoreUnavailableError):
        await walked(roster.tables)
    roster.tables.pause = quiet
    noted = await roster.tables.get(STORE, ROSTER, KEY)
    with counted() as requests:
        found = await walked(roster.tables)

    assert noted is not None
    assert noted.columns["after"] == sorted(map(hashed, (tag.tag for tag in tags)))[999]
    assert len(found) == 2_500
    # 1,500 rows in sixteen partitions, not 2,500.
    assert requests.by_purpose[f"{TAG_ROSTER}_write"] <= 2 * 16
    assert roster.is_whole()


async def test_a_mark_of_a_writer_at_work_is_left_alone() -> None:
    """Before ten minutes nothing is written; the walk reads the record meanwhile."""
    roster = await made(Tag(tag=OURS))
    await mark(roster.tables, [hashed(OURS)])
    roster.now += LEFT_BEHIND - timedelta(seconds=1)

    with counted() as requests:
        found = await walked(roster.tables)

    assert found == {hashed(OURS): Tag(tag=OURS)}
    assert not [purpose for purpose in requests.by_purpose if "write" in purpose]


async def test_what_never_came_is_forgotten_after_a_day() -> None:
    """A mark and a note of records that nobody wrote cost a read each until then."""
    roster = await made()
    await mark(roster.tables, [hashed(OURS)])
    await note(roster.tables, [hashed(NEW)])
    roster.now += LEFT_BEHIND
    assert await walked(roster.tables) == {}
    assert await is_noted(roster.tables, hashed(NEW))
    roster.now += NOTHING_CAME

    assert await walked(roster.tables) == {}
    assert roster.rows() == {}


async def test_a_walk_needs_no_right_to_write() -> None:
    """Where marks that were left behind cannot be settled, the walk goes on."""
    roster = await made(Tag(tag=OURS))
    await mark(roster.tables, [hashed(OURS)])
    await note(roster.tables, [hashed(NEW)])
    roster.now += LEFT_BEHIND

    async def reads_only(_table: str, moment: str) -> None:
        if moment == "before_write":
            raise StoreUnavailableError("not allowed")

    roster.tables.pause = reads_only

    assert await walked(roster.tables) == {hashed(OURS): Tag(tag=OURS)}


async def test_a_deleted_tag_leaves_no_row() -> None:
    """The record, its copy, a mark that somebody left; of what is not there nothing is written."""
    roster = await made(Tag(tag=OURS))
    await mark(roster.tables, [hashed(NEW)])

    assert await delete_tag(roster.tables, hashed(OURS)) == 1
    assert await delete_tag(roster.tables, hashed(NEW)) == 0
    with counted() as requests:
        assert await delete_tag(roster.tables, hashed(OURS)) == 0

    assert roster.rows() == {}
    assert roster.tables.rows(TAGS) == []
    assert not [purpose for purpose in requests.by_purpose if "write" in purpose]


async def test_an_insert_that_was_sent_twice_is_in_the_roster() -> None:
    """The first answer was lost and the second says that the row exists: it is marked."""
    roster = await made()
    tag = Tag(tag=NEW)
    await roster.tables.write(TAGS, [Upsert(tag_row(tag, HASH_KEY))])

    changes = [Change(hashed(NEW), lambda _present: tag, absent=True)]
    assert await change_tags(roster.tables, HASH_KEY, changes) == [(tag, tag)]

    assert roster.rows() == {hashed(NEW): True}
    assert await walked(roster.tables) == {hashed(NEW): tag}


async def test_a_group_of_rows_with_one_that_changed_is_settled_but_for_it() -> None:
    """One conflict in a transaction does not keep the others from being copies."""
    roster = await made()
    names = [f"T{n}" for n in range(40)]
    once = True

    async def somebody_marks(table: str, moment: str) -> None:
        nonlocal once
        if once and (table, moment) == (TAGS, "after_write"):
            once = False
            await mark(roster.tables, [hashed(names[7])])

    roster.tables.pause = somebody_marks
    await change_tags(
        roster.tables,
        HASH_KEY,
        [Change(hashed(name), lambda _, name=name: Tag(tag=name)) for name in names],  # type: ignore[misc]
    )

    assert [name for name in names if roster.rows()[hashed(name)]] == ["T7"]
