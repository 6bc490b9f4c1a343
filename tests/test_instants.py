"""Instants: read from any offset, cut to microseconds, written so that text order is time order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.instants import (
    as_utc,
    day_of,
    floor_instant,
    format_instant,
    is_due,
    parse_instant,
    system_clock,
)

QUARTER = timedelta(minutes=15)
INSTANTS = st.datetimes(timezones=st.just(UTC))


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-02T09:11:32Z", "2026-11-02T09:11:32.000000Z"),
        ("2026-11-02T09:11:32.4Z", "2026-11-02T09:11:32.400000Z"),
        ("2026-11-02T09:11:32.3991208Z", "2026-11-02T09:11:32.399120Z"),
        ("2026-11-02T09:11:32.9999999Z", "2026-11-02T09:11:32.999999Z"),
        ("2026-11-02T12:41:43.633143+02:00", "2026-11-02T10:41:43.633143Z"),
        ("2026-11-02T00:30:00+05:30", "2026-11-01T19:00:00.000000Z"),
        ("2026-11-02T09:11:32-00:00", "2026-11-02T09:11:32.000000Z"),
        ("2026-11-02T09:11:32", "2026-11-02T09:11:32.000000Z"),
        ("2026-11-02T09:11", "2026-11-02T09:11:00.000000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("2026-12-31T24:00:00Z", "2027-01-01T00:00:00.000000Z"),
        ("2026-12-31T24:00Z", "2027-01-01T00:00:00.000000Z"),
        ("2026-12-31T24:00:00.0000009+02:00", "2026-12-31T22:00:00.000000Z"),
        ("2026-12-31T23:59:60Z", "2027-01-01T00:00:00.000000Z"),
        ("2026-12-31T23:59:60.5Z", "2027-01-01T00:00:00.500000Z"),
        ("2026-11-02t09:11:32z", "2026-11-02T09:11:32.000000Z"),
        (" 2026-11-02 09:11:32,5Z\n", "2026-11-02T09:11:32.500000Z"),
        ("2026-11-02T09:11:32.123456789-0430", "2026-11-02T13:41:32.123456Z"),
    ],
)
def test_instants_are_read_with_any_offset_and_cut(text: str, instant: str) -> None:
    """Offsets are heeded, none is UTC, and digits beyond the sixth are cut, never rounded."""
    found = parse_instant(text)

    assert found is not None
    assert found.utcoffset() == timedelta(0)
    assert format_instant(found) == instant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-02",
        "20261102",
        "2026-13-02T09:11:32Z",
        "2026-02-30T09:11:32Z",
        "2026-11-02T25:00:00Z",
        "2026-11-02T24:00:01Z",
        "2026-11-02T24:01:00Z",
        "2026-11-02T24:00:00.000001Z",
        "2026-11-02T09:11:61Z",
        "9999-12-31T24:00:00Z",
        "9999-12-31T23:59:60Z",
        "02/11/2026 09:11:32",
        "1793610692",
        "1793610692000000",
        "yesterday at nine o'clock",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "2026-11-02T09:11:32Z" * 2,
        "\uff12\uff10\uff12\uff16-11-02T09:11:32Z",
    ],
)
def test_what_is_no_instant_is_none(text: str) -> None:
    """A day alone, an impossible date and what lies outside of the calendar are no instants."""
    assert parse_instant(text) is None


@given(st.text())
def test_no_text_raises(text: str) -> None:
    """Whatever a message holds for a time, reading it ends in an instant or in none."""
    found = parse_instant(text)

    assert found is None or found.tzinfo is UTC


@given(INSTANTS)
def test_an_instant_comes_back_as_it_was_written(instant: datetime) -> None:
    """Writing and reading lose nothing, and every text has 27 characters."""
    text = format_instant(instant)

    assert parse_instant(text) == instant
    assert len(text) == 27


@given(INSTANTS, INSTANTS)
def test_texts_sort_by_time(one: datetime, other: datetime) -> None:
    """The order of two texts, and of two days, is that of the instants."""
    assert (format_instant(one) < format_instant(other)) == (one < other)
    assert (day_of(one) <= day_of(other)) or one > other


@given(
    st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)),  # noqa: DTZ001 - the zone is drawn beside it
    st.integers(-14 * 60, 14 * 60),
)
def test_the_offset_changes_no_instant(local: datetime, minutes: int) -> None:
    """An instant is the same one in whatever zone it was written."""
    written = local.replace(tzinfo=timezone(timedelta(minutes=minutes)))

    assert parse_instant(written.isoformat()) == written


def test_a_day_is_that_of_utc() -> None:
    """The last microsecond of a day belongs to it, the next one to the next."""
    assert day_of(datetime(2026, 11, 2, 23, 59, 59, 999_999, UTC)) == "20261102"
    assert day_of(datetime(2026, 11, 3, tzinfo=UTC)) == "20261103"
    assert day_of(datetime(987, 1, 2, tzinfo=UTC)) == "09870102"


@given(INSTANTS)
def test_flooring_finds_the_last_multiple_of_the_step(instant: datetime) -> None:
    """A floor is a multiple of the step, at most the instant and less than a step before it."""
    floor = floor_instant(instant, QUARTER)

    assert floor <= instant
    assert instant - floor < QUARTER
    assert (floor - datetime(1970, 1, 1, tzinfo=UTC)) % QUARTER == timedelta(0)


def test_a_floor_is_its_own() -> None:
    """A multiple of the step stays; so does one before 1970, where seconds are negative."""
    for instant in (datetime(2026, 11, 2, 9, 15, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)):
        assert floor_instant(instant, QUARTER) == instant

    assert floor_instant(datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC), QUARTER) == datetime(
        1969, 12, 31, 23, 45, tzinfo=UTC
    )


def test_the_system_clock_is_utc() -> None:
    """The present instant is aware and in UTC."""
    assert system_clock().tzinfo is UTC


def test_an_instant_without_an_offset_is_utc() -> None:
    """What Azure hands over without an offset is UTC; an aware instant stays itself."""
    naive = datetime(2026, 11, 2, 12)  # noqa: DTZ001 - as Azure's extension makes it

    assert as_utc(naive) == datetime(2026, 11, 2, 12, tzinfo=UTC)
    assert as_utc(datetime(2026, 11, 2, 12, tzinfo=UTC)) == datetime(2026, 11, 2, 12, tzinfo=UTC)
    assert as_utc(None) is None


@pytest.mark.parametrize(
    ("every", "since", "due"),
    [
        (timedelta(hours=1), timedelta(minutes=59, seconds=58), True),
        (timedelta(hours=1), timedelta(minutes=58, seconds=59), False),
        (timedelta(days=1), timedelta(hours=23, minutes=58), False),
        (timedelta(minutes=1), timedelta(seconds=53), False),
        (timedelta(), timedelta(), True),
    ],
)
def test_a_timer_that_is_early_by_seconds_is_on_time(
    every: timedelta, since: timedelta, *, due: bool
) -> None:
    """What is due within a minute is due; of short times within a tenth."""
    now = datetime(2026, 11, 2, 12, tzinfo=UTC)

    assert is_due(now - since, every, now) is due
