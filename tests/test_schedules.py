"""Schedules of timers: what the host reads is taken, what it would refuse is told."""

from __future__ import annotations

import pytest

from shared.schedules import schedule


@pytest.mark.parametrize(
    "text",
    [
        "0 */15 * * * *",
        "0 30 2 * * *",
        "0 0 0 1 1 *",
        "0 0 9-17 * * 1-5",
        "0 0 9-17/2 * * MON-FRI",
        "0 5,10,20-30/5 * * Jan,december Sunday",
        "59 59 23 31 12 6",
        "0 0/20 * * * *",
    ],
)
def test_a_schedule_of_the_host_s_is_taken(text: str) -> None:
    """Numbers, ranges, steps, lists and names, as it was written."""
    assert schedule(text) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("*/15 * * * *", "six fields"),
        ("0 30 2 * * * *", "six fields"),
        ("", "six fields"),
        ("0 99 25 * * *", "99 are no minutes (0 to 59)"),
        ("0 0 24 * * *", "24 are no hours (0 to 23)"),
        ("a b c d e f", "a are no seconds"),
        ("0 0 2 L * *", "L are no day of the month (1 to 31)"),
        ("0 0 2 0 * *", "0 are no day of the month"),
        ("0 0 2 * * 7", "7 are no day of the week (0 to 6)"),
        ("0 0 2 * xyz *", "xyz are no month"),
        ("0 0 17-9 * * *", "17-9 are no hours"),
        ("0 */0 * * * *", "*/0 are no minutes"),
        ("0 1- * * * *", "1- are no minutes"),
        ("0 -5 * * * *", "-5 are no minutes"),
        ("0 1,,2 * * * *", "1,,2 are no minutes"),
        ("0 ² * * * *", "² are no minutes"),
    ],
)
def test_what_the_host_would_refuse_is_told(text: str, said: str) -> None:
    """The field and its range, before a function is missing without a word."""
    with pytest.raises(ValueError, match="is no schedule") as caught:
        schedule(text)

    assert said in str(caught.value)
