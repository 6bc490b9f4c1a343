"""What a run that was lost worked on is known to those after it, until it is proven anew."""

from __future__ import annotations

from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import StoreUnavailableError
from shared.reconciliation.lease import (
    Standing,
    Work,
    is_free,
    joined,
    standing_of,
    standing_row,
    still_abandoned,
)
from shared.reconciliation.passes import Mark, Marks, Pass, Schedule, finished, tasks
from shared.reconciliation.windows import Window
from shared.storage.memory import MemoryTables
from shared.storage.requests import counted
from shared.storage.tables import RECONCILIATION
from tests.reconciliation.books import NOW, Clock
from tests.reconciliation.ledgers import HOUR, Losing, at, take, window

HOURS = st.one_of(st.none(), st.integers(0, 40))


@st.composite
def any_work(draw: st.DrawFn) -> Work:
    name = draw(st.sampled_from(Pass))
    start, end = draw(HOURS), draw(HOURS)
    if start is not None and end is not None:
        start, end = min(start, end), max(start, end) + 1
    return Work(name, None if start is None else at(start), None if end is None else at(end))


@st.composite
def any_window(draw: st.DrawFn) -> Window:
    start = draw(st.integers(-2, 40))
    return window(start, start + draw(st.integers(1, 12)))


INSTANTS = st.datetimes(timezones=st.just(UTC))


@given(
    st.builds(
        Standing,
        epoch=st.integers(1, 2**40),
        number=st.integers(0, 2**31),
        run=st.text(),
        holder=st.text(),
        row=st.text(),
        taken=INSTANTS,
        until=INSTANTS,
        began=INSTANTS,
        held=st.booleans(),
        front=st.one_of(st.none(), INSTANTS),
        marks=st.just(Marks({Pass.OPEN: Mark(NOW, done=True)})),
        work=st.one_of(st.none(), any_work()),
        abandoned=st.lists(any_work(), max_size=3).map(tuple),
    )
)
def test_the_lease_comes_back_from_its_row(standing: Standing) -> None:
    """Whole, whatever a run works on."""
    assert standing_of(standing_row(standing)) == standing


@given(any_work(), st.lists(any_window(), max_size=5), st.integers(-1, 52))
def test_what_is_proven_anew_is_abandoned_no_more(
    work: Work, proven: list[Window], hour: int
) -> None:
    """Of a stretch just that stays which no window covers; single questions stay until asked."""
    left = still_abandoned([work], proven, Marks(), Marks())

    if not work.name.walks:
        assert left == (work,)
        return
    instant = at(hour + 0.5)
    was = (work.start is None or work.start <= instant) and (work.end is None or instant < work.end)
    covered = any(each.first <= instant < each.last for each in proven)
    stays = any(
        (each.start is None or each.start <= instant) and (each.end is None or instant < each.end)
        for each in left
    )
    assert stays is (was and not covered)


@given(st.lists(any_work(), max_size=30), st.integers(-1, 52))
def test_work_told_in_few_words_is_the_same_work(works: list[Work], hour: int) -> None:
    """Joined, the stretches touch what they touched, and are no more than twenty."""
    told = joined(works)
    instant = at(hour + 0.5)

    def holds(work: Work) -> bool:
        return work.name.walks and work.covers(instant, instant)

    assert any(map(holds, told)) is any(map(holds, works)) or len(works) > 20
    assert any(map(holds, told)) >= any(map(holds, works))
    walks = [each for each in told if each.name.walks]
    assert len(walks) <= 20
    assert {e.name for e in told if not e.name.walks} == {e.name for e in works if not e.name.walks}
    assert joined(told) == told


async def test_a_run_that_dies_at_one_place_again_and_again_fills_no_row(clock: Clock) -> None:
    """A thousand deaths, at one window and one after another, leave a lease that can be taken."""
    tables = MemoryTables(RECONCILIATION)
    for number in range(1_000):
        ledger = await take(tables, clock, str(number))
        await ledger.commit(work=Work(Pass.FRONT, at(0), at(2)))
        await ledger.commit(work=Work(Pass.RECENT, at(100 + 3 * number), at(101 + 3 * number)))
        clock.advance(minutes=5)

    heir = await take(tables, clock, "heir")
    assert len(heir.standing.abandoned) <= 21
    assert heir.raising(at(100), at(101))


@pytest.mark.parametrize(
    ("start", "end", "touches"),
    [
        (0, 2, False),
        (1, 4, True),
        (5, 6, True),
        (None, 3, True),
        (8, None, False),
        (None, 2, False),
    ],
)
def test_a_stretch_touches_its_neighbours_by_a_second(
    start: float | None,
    end: float | None,
    touches: bool,  # noqa: FBT001 - a parameter
) -> None:
    """Whoever asks asks for a second more on both sides: sessions there may be written, too."""
    work = Work(Pass.RECENT, at(3), at(7))
    bounds = [None if each is None else at(each) for each in (start, end)]

    assert work.touches(bounds[0], bounds[1]) is touches
    assert work.touches(at(7), at(8))
    assert work.touches(at(2), at(3))
    assert Work(Pass.OPEN).touches(bounds[0], bounds[1])


@pytest.mark.parametrize(
    ("held", "after", "free"), [(True, 0, False), (True, 1, True), (False, 0, True)]
)
def test_a_lease_is_free_when_it_was_given_back_or_is_over(
    held: bool,  # noqa: FBT001 - a parameter
    after: int,
    free: bool,  # noqa: FBT001 - a parameter
) -> None:
    """At its very end it is over."""
    standing = Standing(
        epoch=1, number=1, run="a", holder="t", taken=NOW, until=NOW + HOUR, began=NOW, held=held
    )
    assert is_free(standing, NOW + after * HOUR) is free


async def test_whoever_takes_over_raises_what_the_other_worked_on(clock: Clock) -> None:
    """Through any number of runs that die or give up, until windows cover it; and nothing else."""
    tables = MemoryTables(RECONCILIATION)
    first = await take(tables, clock)
    await first.commit(front=at(2), work=Work(Pass.FRONT, at(2), at(6)))
    assert not first.raising(at(2), at(3))
    clock.advance(minutes=5)

    second = await take(tables, clock, "b")
    assert second.raising(at(5), at(9))
    assert not second.raising(at(7), at(9))
    await second.commit(work=Work(Pass.RECENT, at(-50), at(-48)))
    clock.advance(minutes=5)

    third = await take(tables, clock, "c")
    assert third.raising(at(2), at(3))
    assert third.raising(at(-49), at(-48))
    await third.commit(windows=[window(2, 4)], front=at(4))
    await third.release()

    fourth = await take(tables, clock, "d")
    assert not fourth.took_over
    assert not fourth.raising(at(2.5), at(3.5))
    assert fourth.raising(at(4), at(5))
    await fourth.commit(windows=[window(4, 7), window(-50, -48)], front=at(7))
    assert not fourth.raising()
    assert fourth.standing.abandoned == ()


async def test_single_questions_are_settled_by_their_next_round(clock: Clock) -> None:
    """A run died while it asked for single sessions: everything is raised until they are asked."""
    tables = MemoryTables(RECONCILIATION)
    first = await take(tables, clock)
    await first.commit(work=Work(Pass.OPEN))
    clock.advance(minutes=5)

    heir = await take(tables, clock, "b")
    assert heir.raising(at(0), at(1))
    await heir.commit(windows=[Window(None, None, NOW)])
    assert heir.raising(at(0), at(1))
    (task,) = (t for t in tasks(heir.marks, Schedule(), NOW, None) if t.name is Pass.OPEN)
    await heir.commit(marks=finished(heir.marks, task))
    assert not heir.raising(at(0), at(1))


async def test_a_run_that_lost_an_answer_says_so_as_it_ends(clock: Clock) -> None:
    """It gives the lease back, and what it worked on is raised by the next one all the same."""
    losing = Losing(MemoryTables(RECONCILIATION))
    ledger = await take(losing, clock)
    await ledger.commit(work=Work(Pass.FRONT, at(2), at(6)))
    losing.lose = True
    with pytest.raises(StoreUnavailableError):
        await ledger.commit(windows=[window(2, 3)])
    await ledger.release(settled=False)

    heir = await take(losing, clock, "b")
    assert not heir.took_over
    assert heir.raising(at(3), at(4))


async def test_what_is_announced_lasts_for_some_stretches(clock: Clock) -> None:
    """Each stretch is said before its first claim, at one write for nine; no more is raised.

    A walk of a month that dies costs those, not the month.
    """
    tables = MemoryTables(RECONCILIATION)
    ledger = await take(tables, clock)
    with counted() as requests:
        for hour in range(27):
            await ledger.announce(Pass.MONTH, at(hour), at(hour + 1))
            work = ledger.standing.work
            assert work is not None
            assert work.covers(at(hour), at(hour + 1))
    assert requests.total == 3

    await ledger.announce(Pass.AFTER, at(30), None)
    assert ledger.standing.work == Work(Pass.AFTER, at(30), None)
    await ledger.announce(Pass.OPEN, None, None)
    assert ledger.standing.work == Work(Pass.OPEN)
    await ledger.announce(Pass.RECENT, at(0), at(1))
    clock.advance(minutes=5)
    heir = await take(tables, clock, "b")
    assert heir.raising(at(8), at(9))
    assert not heir.raising(at(10), at(800))
