"""Schedules of timer triggers: NCRONTAB expressions and time spans, in UTC.

NCRONTAB is cron with seconds first (`{second} {minute} {hour} {day} {month} {day-of-week}`;
five fields, without seconds, are taken too). Unlike Unix cron, a day must match both its
day-of-month and its day-of-week field
(https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions).
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from croniter import CroniterError, croniter

from local.functions_host.timespans import parse_timespan

_WITH_SECONDS = 6
_WITHOUT_SECONDS = 5
_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DAYS = "sun|mon|tue|wed|thu|fri|sat"
_MINUTE = timedelta(minutes=1)


def _field(names: str) -> re.Pattern[str]:
    value = rf"(?:\d+|{names})" if names else r"\d+"
    item = rf"(?:\*|{value}(?:-{value})?)(?:/\d+)?"
    return re.compile(rf"{item}(?:,{item})*", re.IGNORECASE)


# croniter also takes L, #, ?, @hourly and more, which NCRONTAB refuses: so the form is checked.
_FIELDS = (*(_field(""),) * 4, _field(_MONTHS), _field(_DAYS))


class Schedule(Protocol):
    """When a timer is due."""

    def next_after(self, instant: datetime) -> datetime:
        """The first occurrence after `instant` (both UTC)."""
        ...

    @property
    def is_frequent(self) -> bool:
        """Whether it is due more than once a minute; Azure then keeps no status of it."""
        ...


@dataclass(frozen=True, slots=True)
class CronSchedule:
    """A schedule by the clock; `expression` has six fields."""

    expression: str

    def next_after(self, instant: datetime) -> datetime:
        """The first occurrence after `instant` (both UTC)."""
        due: datetime = croniter(
            self.expression, instant, datetime, day_or=False, second_at_beginning=True
        ).get_next()
        return due

    @property
    def is_frequent(self) -> bool:
        """Whether only the seconds are restricted, and to more than one of them."""
        seconds, *others = self.expression.split()
        return all(field == "*" for field in others) and not seconds.isdigit()


@dataclass(frozen=True, slots=True)
class IntervalSchedule:
    """A constant pause between occurrences."""

    every: timedelta

    def next_after(self, instant: datetime) -> datetime:
        """One interval after `instant`."""
        return instant + self.every

    @property
    def is_frequent(self) -> bool:
        """Whether the interval is below a minute."""
        return self.every < _MINUTE


def parse_schedule(text: str) -> CronSchedule | IntervalSchedule:
    """The schedule that `text` states, as the timer extension reads it: NCRONTAB, else a time span.

    Raises:
        ValueError: It is neither; the message says what a schedule looks like.
    """
    fields = text.split()
    if len(fields) == _WITHOUT_SECONDS:
        fields = ["0", *fields]
    if len(fields) == _WITH_SECONDS:
        return _cron(fields)
    try:
        every = parse_timespan(text)
    except ValueError as error:
        raise ValueError(
            "it must be an NCRONTAB expression of six fields, such as 0 */5 * * * * for every"
            " five minutes, or a time span hh:mm:ss"
        ) from error
    if every <= timedelta(0):
        raise ValueError("the interval must be above zero")
    return IntervalSchedule(every)


def _cron(fields: list[str]) -> CronSchedule:
    for field, form in zip(fields, _FIELDS, strict=True):
        if not form.fullmatch(field):
            raise ValueError(
                f"'{field}' is not an NCRONTAB field; allowed are numbers, names in month and"
                " day-of-week, and * , - /"
            )
        _check_ranges(field)
    expression = " ".join(fields)
    try:
        croniter(expression, day_or=False, second_at_beginning=True).get_next()
    except CroniterError as error:
        raise ValueError(f"it is not a possible NCRONTAB expression ({error})") from error
    return CronSchedule(expression)


def _check_ranges(field: str) -> None:
    # NCRONTAB turns a downward range round, croniter lets it wrap: neither is what is read.
    names = [*_MONTHS.split("|"), "", *_DAYS.split("|")]
    for low, high in re.findall(r"(\w+)-(\w+)", field.lower()):
        first, last = (int(n) if n.isdigit() else names.index(n) for n in (low, high))
        if first > last:
            raise ValueError(f"the range {low}-{high} runs downwards; write it as two ranges")
