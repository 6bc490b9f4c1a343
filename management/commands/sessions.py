"""`sessions list`: the summary of each charging session."""

from __future__ import annotations

import argparse
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from management.context import Command, Context, limit_argument, time_arguments
from management.listing import print_rows
from shared.sessions.choosing import Wanted, read_wanted
from shared.sessions.plausibility import FINDINGS
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
    time_arguments(
        parser,
        start="sessions that ended on this day or later, or at this instant or later (UTC). A "
        "session is in the time of its end, so that months add up; one that tells no end, in that "
        "of its start. Open ones only with --state open",
        end="sessions that ended on this day or before it, or before this instant (UTC)",
    )
    parser.add_argument(
        "--touching",
        action="store_true",
        help="with --from and --to: all sessions of which some lies in that time, open ones, which "
        "last until now, among them; a session is then in several times",
    )
    limit_argument(parser)


async def wanted_rows(context: Context) -> AsyncGenerator[Row]:
    """The summaries that the arguments ask for, as they come, up to the limit."""
    options, rooms = context.options, context.rooms
    left = options.limit
    if left == 0:
        return
    wanted = Wanted(
        charger=options.charger,
        state=State(options.state) if options.state else None,
        start=options.start,
        end=options.end,
        touching=options.touching,
    )
    rows = read_wanted(rooms.tables, wanted, buckets=rooms.settings["STORE_BUCKETS"])
    async with aclosing(rows):
        async for row in rows:
            if not _has_finding(row, options.finding):
                continue
            yield row
            left = None if left is None else left - 1
            if left == 0:
                return


async def _list(context: Context) -> int:
    async with aclosing(wanted_rows(context)) as rows:
        wanted = (_fields(row) async for row in rows)
        return await print_rows(context, _WIDTHS, wanted, "sessions")


def _has_finding(row: Row, finding: str | None) -> bool:
    """Whether a session has the finding that is asked for, if any is."""
    findings = str(row.columns.get("findings", "")).split(",")
    return finding is None or finding in (*findings, ANY if findings[0] else "")


def _fields(row: Row) -> dict[str, Any]:
    columns = row.columns
    return {name: columns.get(name) for name in _PLAIN} | {
        "session": row.key.rpartition("|")[0],
        "sources": str(columns["sources"]).split(","),
        "findings": [each for each in str(columns.get("findings", "")).split(",") if each],
        "held": bool(columns.get("held", False)),
    }


LIST = Command("sessions list", "list charging sessions", filter_arguments, _list)
