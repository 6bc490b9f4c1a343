"""Which parts of a span are asked for: without a gap, in order, and not many more than pages."""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.reconciliation.spans import OVERLAP, Span
from shared.reconciliation.steps import Steps

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
INSTANTS = st.datetimes(datetime(1960, 1, 1), datetime(2110, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - of a strategy
ENDS = st.one_of(
    INSTANTS,
    st.timedeltas(timedelta(), timedelta(days=2)).map(lambda ago: NOW - ago),
    st.sampled_from([NOW - timedelta(hours=5), datetime(1970, 1, 1, tzinfo=UTC)]),
)


class Told:
    """The parts of a walk over sessions with these ends, and how many requests they took."""

    def __init__(
        self,
        ends: list[datetime],
        span: Span,
        *,
        limit: int = 200,
        smallest: timedelta = SECOND,
        in_order: bool = True,
    ) -> None:
        self.parts: list[tuple[Span, int]] = []
        self.too_many: list[Span] = []
        self.requests = 0
        ends = sorted(ends)
        steps = Steps(span, smallest=smallest, limit=limit)
        while (part := steps.next()) is not None:
            self.requests += 1
            low = 0 if part.start is None else bisect_left(ends, part.start - OVERLAP)
            high = len(ends) if part.end is None else bisect_left(ends, part.end + OVERLAP)
            rows = high - low
            fits = ends[low + int(0.9 * limit)] if in_order and rows > limit else None
            if rows > limit and steps.more(rows, limit, fits=fits):
                continue
            if rows > limit:
                self.too_many.append(part)
            self.parts.append((part, rows))
            steps.came(rows)


@given(
    ends=st.lists(ENDS, max_size=60),
    bounds=st.tuples(st.none() | INSTANTS, st.none() | INSTANTS),
    limit=st.integers(1, 20),
    in_order=st.booleans(),
    smallest=st.sampled_from([timedelta(), SECOND, timedelta(minutes=1)]),
)
def test_parts_lie_side_by_side(
    *,
    ends: list[datetime],
    bounds: tuple[datetime | None, datetime | None],
    limit: int,
    in_order: bool,
    smallest: timedelta,
) -> None:
    """From start to end without a gap, cut on whole seconds; only the smallest are too many."""
    start, end = bounds
    if start is not None and end is not None and start >= end:
        start, end = end, start + SECOND

    told = Told(ends, Span(start, end), limit=limit, smallest=smallest, in_order=in_order)

    spans = [span for span, _ in told.parts]
    assert [span.start for span in spans] == [start, *(span.end for span in spans[:-1])]
    assert spans[-1].end == end
    cuts = [span.end for span in spans[:-1]]
    assert all(cut is not None and cut.microsecond == 0 for cut in cuts)
    assert cuts == sorted(set(cuts), key=lambda cut: cut or NOW)
    for span in told.too_many:
        length = span.length
        assert length is None or length <= max(smallest, SECOND)
    # Halving alone takes a request for each halving, of 150 years to a second for each end.
    assert told.requests <= 3 + 60 * (len(ends) + 1)


def test_an_even_fleet_costs_hardly_more_requests_than_pages() -> None:
    """A week with one session each 30 s, asked for in pages of 200."""
    ends = [NOW - timedelta(seconds=30 * n) for n in range(20_160)]

    told = Told(ends, Span(NOW - timedelta(days=7), NOW))

    assert told.too_many == []
    assert told.requests < 1.4 * len(ends) / 200


@pytest.mark.parametrize(("in_order", "most"), [(True, 1.7), (False, 2.4)])
def test_nights_and_days_cost_little_more(*, in_order: bool, most: float) -> None:
    """Ten times as many sessions by day as by night, for a month, listed by their end or not."""
    ends: list[datetime] = []
    now = NOW - timedelta(days=30)
    while now < NOW:
        now += timedelta(seconds=30 if 7 <= now.hour < 20 else 300)
        ends.append(now)

    told = Told(ends, Span(NOW - timedelta(days=30), NOW), in_order=in_order)

    assert told.too_many == []
    assert told.requests < most * len(ends) / 200


def test_a_year_of_nothing_before_the_fleet_is_skipped_in_few_steps() -> None:
    """Parts without sessions grow: ten empty years cost a few requests, not one a minute."""
    ends = [NOW - timedelta(seconds=30 * n) for n in range(2_000)]

    told = Told(ends, Span(NOW - timedelta(days=3650), NOW))

    assert told.requests < 60


def test_no_part_of_a_bounded_span_is_longer_than_is_wanted() -> None:
    """Also where nothing is listed: four a day. What is open-ended is asked for in whole."""
    longest = timedelta(hours=6)

    def lengths(span: Span) -> list[timedelta | None]:
        steps = Steps(span, smallest=SECOND, limit=200, longest=longest)
        found: list[timedelta | None] = []
        while (part := steps.next()) is not None:
            found.append(part.length)
            steps.came(0)
        return found

    assert lengths(Span(NOW - timedelta(days=32), NOW)) == [longest] * 4 * 32
    assert lengths(Span(NOW, None)) == [None]
