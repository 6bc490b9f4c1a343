"""`sessions list`: the summary of each charging session."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from typing import Any

from management.context import Command, Context, limit_argument, time_arguments
from management.listing import print_rows
from shared.instants import format_instant
from shared.sessions.plausibility import FINDINGS
from shared.sessions.reading import read_summaries
from shared.sessions.summary import State
from shared.storage.rows import Row

ANY = "any"
_WIDTHS = {
    "start": 27,
    "end": 27,
    "state": 6,
    "charger": 28,
    "socket": 6,
    "transaction": 20,
    "energy_wh": 10,
    "sources": 18,
    "findings": 24,
}
_PLAIN = (
    "charger",
    "transaction",
    "state",
    "start",
    "end",
    "energy_wh",
    "meter_start_wh",
    "meter_end_wh",
    "socket",
    "tag",
    "site",
)


def filter_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments by which sessions are chosen."""
    parser.add_argument("--charger", metavar="ID", help="sessions of this charger only")
    parser.add_argument(
        "--state",
        choices=[str(s) for s in State],
        help="open or ended ones only; `part`: claims without a transaction id that were found "
        "to be part of another session, which are not listed otherwise",
    )
    parser.add_argument(
        "--finding",
        choices=[*FINDINGS, ANY],
        metavar="NAME",
        help=f"those with this finding only: {', '.join(FINDINGS)}; `{ANY}`: with one at all",
    )
    time_arguments(parser)
    limit_argument(parser)


async def wanted_rows(context: Context) -> AsyncIterator[Row]:
    """The summaries that the arguments ask for, as they come, up to the limit."""
    options, rooms = context.options, context.rooms
    rows = read_summaries(
        rooms.tables,
        charger=options.charger,
        buckets=rooms.settings["STORE_BUCKETS"],
        parts=options.state == State.PART,
    )
    left = options.limit
    if left == 0:
        return
    async for row in rows:
        if _wanted(row, options):
            yield row
            left = None if left is None else left - 1
            if left == 0:
                return


async def _list(context: Context) -> int:
    wanted = (_fields(row) async for row in wanted_rows(context))
    return await print_rows(context, _WIDTHS, wanted, "sessions")


def _wanted(row: Row, options: argparse.Namespace) -> bool:
    """Whether a session is of the state asked for and touches the time asked for.

    An open one lasts until now: it touches all that comes after its start.
    """
    if options.state and row.columns["state"] != options.state:
        return False
    findings = str(row.columns.get("findings", "")).split(",")
    if options.finding and options.finding not in (*findings, ANY if findings[0] else ""):
        return False
    start = str(row.columns.get("start", ""))
    end = str(row.columns.get("end", "")) or start
    is_open = start and row.columns["state"] == State.OPEN
    if options.start and not is_open and end < format_instant(options.start):
        return False
    return not (options.end and (start or end) >= format_instant(options.end))


def _fields(row: Row) -> dict[str, Any]:
    columns = row.columns
    return {name: columns.get(name) for name in _PLAIN} | {
        "session": row.key.rpartition("|")[0],
        "sources": str(columns["sources"]).split(","),
        "findings": [each for each in str(columns.get("findings", "")).split(",") if each],
        "held": bool(columns.get("held", False)),
    }


LIST = Command("sessions list", "list charging sessions", filter_arguments, _list)
