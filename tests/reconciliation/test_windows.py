"""Windows: a proof is the latest one at each instant, and nothing that goes lowers it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.reconciliation.windows import (
    Change,
    Window,
    by_day,
    change,
    proof,
    superseded,
    window_from_row,
    window_row,
    windows_of,
)
from tests.reconciliation.books import NOW
from tests.reconciliation.ledgers import DAY, HOUR, at, window

HOURS = 60
BOUNDS = st.one_of(st.none(), st.integers(0, HOURS))


@st.composite
def any_window(draw: st.DrawFn) -> Window:
    start, end = draw(BOUNDS), draw(BOUNDS)
    if start is not None and end is not None:
        start, end = min(start, end), max(start, end) + 1
    as_of = NOW + draw(st.integers(0, 6)) * HOUR
    return Window(
        None if start is None else at(start), None if end is None else at(end), as_of, run="r"
    )


WINDOWS = st.lists(any_window(), max_size=12)


def simple(windows: Iterable[Window], instant: datetime) -> datetime | None:
    """The proof of one instant, told the long way."""
    covering = (w.as_of for w in windows if w.first <= instant < w.last)
    return max((as_of for as_of in covering if instant < as_of), default=None)


def proofs(windows: Sequence[Window]) -> list[datetime | None]:
    return [simple(windows, at(hour / 2)) for hour in range(-4, 2 * HOURS + 6)]


def applied(windows: Iterable[Window], changed: Change) -> list[Window]:
    kept = {w.key: w for w in windows if w.key not in {gone.key for gone in changed.delete}}
    return list((kept | {w.key: w for w in changed.write}).values())


def kept_by_key(windows: Iterable[Window]) -> list[Window]:
    """Windows as a table keeps them: one for each key, the newest."""
    found: dict[str, Window] = {}
    for each in windows:
        if each.key not in found or found[each.key].as_of < each.as_of:
            found[each.key] = each
    return list(found.values())


@given(WINDOWS)
def test_a_proof_is_the_latest_at_each_instant(windows: list[Window]) -> None:
    """The stretches fill what was asked for, and each says what its instants say one by one."""
    stretches = proof(windows, at(0), at(HOURS))

    assert [each.start for each in stretches] == [at(0), *(each.end for each in stretches[:-1])]
    assert stretches[-1].end == at(HOURS)
    for each in stretches:
        assert simple(windows, each.start) == each.as_of
        assert simple(windows, each.end - timedelta(microseconds=1)) == each.as_of
        assert simple(windows, each.start + (each.end - each.start) / 2) == each.as_of
    assert all(a.as_of != b.as_of for a, b in pairwise(stretches))
    assert all(each.as_of is None or each.end <= each.as_of for each in stretches)


@given(WINDOWS)
def test_what_is_superseded_lowers_no_proof(windows: list[Window]) -> None:
    """Without all the windows that newer ones cover, every instant is proven as before."""
    kept = kept_by_key(windows)
    gone = {each.key for each in superseded(kept)}

    assert proofs([each for each in kept if each.key not in gone]) == proofs(kept)


@given(WINDOWS)
def test_nothing_that_is_superseded_stays(windows: list[Window]) -> None:
    """What is left tells something: newer ones do not cover it."""
    kept = kept_by_key(windows)
    gone = {each.key for each in superseded(kept)}
    left = [each for each in kept if each.key not in gone]

    assert superseded(left) == []


@given(WINDOWS, st.lists(any_window(), min_size=1, max_size=3))
def test_a_later_walk_never_un_proves(before: list[Window], new: list[Window]) -> None:
    """Whatever is added, older or newer, an instant is proven as of the latest of all."""
    kept = kept_by_key(before)
    after = applied(kept, change(kept, new))

    assert proofs(after) == proofs([*kept, *new])


@given(WINDOWS, any_window())
def test_a_window_that_tells_nothing_new_writes_nothing(before: list[Window], new: Window) -> None:
    """Written down once more, it changes no row."""
    kept = kept_by_key(before)
    after = applied(kept, change(kept, [new]))

    assert change(after, [new]) == Change((), ())


@given(any_window(), st.lists(st.integers(-2, HOURS + 2), max_size=30))
def test_pieces_are_the_whole(whole: Window, hours: list[int]) -> None:
    """Cut at midnights, the pieces prove the same, within a day each, and count each end once."""
    ends = [at(hour) for hour in hours]
    pieces = windows_of(whole, [*ends, None])

    assert proofs(pieces) == proofs([whole])
    if whole.start is None or whole.end is None:
        assert pieces == [whole]
    else:
        assert sum(each.sessions for each in pieces) == sum(
            whole.first <= end < whole.last for end in ends
        )
        assert all(each.last - each.first <= DAY for each in pieces)
        assert all(each.key.startswith("window|") for each in pieces)


@given(any_window())
def test_a_window_comes_back_from_its_row(whole: Window) -> None:
    """With its bounds, also where there are none."""
    assert window_from_row(window_row(whole)) == whole


@given(WINDOWS)
def test_a_day_is_as_old_as_its_oldest_proof(windows: list[Window]) -> None:
    """Each day tells its oldest and newest proof, and every gap in it and no other."""
    days = list(by_day(windows, at(0), at(HOURS)))

    assert [(day.start, day.end) for day in days] == [
        (at(0), at(24)),
        (at(24), at(48)),
        (at(48), at(HOURS)),
    ]
    for day in days:
        halves = [day.start + n * HOUR / 2 for n in range(int((day.end - day.start) / HOUR * 2))]
        told = [simple(windows, instant) for instant in halves]
        known = [each for each in told if each is not None]
        assert day.oldest == min(known, default=None)
        assert day.newest == max(known, default=None)
        unproven = [i for i, each in zip(halves, told, strict=True) if each is None]
        assert unproven == [i for i in halves if any(g.start <= i < g.end for g in day.gaps)]
        assert all(day.start <= gap.start < gap.end <= day.end for gap in day.gaps)


@pytest.mark.parametrize(
    ("older", "goes"),
    [(window(0, 2), True), (window(0, 3), False), (window(1, 2, 2), False), (window(1, 3), False)],
)
def test_a_window_goes_when_newer_ones_cover_it(older: Window, goes: bool) -> None:  # noqa: FBT001 - a parameter
    """Covered by two together it goes; covered in part, or by older ones, it stays."""
    newer = [window(0, 1, 1), window(1, 2, 1)]

    assert (older in superseded([older, *newer])) is goes


def test_a_long_window_is_kept_whole() -> None:
    """A stretch of centuries makes one row, not a row for each of its days."""
    whole = Window(datetime(1900, 1, 1, tzinfo=UTC), datetime(2015, 1, 1, tzinfo=UTC), NOW)

    assert windows_of(whole) == [whole]
    assert whole.key.startswith("wide|")


def test_ends_that_are_still_to_come_are_not_proven() -> None:
    """A walk of all later ends proves of its own day a part, and no day after it."""
    later = Window(NOW, None, NOW + HOUR)

    first, second = by_day([later], NOW, NOW + DAY)

    assert [(gap.start, gap.end) for gap in first.gaps] == [(NOW + HOUR, first.end)]
    assert (second.oldest, second.newest) == (None, None)
    assert [(gap.start, gap.end) for gap in second.gaps] == [(second.start, second.end)]
