"""Time spans as .NET writes them, which is how host.json and timer schedules state durations."""

import re
from datetime import timedelta

_CLOCK = re.compile(
    r"(?P<sign>-)?(?:(?P<days>\d+)\.)?"
    r"(?P<first>\d+):(?P<second>\d+)(?::(?P<third>\d+)(?:\.(?P<fraction>\d{1,7}))?)?"
)
_DAYS = re.compile(r"(?P<sign>-)?(?P<days>\d{1,8})")
_HOURS_A_DAY = 24
_SIXTY = 60


def parse_timespan(text: str) -> timedelta:
    """The duration that .NET's `TimeSpan.Parse` reads from `text`.

    Forms: `hh:mm`, `hh:mm:ss`, `hh:mm:ss.fffffff`, each with leading days as `d.`, and a bare
    number of days. As Azure documents for timers, a first part of 24 or more counts days:
    `24:00:00` is 24 days, `25:00:00` is 25 days.

    Raises:
        ValueError: `text` is none of these.
    """
    text = text.strip()
    if only_days := _DAYS.fullmatch(text):
        span = timedelta(days=int(only_days["days"]))
        return -span if only_days["sign"] else span
    match = _CLOCK.fullmatch(text)
    if not match:
        raise ValueError("it must look like hh:mm:ss, such as 00:05:00")
    first, second = int(match["first"]), int(match["second"])
    third = int(match["third"] or 0)
    if first >= _HOURS_A_DAY and not match["days"]:
        days, hours, minutes, seconds = first, second, third, 0
    else:
        days, hours, minutes, seconds = int(match["days"] or 0), first, second, third
    if hours >= _HOURS_A_DAY or minutes >= _SIXTY or seconds >= _SIXTY:
        raise ValueError("hours must be below 24, minutes and seconds below 60")
    ticks = int((match["fraction"] or "").ljust(7, "0"))
    span = timedelta(
        days=days, hours=hours, minutes=minutes, seconds=seconds, microseconds=ticks // 10
    )
    return -span if match["sign"] else span


def format_timespan(seconds: float) -> str:
    """A duration in whole seconds as `hh:mm:ss`, with days in front where there are any."""
    minutes, rest = divmod(round(seconds), _SIXTY)
    hours, minutes = divmod(minutes, _SIXTY)
    days, hours = divmod(hours, _HOURS_A_DAY)
    clock = f"{hours:02}:{minutes:02}:{rest:02}"
    return f"{days}.{clock}" if days else clock
