"""Retries: what a server asks for, pauses by chance, and the time for all tries together."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.emabler.rate import Rate
from shared.emabler.retries import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    Counts,
    Surroundings,
    pause_before,
    retry_after,
    tried,
)
from shared.errors import RestUnavailableError
from tests.emabler.rest import NOW, Time

DATE = "Mon, 02 Nov 2026 12:00:30 GMT"


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        (None, None, None),
        ("7", None, 7.0),
        (" 0 ", None, 0.0),
        ("9" * 400, None, 999_999_999.0),
        ("-1", None, None),
        ("1.5", None, None),
        ("٣", None, None),
        ("", None, None),
        ("tomorrow", None, None),
        (DATE, None, 30.0),
        (DATE, "Mon, 02 Nov 2026 12:00:10 GMT", 20.0),
        (DATE, "nonsense", 30.0),
        ("Mon, 02 Nov 2026 12:00:30 -0000", None, 30.0),
        ("Mon, 02 Nov 2026 11:00:00 GMT", None, 0.0),
        ("Mon, 32 Nov 2026 11:00:00 GMT", None, None),
        ("Mon, 02 Nov 99999999999 11:00:00 GMT", None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(
    value: str | None, date: str | None, seconds: float | None
) -> None:
    """A date counts from the server's own; what is neither asks for nothing."""
    assert retry_after(value, date, NOW) == seconds


@given(st.text(), st.text())
def test_no_header_raises(value: str, date: str) -> None:
    """Whatever stands in the two headers is seconds or none."""
    found = retry_after(value, date, NOW)

    assert found is None or found >= 0


@given(st.integers(1, 100), st.floats(0, 1))
def test_pauses_double_up_to_a_longest_one(retry: int, chance: float) -> None:
    """Between half and all of half a second, a second, two … fifteen."""
    full = min(FIRST_PAUSE * 2.0 ** (retry - 1), LONGEST_PAUSE)

    assert full / 2 <= pause_before(retry, None, chance) <= full
    assert 7 <= pause_before(retry, 7, chance) <= 7 + FIRST_PAUSE


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 100)), min_size=1, max_size=30),
    st.floats(0, 200),
    st.floats(0, 10),
)
async def test_all_tries_keep_to_their_time(
    asked: list[float | None], within: float, lasting: float
) -> None:
    """No pause begins that would end after the time, however long tries last or servers ask."""
    time, counts = Time(), Counts()
    begun: list[float] = []

    async def attempt() -> None:
        begun.append(time.seconds)
        time.seconds += lasting
        error = RestUnavailableError("away", code="rest_away")
        error.retry_after = asked[min(len(begun), len(asked)) - 1]
        raise error

    with pytest.raises(RestUnavailableError) as raised:
        await tried(attempt, within=within, around=time.around, counts=counts)

    assert all(each <= within + 1e-9 for each in begun[1:])
    assert raised.value.tries == len(begun) == counts.retries + 1
    assert counts.seconds_waited == pytest.approx(sum(time.slept))


def test_chance_is_spread_by_default() -> None:
    """Two clients do not come back together, and nobody has to pass chance in."""
    one, other = Surroundings(), Surroundings()

    assert {one.chance() for _ in range(5)} != {other.chance() for _ in range(5)}
    assert one.clock().tzinfo is UTC
    assert abs((one.clock() - datetime.now(UTC)).total_seconds()) < 60


@given(st.floats(0.1, 100), st.lists(st.floats(0, 3), min_size=2, max_size=40))
async def test_no_second_has_more_requests_than_the_rate(
    per_second: float, gaps: list[float]
) -> None:
    """Whatever the gaps between callers: a second's worth at once at most, then one by one."""
    time, counts = Time(), Counts()
    rate = Rate(per_second, around=time.around, counts=counts)
    turns: list[float] = []
    for gap in gaps:
        time.seconds += gap
        await rate.take()
        turns.append(time.seconds)

    most = max(per_second, 1.0)
    for n, turn in enumerate(turns):
        for later, other in enumerate(turns[n:], start=1):
            assert later <= most + per_second * (other - turn) + 1e-6
    assert all(one <= other for one, other in pairwise(turns))
