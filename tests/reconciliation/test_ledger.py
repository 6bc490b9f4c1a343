"""The ledger, on the fake and on Azurite: one run writes, and one that lost the lease does not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from shared.errors import LeaseHeldError, LeaseLostError, StoreUnavailableError
from shared.reconciliation.finding_book import FindingBook, FindingWrite, repaired
from shared.reconciliation.findings import FindingClass
from shared.reconciliation.lease import Work
from shared.reconciliation.ledger import Ledger, read_standing
from shared.reconciliation.passes import Pass, Schedule, finished, tasks
from shared.reconciliation.runs import Outcome, read_runs
from shared.reconciliation.windows import Window, covers, proof
from shared.storage.ledger_keys import PARTITION
from shared.storage.requests import counted
from shared.storage.rows import Delete, Tables
from shared.storage.tables import RECONCILIATION
from tests.reconciliation.books import NOW, Clock
from tests.reconciliation.ledgers import (
    DAY,
    HOUR,
    LASTS,
    Deaf,
    Losing,
    StoppedError,
    Stopping,
    at,
    content,
    finding,
    open_keys,
    take,
    window,
    windows,
)
from tests.stores import Stores

ENERGY = FindingClass.ENERGY_DIFFERS


@pytest.fixture
async def tables(stores: Stores) -> Tables:
    (tables,) = await stores.fresh()
    return tables


async def met(tables: Tables, *numbers: int) -> list[FindingWrite]:
    """The writes of findings that are met for the first time, or again."""
    book = await FindingBook.read(tables)
    return book.seen(map(finding, numbers), compared=[], classes=[ENERGY], as_of=NOW)


async def test_what_a_run_writes_down_is_there_for_the_next(tables: Tables, clock: Clock) -> None:
    """Front, marks, windows, findings and the run itself outlast the lease that wrote them."""
    ledger = await take(tables, clock)
    assert (ledger.epoch, ledger.took_over, ledger.front, ledger.began) == (1, False, None, NOW)
    (task, *_) = tasks(ledger.marks, Schedule(), NOW, None)
    marks = finished(ledger.marks, task)

    await ledger.commit(
        windows=[window(0, 1), window(1, 2)],
        front=at(2),
        marks=marks,
        findings=[*await met(tables, 1), repaired(finding(2, FindingClass.MISSING_IN_STORE))],
        run=ledger.opening(windows=2),
    )
    await ledger.release()

    clock.advance(minutes=15)
    again = await take(tables, clock, "b")
    assert (again.epoch, again.took_over, again.front, again.began) == (2, False, at(2), NOW)
    assert again.marks == marks
    assert await windows(tables) == [window(0, 1), window(1, 2)]
    assert await open_keys(tables) == ["open|CH-1|1|energy_differs"]
    assert ("closed|CH-2|2|missing_in_store", "repaired") in [
        (key, columns.get("state")) for key, columns in await content(tables)
    ]
    (run,) = [each async for each in read_runs(tables)]
    assert (run.id, run.holder, run.windows, run.outcome) == ("a", "a test", 2, Outcome.RUNNING)


async def test_of_runs_that_begin_at_once_one_goes_on(stores: Stores, clock: Clock) -> None:
    """Six take the lease at once, of a new store and of one that was given back: one has it."""
    workers = await stores.fresh(6)
    for round_ in range(3):
        names = [f"{round_}-{number}" for number in range(6)]
        taken = await asyncio.gather(
            *(take(each, clock, name) for each, name in zip(workers, names, strict=True)),
            return_exceptions=True,
        )
        (ledger,) = [each for each in taken if isinstance(each, Ledger)]
        held = [each for each in taken if isinstance(each, LeaseHeldError)]
        assert len(held) == 5
        assert {each.until for each in held} == {clock() + LASTS}
        assert all(ledger.standing.run in each.who for each in held)
        assert ledger.epoch == round_ + 1
        await ledger.release()


async def test_a_lease_that_is_held_tells_by_whom_and_until_when(
    tables: Tables, clock: Clock
) -> None:
    """It says what an operator waits for; a write lengthens it, an end gives it free."""
    ledger = await take(tables, clock)
    clock.advance(minutes=2)
    await ledger.commit()
    clock.advance(minutes=2)

    with pytest.raises(LeaseHeldError, match=r"a test, run a.*12:05:00") as held:
        await take(tables, clock, "b")
    assert (held.value.code, held.value.until) == (
        "reconciliation_running",
        clock() + LASTS - 2 * HOUR / 60,
    )
    await ledger.release()
    assert not (await take(tables, clock, "b")).took_over


async def test_taking_over_says_so(tables: Tables, clock: Clock) -> None:
    """A run that never gave the lease back is listed as dead; its successor knows of it."""
    ledger = await take(tables, clock)
    opened = replace(ledger.opening(), began=NOW - HOUR / 60)
    await ledger.commit(run=opened, front=at(2))
    await ledger.commit(work=Work(Pass.FRONT, at(2), at(3)))
    clock.advance(minutes=3)

    heir = await take(tables, clock, "b")

    assert (heir.took_over, heir.epoch, heir.front) == (True, 2, at(2))
    (run,) = [each async for each in read_runs(tables)]
    assert run == replace(opened, outcome=Outcome.DIED, ended=clock())
    clock.advance(minutes=3)
    await take(tables, clock, "c")
    assert [each async for each in read_runs(tables)] == [run]


SLEEPERS: dict[str, Callable[[Ledger, list[FindingWrite]], Awaitable[None]]] = {
    "front": lambda ledger, _: ledger.commit(front=at(9)),
    "window": lambda ledger, _: ledger.commit(windows=[window(2, 3)]),
    "finding": lambda ledger, writes: ledger.commit(findings=writes),
    "run": lambda ledger, _: ledger.commit(run=ledger.opening(windows=50)),
    "renewal": lambda ledger, _: ledger.commit(),
    "release": lambda ledger, _: ledger.release(),
}


@pytest.mark.parametrize("what", SLEEPERS)
@pytest.mark.parametrize("slept", ["its clock went on", "its clock stood still"])
async def test_a_sleeper_writes_nothing(
    tables: Tables, clock: Clock, what: str, slept: str
) -> None:
    """Past its lease, after another run took it and went on, it changes no row, and says why."""
    own = Clock()
    ledger = await take(tables, own)
    await ledger.commit(windows=[window(0, 1)], front=at(1), run=ledger.opening())
    writes = await met(tables, 1)
    clock.advance(minutes=3)
    heir = await take(tables, clock, "b")
    await heir.commit(windows=[window(1, 2)], front=at(2))
    if slept == "its clock went on":
        own.advance(minutes=4)
    before = await content(tables)

    for _ in range(2):
        if what == "release":
            await SLEEPERS[what](ledger, writes)
        else:
            with pytest.raises(LeaseLostError, match=r"run.*a"):
                await SLEEPERS[what](ledger, writes)

    assert await content(tables) == before
    await heir.commit(front=at(3))
    standing = await read_standing(tables)
    assert standing is not None
    assert (standing.run, standing.held, standing.front) == ("b", True, at(3))


async def test_past_its_time_a_run_writes_nothing_although_nobody_came(
    tables: Tables, clock: Clock
) -> None:
    """The lease is over at its instant, not when somebody notices."""
    ledger = await take(tables, clock)
    clock.advance(minutes=3)
    before = await content(tables)

    with pytest.raises(LeaseLostError):
        await ledger.commit(front=at(1))

    assert await content(tables) == before


async def many(tables: Tables, clock: Clock, run: str) -> None:
    """Take the lease and commit so much that it takes several transactions."""
    ledger = await take(tables, clock, run)
    writes = await met(tables, *range(1, 120))
    found = [repaired(finding(n, FindingClass.MISSING_IN_STORE)) for n in range(1000, 1150)]
    await ledger.commit(
        findings=[*writes, *found],
        windows=[window(n, n + 1, 1) for n in range(120)] + [Window(None, at(0), NOW)],
        front=at(120),
        run=ledger.opening(windows=121),
    )


async def test_a_crash_between_any_two_writes_costs_what_was_under_way(stores: Stores) -> None:
    """Wherever a run dies, no front and no window is ahead of what it stands for.

    The next run does the same again, and all is as if nothing had happened.
    """

    async def play(stop: int | None, *, after: bool = False) -> tuple[Tables, int]:
        (tables,) = await stores.fresh()
        clock = Clock()
        first = await take(tables, clock)
        await first.commit(windows=[window(n, n + 3) for n in range(0, 120, 3)], front=at(0))
        await first.release()
        if stop is not None:
            worker = Stopping(tables, at_write=stop, after=after)
            with pytest.raises(StoppedError):
                await many(worker, clock, "b")
            await consistent(tables)
            clock.advance(minutes=4)
        counting = Stopping(tables, at_write=1000, after=True)
        await many(counting, clock, "b" if stop is None else "c")
        return tables, counting.writes

    async def consistent(tables: Tables) -> None:
        keys = [key for key, _ in await content(tables)]
        found = sum(key.startswith(("open|", "closed|")) for key in keys)
        kept = await windows(tables)
        newer = [each for each in kept if each.as_of > NOW]
        standing = await read_standing(tables)
        assert standing is not None
        assert covers(kept, at(0), at(120))
        assert found == 269 or not newer
        if standing.front != at(0):
            assert standing.front == at(120)
            assert covers(newer, at(0), at(120))
            assert any(key.startswith("run|") for key in keys)

    undisturbed, writes = await play(None)
    expected = told(await content(undisturbed))
    assert writes >= 5
    for stop in range(1, writes + 1):
        for after in (False, True):
            tables, _ = await play(stop, after=after)
            assert told(await content(tables)) == expected, (stop, after)


def told(rows: list[tuple[str, dict[str, object]]]) -> list[tuple[str, dict[str, object]]]:
    """What the ledger holds, but for which run wrote it and when."""
    left_out = ("run", "row", "epoch", "number", "taken", "until", "abandoned", "work")
    return [
        (key, {name: value for name, value in columns.items() if name not in left_out})
        for key, columns in rows
        if not key.startswith("run|")
    ]


async def test_a_lost_answer_is_no_lost_lease(tables: Tables, clock: Clock) -> None:
    """A write that the SDK sent twice, since the answer was lost, counts once: the run goes on."""
    deaf = Deaf(tables)
    deaf.deaf = True
    ledger = await take(deaf, clock)
    assert (ledger.epoch, ledger.took_over) == (1, False)
    deaf.deaf = True
    await ledger.commit(windows=[window(0, 1)], front=at(1), findings=await met(tables, 1))
    await ledger.commit(windows=[window(1, 2)], front=at(2))
    deaf.deaf = True
    await ledger.release()

    assert await windows(tables) == [window(0, 1), window(1, 2)]
    assert (await take(tables, clock, "b")).front == at(2)


async def test_after_an_unknown_end_the_same_call_is_safe(tables: Tables, clock: Clock) -> None:
    """The store took a write and went away: the commit is done again, and nothing is doubled."""
    losing = Losing(tables)
    ledger = await take(losing, clock)
    await ledger.commit(windows=[window(0, 2), window(2, 3)], front=at(3))
    writes = await met(tables, 1)
    for _ in range(2):
        losing.lose = True
        with pytest.raises(StoreUnavailableError):
            await ledger.commit(windows=[window(0, 3, 1)], front=at(4), findings=writes)
    await ledger.commit(windows=[window(0, 3, 1)], front=at(4), findings=writes)
    await ledger.commit(windows=[window(3, 4, 1)])

    assert await windows(tables) == [window(0, 3, 1), window(3, 4, 1)]
    assert await open_keys(tables) == ["open|CH-1|1|energy_differs"]
    assert ledger.front == at(4)


async def test_another_s_front_is_not_taken_back(tables: Tables, clock: Clock) -> None:
    """A front only goes forward, whatever a commit says."""
    ledger = await take(tables, clock)
    await ledger.commit(front=at(4))
    await ledger.commit(front=at(3))

    assert ledger.front == at(4)


async def test_a_window_that_newer_ones_cover_goes(tables: Tables, clock: Clock) -> None:
    """A day of small windows, walked again as one, is one row; every proof is the newer one."""
    ledger = await take(tables, clock)
    quarters = [window(n / 4, (n + 1) / 4) for n in range(24 * 4 + 2)]
    await ledger.commit(windows=quarters)
    await ledger.commit(windows=[window(0, 24, 1)])

    assert await windows(tables) == [window(0, 24, 1), *quarters[-2:]]
    stretches = proof(await windows(tables), at(0), at(24.5))
    assert [each.as_of for each in stretches] == [NOW + HOUR, NOW]


async def test_a_window_that_retention_took_meanwhile_is_missed_by_nobody(
    tables: Tables, clock: Clock
) -> None:
    """A row that the run wants to delete is gone already: the commit goes through all the same."""
    ledger = await take(tables, clock)
    await ledger.commit(windows=[window(0, 1), window(1, 2)])
    await tables.write(RECONCILIATION, [Delete(PARTITION, window(0, 1).key)])

    await ledger.commit(windows=[window(0, 2, 1)], front=at(2))

    assert await windows(tables) == [window(0, 2, 1)]
    assert ledger.front == at(2)


async def test_windows_far_apart_are_each_held_against_their_neighbours(
    tables: Tables, clock: Clock
) -> None:
    """One commit may prove stretches years apart; open-ended windows count everywhere."""
    ledger = await take(tables, clock)
    await ledger.commit(windows=[window(0, 1), window(9000, 9001), Window(None, at(-9), NOW)])
    newer = [window(0, 1, 1), window(8999, 9002, 1), Window(None, at(-8), NOW + HOUR)]
    await ledger.commit(windows=newer)

    assert sorted(await windows(tables), key=lambda w: w.key) == sorted(newer, key=lambda w: w.key)
    # A wide window in the ledger's mind keeps an older answer from being written at all.
    await ledger.commit(windows=[window(-10, -9)])
    assert window(-10, -9) not in await windows(tables)


async def test_a_look_at_the_ledger_writes_nothing(tables: Tables, clock: Clock) -> None:
    """Who only looks sees front and holder, of an empty ledger nothing, and takes no lease."""
    assert await read_standing(tables) is None
    ledger = await take(tables, clock)
    await ledger.commit(front=at(1))
    before = await content(tables)

    standing = await read_standing(tables)

    assert standing == ledger.standing
    assert await content(tables) == before


async def test_the_newest_runs_come_first(tables: Tables, clock: Clock) -> None:
    """Runs are listed from the last one back, and by the time of their beginning."""
    for name in "abc":
        ledger = await take(tables, clock, name)
        row = ledger.opening(sessions={"confirmed": 2}, found={}, passes={"front": 1}, pages=3)
        await ledger.commit(run=row)
        ended = replace(row, outcome=Outcome.OK, complete=True, ended=clock(), front=at(1))
        await ledger.commit(run=ended)
        await ledger.release()
        clock.advance(hours=1)

    runs = [each async for each in read_runs(tables)]
    assert [each.id for each in runs] == ["c", "b", "a"]
    assert runs[0] == replace(ended, began=NOW + 2 * HOUR)
    some = [each.id async for each in read_runs(tables, start=NOW + HOUR, end=NOW + 2 * HOUR)]
    assert some == ["b"]
    assert [each.id async for each in read_runs(tables, end=NOW - DAY)] == []


async def test_what_a_commit_costs(tables: Tables, clock: Clock) -> None:
    """A window costs one request; those around it are read once for a day of them."""
    ledger = await take(tables, clock)
    with counted() as requests:
        for quarter in range(90):
            start = quarter / 4
            new = window(start, start + 0.25)
            await ledger.commit(windows=[new], front=new.end, findings=[])
    assert requests.total <= 90 + 2 + 1

    with counted() as requests:
        for _ in range(10):
            await ledger.commit()
    assert requests.total == 10
