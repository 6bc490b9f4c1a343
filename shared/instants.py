"""Instants: points in time as aware UTC datetimes, and as text of one width that sorts by time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH_OF_CHARGERS = datetime(2015, 1, 1, tzinfo=UTC)
"""No charger of today reports an earlier time; an earlier one is a clock that was never set."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
    every sample of eMabler that has no offset is meant. A date alone is not an instant.
    """
    if len(text) < len("2025-01-01T00:00"):
        return None
    try:
        value = datetime.fromisoformat(text)
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except (ValueError, OverflowError):
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
