from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.functions_host.timespans import format_timespan, parse_timespan


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("00:05:00", timedelta(minutes=5)),
        ("01:30", timedelta(hours=1, minutes=30)),
        ("00:00:00.8", timedelta(milliseconds=800)),
        ("1.02:03:04", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("7", timedelta(days=7)),
        ("-1", timedelta(days=-1)),
        ("-00:00:01", timedelta(seconds=-1)),
        ("24:00:00", timedelta(days=24)),
        ("25:00:00", timedelta(days=25)),
    ],
)
def test_a_time_span_is_read_as_dotnet_reads_it(text: str, span: timedelta) -> None:
    """The forms of .NET are read, with the documented trap that 24:00:00 is 24 days."""
    assert parse_timespan(text) == span


@pytest.mark.parametrize("text", ["", "5m", "00:60:00", "00:00:60", "1:2:3:4", "12:00:00:00.5"])
def test_what_is_no_time_span_is_refused(text: str) -> None:
    """Anything else is an error, never a guess."""
    with pytest.raises(ValueError, match=r"hh:mm:ss|below"):
        parse_timespan(text)


@given(st.integers(min_value=0, max_value=10**8))
def test_a_formatted_span_reads_back(seconds: int) -> None:
    """What is written for people is the same duration when read again."""
    assert parse_timespan(format_timespan(seconds)) == timedelta(seconds=seconds)
