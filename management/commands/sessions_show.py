"""`sessions show`: one session, what each source says of it, and its events."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from management.context import Command, Context, end_argument, instant_argument
from management.words import counted
from shared.identifiers import NAMELESS, bucket_of, key_part
from shared.ingestion.reading import EventFilter, read_events
from shared.instants import system_clock
from shared.sessions.summary import State, is_summary
from shared.storage.rows import Row
from shared.storage.tables import SESSIONS

_FEW = 5
_DAY = len("2026-11-02")
_SUMMARY = (
    "state",
    "start",
    "end",
    "energy_wh",
    "meter_start_wh",
    "meter_end_wh",
    "socket",
    "tag",
    "site",
    "findings",
    "held",
    "erased",
    "part_of",
)
_CLAIM = (
    "start",
    "end",
    "energy_wh",
    "meter_start_wh",
    "meter_end_wh",
    "socket",
    "tag",
    "site",
    "observed",
    "gone",
    "name",
    "digest",
    "within",
)
_EVENTS = {"instant": 27, "type": 23, "generation": 10, "received": 27, "flags": 30}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("charger", help="the charger's id")
    parser.add_argument(
        "transaction",
        help="the transaction's id; of a session without one what is listed in its place, like "
        "-1, or where there are several the last part of one's field `session` in `sessions list "
        f"--json`, which begins with {NAMELESS}",
    )


async def _show(context: Context) -> int:
    rooms, output, options = context.rooms, context.output, context.options
    bucket = bucket_of(options.charger, rooms.settings["STORE_BUCKETS"])
    told = str(options.transaction)
    part = told if told.startswith(NAMELESS) else key_part(told)
    session = f"{key_part(options.charger)}|{part}"
    rows = await _rows(context, bucket, session)
    if not rows:
        nameless = await _told_as(context, bucket, told)
        if len(nameless) > 1:
            return _tell_which(context, nameless)
        for session in nameless:
            rows = await _rows(context, bucket, session)
    summary = next((row for row in rows if is_summary(row)), None)
    if summary is None:
        output.error(
            "not_found",
            "there is no such session. What to do: python manage.py sessions list --charger "
            f"{options.charger}",
        )
        return 1
    claims = [row for row in rows if not is_summary(row)]
    events = await _events(context, claims)
    if output.as_json:
        output.row(
            {
                "session": session,
                "summary": dict(summary.columns),
                "claims": [dict(row.columns) for row in claims],
                "events": [_event(row) for row in events],
            }
        )
    else:
        _print(context, summary, claims, events)
    return 0


async def _rows(context: Context, bucket: str, session: str) -> list[Row]:
    """A session's summary and claims."""
    rows = context.rooms.tables.range(SESSIONS, bucket, f"{session}|", f"{session}|~")
    return [row async for row in rows]


async def _told_as(context: Context, bucket: str, transaction: str) -> list[str]:
    """The charger's sessions without an id that were told with this in its place, like `-1`."""
    first = f"{key_part(context.options.charger)}|{NAMELESS}"
    rows = context.rooms.tables.range(SESSIONS, bucket, first, f"{first}~")
    return [
        row.key.rpartition("|")[0]
        async for row in rows
        if is_summary(row)
        and row.columns["state"] != State.PART
        and row.columns.get("transaction") == transaction
    ]


def _tell_which(context: Context, sessions: Sequence[str]) -> int:
    """Tell the sessions of which each could be meant; the exit code."""
    names = [session.partition("|")[2] for session in sessions]
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    context.output.error(
        "several_found",
        f"{counted(len(names), 'sessions')} of {context.options.charger} came with "
        f"{context.options.transaction}, which is no id. What to do: give the name of one in its "
        f"place: {', '.join(names[:_FEW])}{more}",
    )
    return 1


async def _events(context: Context, claims: Sequence[Row]) -> list[Row]:
    """The journal's events of the transaction on the days of its claims, in their order."""
    rooms, options = context.rooms, context.options
    instants = [
        str(row.columns[name]) for row in claims for name in ("start", "end") if name in row.columns
    ]
    if not instants:
        return []
    transaction = next((row.columns.get("transaction") for row in claims), None)
    wanted = EventFilter(
        charger=options.charger,
        transaction=None if transaction is None else str(transaction),
        start=instant_argument(min(instants)[:_DAY]),
        end=end_argument(max(instants)[:_DAY]),
    )
    rows = read_events(
        rooms.tables, wanted, buckets=rooms.settings["STORE_BUCKETS"], now=system_clock()
    )
    found = [row async for row in rows]
    return sorted(found, key=lambda row: str(row.columns["instant"]))


def _event(row: Row) -> dict[str, Any]:
    columns = row.columns
    names = ("type", "generation", "instant", "received", "digest", "flags", "erased")
    return {name: columns.get(name) for name in names}


def _print(context: Context, summary: Row, claims: Sequence[Row], events: Sequence[Row]) -> None:
    """The summary beside each claim, field by field; then the events."""
    output = context.output
    heads = [f"{number} {row.columns['source']!s}" for number, row in enumerate(claims, 1)]
    output.columns({"field": 14, "summary": 27} | dict.fromkeys(heads, 27))
    for name in dict.fromkeys((*_SUMMARY, *_CLAIM)):
        told = {head: row.columns.get(name) for head, row in zip(heads, claims, strict=True)}
        value = summary.columns.get(name) if name in _SUMMARY else None
        if value is not None or any(each is not None for each in told.values()):
            output.row({"field": name, "summary": value} | told)
    output.columns(_EVENTS)
    for row in events:
        output.row(_event(row))
    output.say(f"{counted(len(claims), 'claims')}, {counted(len(events), 'events')}")


SHOW = Command(
    "sessions show",
    "show one session: what each source says of it, side by side, and its events",
    _arguments,
    _show,
)
