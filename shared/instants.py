"""Instants: points in time as aware UTC datetimes, and as text of one width that sorts by time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from email.utils import parsedate_to_datetime
from typing import Protocol

EPOCH_OF_CHARGERS = datetime(2015, 1, 1, tzinfo=UTC)
"""No charger of today reports an earlier time; an earlier one is a clock that was never set."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHORTEST = len("2025-01-01T00:00")
_UNUSUAL = re.compile(
    r"\s*(\d{4}-\d\d-\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d))?((?:[.,]\d+)?(?:[Zz]|[+-][\d:]+)?)\s*",
    re.ASCII,
)


class Clock(Protocol):
    """Tells the present instant, UTC. Passed in, so that tests hold time in their hands."""

    def __call__(self) -> datetime:
        """The present instant as an aware UTC datetime."""
        ...


def system_clock() -> datetime:
    """The machine's clock, UTC."""
    return datetime.now(UTC)


def parse_instant(text: str) -> datetime | None:
    """Read an ISO 8601 instant with any offset; None when it is none.

    Fractional digits beyond the sixth are cut, not rounded. A text without an offset is UTC, as
    every sample of eMabler that has no offset is meant. A date alone is not an instant. 24:00 is
    the next day's midnight (ISO 8601), a 60th second the next minute's first (RFC 3339).
    """
    if len(text) < _SHORTEST:
        return None
    try:
        value = datetime.fromisoformat(text)
        if value.tzinfo is UTC:
            return value
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except ValueError:
        return _parse_unusual_instant(text)
    except OverflowError:
        return None


def _parse_unusual_instant(text: str) -> datetime | None:
    """What RFC 3339 and ISO 8601 allow beyond `fromisoformat`, in every version of Python."""
    parts = _UNUSUAL.fullmatch(text)
    if parts is None:
        return None
    date, hour, minute, second, rest = parts.groups()
    added = timedelta()
    if hour == "24":
        hour, added = "00", timedelta(days=1)
    if second == "60":
        second, added = "59", added + timedelta(seconds=1)
    try:
        value = datetime.fromisoformat(f"{date}T{hour}:{minute}:{second or '00'}{rest.upper()}")
        if added.days and value.time() != time():
            return None
        value = value.replace(tzinfo=UTC) if value.tzinfo is None else value
        return (value + added).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def http_date(text: str) -> datetime | None:
    """Read the date of an HTTP header, which has whole seconds; None when it is none."""
    try:
        found = parsedate_to_datetime(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError, IndexError, TypeError):
        return None


def as_utc(instant: datetime | None) -> datetime | None:
    """The instant as an aware one: Azure's extension hands over UTC without saying so."""
    return (
        instant.replace(tzinfo=UTC) if instant is not None and instant.tzinfo is None else instant
    )


def format_instant(instant: datetime) -> str:
    """The text `2025-04-02T09:11:32.399120Z`: UTC, microseconds, 27 characters, sortable."""
    return instant.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def day_of(instant: datetime) -> str:
    """The UTC day as `yyyymmdd`."""
    return f"{instant.year:04d}{instant.month:02d}{instant.day:02d}"


def floor_instant(instant: datetime, step: timedelta) -> datetime:
    """The latest multiple of `step` since the epoch that is not after the instant."""
    return instant - (instant - _EPOCH) % step


_EARLY = timedelta(minutes=1)


def is_due(last: datetime, every: timedelta, now: datetime) -> bool:
    """Whether what was done at `last` is due again.

    A timer's hours are not the same to the second: what is due within a minute is due, or an hourly
    step would wait for the run after the next full hour.
    """
    return now >= last + every - min(_EARLY, every / 10)
