"""The schedule of passes: what is due, in which order, and that a round goes on where it was."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.reconciliation.passes import (
    Mark,
    Marks,
    Pass,
    Schedule,
    advanced,
    finished,
    marks_of,
    marks_text,
    tasks,
)
from tests.reconciliation.books import NOW

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
USUAL = Schedule()


def names(marks: Marks, now: datetime = NOW) -> list[Pass]:
    return [task.name for task in tasks(marks, USUAL, now, NOW - HOUR)]


def test_everything_is_due_before_its_first_round() -> None:
    """What takes a few requests comes first; each walk is of the stretch that is its own."""
    due = tasks(Marks(), USUAL, NOW, NOW - HOUR)

    assert [(task.name, task.start, task.end) for task in due] == [
        (Pass.ONGOING, None, None),
        (Pass.BEFORE, None, datetime(2015, 1, 1, tzinfo=UTC)),
        (Pass.AFTER, NOW, None),
        (Pass.OPEN, None, None),
        (Pass.RECENT, NOW - 3 * DAY, NOW - HOUR),
        (Pass.MONTH, NOW - 35 * DAY, NOW - 3 * DAY),
    ]


def test_nothing_behind_the_front_is_walked_before_there_is_one() -> None:
    """Without a front nothing is; the daily walk ends at a front of this day."""
    assert {Pass.RECENT, Pass.MONTH}.isdisjoint(
        task.name for task in tasks(Marks(), USUAL, NOW, None)
    )
    late = {task.name: task.end for task in tasks(Marks(), USUAL, NOW, NOW - 23 * HOUR)}
    assert (late[Pass.RECENT], late[Pass.MONTH]) == (NOW - 23 * HOUR, NOW - 3 * DAY)


def test_what_lies_beyond_a_front_that_waits_is_walked_all_the_same() -> None:
    """A front of yesterday or of last month stands: the days after it are walked in their turn."""
    for front in (NOW - DAY, NOW - 40 * DAY):
        late = {task.name: task.end for task in tasks(Marks(), USUAL, NOW, front)}

        assert (late[Pass.RECENT], late[Pass.MONTH]) == (NOW, NOW - 3 * DAY)


def test_a_round_goes_on_where_it_stopped_and_ends_at_its_end() -> None:
    """The stretch is that of the round's beginning, however late the next run is."""
    (*_, month) = tasks(Marks(), USUAL, NOW, NOW)
    marks = advanced(Marks(), month, NOW - 20 * DAY)
    (again,) = (t for t in tasks(marks, USUAL, NOW + DAY, NOW + DAY) if t.name is Pass.MONTH)

    assert (again.start, again.end) == (NOW - 20 * DAY, NOW - 3 * DAY)
    marks = advanced(marks, again, NOW - 3 * DAY)
    assert Pass.MONTH not in names(marks)
    assert Pass.MONTH not in names(marks, NOW + 7 * DAY - HOUR)
    assert Pass.MONTH in names(marks, NOW + 7 * DAY)


def test_rounds_do_not_drift() -> None:
    """The next round is due a period after the beginning of one that took hours."""
    (task, *_) = (t for t in tasks(Marks(), USUAL, NOW, NOW) if t.name is Pass.RECENT)
    marks = finished(advanced(Marks(), task, NOW - DAY), task)

    assert Pass.RECENT not in names(marks, NOW + DAY - timedelta(minutes=2))
    assert Pass.RECENT in names(marks, NOW + DAY)


def test_a_daily_walk_does_not_starve_the_weekly_one() -> None:
    """With requests for less than the daily walk alone, each still gets its share of them."""
    marks, done = Marks(), Counter[Pass]()
    for hour in range(24 * 7 * 6):
        now = NOW + hour * HOUR
        walks = [t for t in tasks(marks, USUAL, now, now) if t.name in (Pass.RECENT, Pass.MONTH)]
        if walks:
            task = walks[0]
            assert task.start is not None
            # The daily walk alone wants 72 hours a day: it shares 60 with the weekly one.
            marks = advanced(marks, task, task.start + timedelta(hours=2.5))
            done[task.name] += not (mark := marks.get(task.name)) or mark.done

    assert done[Pass.RECENT] >= 10
    assert done[Pass.MONTH] >= 1


INSTANTS = st.none() | st.datetimes(timezones=st.just(UTC))
MARKS = st.builds(
    Mark,
    INSTANTS.map(lambda i: i or NOW),
    INSTANTS,
    INSTANTS,
    INSTANTS,
    st.booleans(),
    st.sampled_from(["", "CH-1|7"]),
)


@given(st.dictionaries(st.sampled_from(Pass), MARKS))
def test_marks_come_back_from_their_text(rounds: dict[Pass, Mark]) -> None:
    """All of them, whole."""
    assert marks_of(marks_text(Marks(rounds))).rounds == rounds


def test_a_pass_of_a_newer_version_is_left_alone() -> None:
    """A mark that this version does not know is no error."""
    assert marks_of('{"decade":{"began":"2026-11-02T12:00:00.000000Z","done":false}}') == Marks()
