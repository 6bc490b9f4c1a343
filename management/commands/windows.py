"""`windows list`: day by day, as of when the store is proven equal to eMabler's books."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta
from typing import Any

from management.context import Command, Context, limit_argument, time_arguments
from management.listing import print_rows
from management.words import counted
from shared.instants import format_instant, system_clock
from shared.reconciliation.ledger import read_standing
from shared.reconciliation.shelf import read_windows
from shared.reconciliation.windows import Day, Proven, Window, by_day

_USUAL = timedelta(days=35)
_DAYS = {"day": 10, "proven": 6, "as_of": 27, "newest": 27, "gaps": 0}
_EACH = {"start": 27, "end": 27, "as_of": 27, "sessions": 8, "kind": 8, "run": 0}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--each", action="store_true", help="each window that is kept, not day by day"
    )
    time_arguments(parser)
    limit_argument(parser)


async def _list(context: Context) -> int:
    options, output, tables = context.options, context.output, context.rooms.tables
    standing = await read_standing(tables)
    now = system_clock()
    end = options.end or now
    start = options.start or _midnight(end - _USUAL)
    if start >= end:
        last = "--to" if options.end else "now"
        output.error("wrong_range", f"--from is not before {last}. Example: --from 2026-11-01")
        return 2
    windows = [each async for each in read_windows(tables, start, end)]
    if options.each:
        rows = _each(sorted(windows, key=lambda each: (each.first, each.last)))
        code = await print_rows(context, _EACH, rows, "windows")
    else:
        front = None if standing is None else standing.front
        code = await print_rows(context, _DAYS, _days(windows, start, end, front), "days")
    if standing is None or standing.front is None:
        output.say("no front yet: nothing was ever reconciled to its end")
    else:
        behind = _told(now - standing.front)
        output.say(f"the front is at {format_instant(standing.front)}, {behind} behind")
    return code


def _told(span: timedelta) -> str:
    minutes = span.total_seconds() / 60
    for unit, size in (("days", 24 * 60), ("hours", 60)):
        if minutes >= 2 * size:
            return f"{minutes / size:.1f} {unit}"
    return counted(round(minutes), "minutes")


def _midnight(instant: datetime) -> datetime:
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)


async def _each(windows: Iterable[Window]) -> AsyncIterator[dict[str, Any]]:
    for window in windows:
        yield {
            "start": None if window.start is None else format_instant(window.start),
            "end": None if window.end is None else format_instant(window.end),
            "as_of": format_instant(window.as_of),
            "sessions": window.sessions,
            "kind": window.kind,
            "run": window.run,
        }


async def _days(
    windows: list[Window], start: datetime, end: datetime, front: datetime | None
) -> AsyncIterator[dict[str, Any]]:
    for day in by_day(windows, start, end):
        yield _day(day, front)


def _day(day: Day, front: datetime | None) -> dict[str, Any]:
    """A day: proven whole, in part or not; what lies beyond the front is no gap, only not yet."""
    gaps = [_until(gap, front) for gap in day.gaps if front is None or gap.start < front]
    ahead = front is None or day.end > front
    if not day.gaps:
        proven = "whole"
    elif day.oldest is None:
        proven = "not"
    else:
        proven = "so far" if ahead and not gaps else "part"
    return {
        "day": day.start.date().isoformat(),
        "proven": proven,
        "as_of": None if day.oldest is None else format_instant(day.oldest),
        "newest": None if day.newest is None else format_instant(day.newest),
        "gaps": [f"{format_instant(first)} to {format_instant(last)}" for first, last in gaps],
    }


def _until(gap: Proven, front: datetime | None) -> tuple[datetime, datetime]:
    return gap.start, gap.end if front is None else min(gap.end, front)


LIST = Command(
    "windows list",
    "day by day, as of when each session that ended then was confirmed, repaired or listed as a "
    "finding; gaps are told",
    _arguments,
    _list,
)
