from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.functions_host.ncrontab import parse_schedule
from local.functions_host.schedule_status import (
    NEVER,
    FileStatusStore,
    ScheduleStatus,
    status_after_run,
    status_at_start,
)

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)  # a Sunday


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("0 */5 * * * *", datetime(2026, 11, 22, 12, 5, tzinfo=UTC)),
        ("*/5 * * * *", datetime(2026, 11, 22, 12, 5, tzinfo=UTC)),
        ("30 0 0 * * *", datetime(2026, 11, 23, 0, 0, 30, tzinfo=UTC)),
        ("0 0 9-17 * * MON-FRI", datetime(2026, 11, 23, 9, 0, tzinfo=UTC)),
        ("0 0 0 1 Jan *", datetime(2027, 1, 1, tzinfo=UTC)),
        ("1,2 * * * * *", NOON + timedelta(seconds=1)),
        ("0 0 0 13 * 5", datetime(2027, 8, 13, tzinfo=UTC)),
        ("00:10:00", NOON + timedelta(minutes=10)),
        ("1.00:00:00", NOON + timedelta(days=1)),
    ],
)
def test_the_next_occurrence_follows_the_schedule(text: str, due: datetime) -> None:
    """Seconds come first; a day must match month day *and* weekday; time spans are intervals."""
    assert parse_schedule(text).next_after(NOON) == due


@pytest.mark.parametrize(
    "text",
    [
        "",
        "every day",
        "* * *",
        "60 * * * * *",
        "0 0 0 31 2 *",
        "@hourly",
        "0 0 0 L * *",
        "0 0 0 ? * *",
        "0 0 22-2 * * *",
        "00:00:00",
        "-00:01:00",
    ],
)
def test_what_is_no_schedule_is_refused(text: str) -> None:
    """Also what cron dialects take and NCRONTAB does not."""
    with pytest.raises(ValueError, match=r"."):
        parse_schedule(text)


@pytest.mark.parametrize(
    ("text", "frequent"),
    [
        ("*/10 * * * * *", True),
        ("* * * * * *", True),
        ("0 * * * * *", False),
        ("*/10 5 * * * *", False),
        ("00:00:30", True),
        ("00:01:00", False),
    ],
)
def test_timers_due_more_than_once_a_minute_are_frequent(text: str, *, frequent: bool) -> None:
    """Azure keeps no status of those."""
    assert parse_schedule(text).is_frequent is frequent


def test_a_timer_that_is_new_is_not_past_due() -> None:
    """Its status is its next occurrence."""
    status, past_due = status_at_start(parse_schedule("0 */5 * * * *"), None, NOON)
    assert (status.last, status.next, past_due) == (NEVER, NOON + timedelta(minutes=5), False)


def test_an_occurrence_missed_while_the_host_was_down_is_past_due() -> None:
    """The kept next occurrence lies in the past."""
    schedule = parse_schedule("0 */5 * * * *")
    kept = status_after_run(
        schedule, status_at_start(schedule, None, NOON)[0], NOON, scheduled=True
    )
    later = NOON + timedelta(hours=1)
    assert status_at_start(schedule, kept, later) == (kept, True)


def test_a_changed_schedule_is_not_past_due() -> None:
    """A status that another schedule left is set anew from now."""
    kept = ScheduleStatus(NOON, NOON + timedelta(minutes=5), NOON)
    now = NOON + timedelta(hours=2)
    status, past_due = status_at_start(parse_schedule("0 0 * * * *"), kept, now)
    assert (status.next, past_due) == (NOON + timedelta(hours=3), False)


def test_an_occurrence_a_moment_early_counts_for_its_instant() -> None:
    """Otherwise the same occurrence would come twice."""
    schedule = parse_schedule("0 */5 * * * *")
    due = NOON + timedelta(minutes=5)
    early = due - timedelta(milliseconds=20)
    after = status_after_run(schedule, ScheduleStatus(NEVER, due, NOON), early, scheduled=True)
    assert (after.last, after.next) == (due, due + timedelta(minutes=5))


def test_a_kept_status_reads_back(tmp_path: Path) -> None:
    """What one run of the host keeps, the next one finds; a broken file counts as none."""
    status = ScheduleStatus(NEVER, NOON, NOON)
    FileStatusStore(tmp_path / "timers").put("tick", status)
    assert FileStatusStore(tmp_path / "timers").get("tick") == status
    (tmp_path / "timers" / "tick.json").write_text("{", encoding="utf-8")
    assert FileStatusStore(tmp_path / "timers").get("tick") is None
