"""`runs list`: the runs of reconciliation, the newest first."""

from __future__ import annotations

import argparse
from typing import Any

from management.context import Command, Context, limit_argument, time_arguments
from management.listing import print_rows
from shared.instants import format_instant
from shared.reconciliation.runs import RunRow, read_runs

_WIDTHS = {
    "began": 27,
    "holder": 14,
    "outcome": 7,
    "complete": 8,
    "seconds": 8,
    "windows": 7,
    "pages": 6,
    "requests": 8,
    "throttled": 9,
    "sessions": 34,
    "found": 34,
    "front": 27,
    "error": 0,
}


def _arguments(parser: argparse.ArgumentParser) -> None:
    time_arguments(parser)
    limit_argument(parser)


async def _list(context: Context) -> int:
    options, as_json = context.options, context.output.as_json
    runs = read_runs(context.rooms.tables, start=options.start, end=options.end)
    return await print_rows(
        context, _WIDTHS, (_fields(run, whole=as_json) async for run in runs), "runs"
    )


def _fields(run: RunRow, *, whole: bool) -> dict[str, Any]:
    by_class = {"sessions": run.sessions, "found": run.found, "passes": run.passes}
    fields: dict[str, Any] = {
        "id": run.id,
        "began": format_instant(run.began),
        "ended": None if run.ended is None else format_instant(run.ended),
        "holder": run.holder,
        "outcome": str(run.outcome),
        "complete": run.complete,
        "seconds": run.seconds,
        "windows": run.windows,
        "pages": run.pages,
        "requests": run.requests,
        "retries": run.retries,
        "throttled": run.throttled,
        "front": None if run.front is None else format_instant(run.front),
        "error": run.error,
    }
    if whole:
        return fields | {name: dict(counts) for name, counts in by_class.items()}
    return fields | {
        name: [f"{each} {count}" for each, count in sorted(counts.items())]
        for name, counts in by_class.items()
    }


LIST = Command(
    "runs list",
    "list the runs of reconciliation, the newest first: what each walked, asked and found",
    _arguments,
    _list,
)
