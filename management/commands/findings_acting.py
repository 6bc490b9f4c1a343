"""`findings resolve` and `findings export`: findings dealt with, and for others to read."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import AsyncIterator

from management.acting import confirmed, name_argument, sure_arguments, text_argument, whose
from management.commands.findings import (
    filter_arguments,
    filter_of,
    id_argument,
    state_argument,
    states_of,
)
from management.context import Command, Context, limit_argument
from management.export_command import export_arguments, write_rows
from management.exporting import Fields
from management.usage import WRONG_USAGE
from management.words import counted
from shared.instants import system_clock
from shared.reconciliation.finding_reading import COLUMNS, exported, read_findings, resolve
from shared.reconciliation.findings import Known, State
from shared.storage.rows import Row


def _resolve_arguments(parser: argparse.ArgumentParser) -> None:
    filter_arguments(parser)
    parser.add_argument(
        "--id",
        dest="ids",
        action="append",
        type=id_argument,
        metavar="ID",
        help="this one only, by its id or the first 6 characters of it; may be repeated",
    )
    parser.add_argument(
        "--note",
        type=text_argument,
        required=True,
        metavar="TEXT",
        help="what was done about it, for the trace",
    )
    limit_argument(parser)
    sure_arguments(parser)
    name_argument(parser)


async def _resolve(context: Context) -> int:
    """Count what is chosen, ask, and do it one by one: what is done stays done."""
    output, options, tables = context.output, context.options, context.rooms.tables
    classes: Counter[str] = Counter()
    async for known, _ in _chosen(context):
        classes[str(known.finding.cls)] += 1
    total = classes.total()
    parts = ", ".join(f"{name} {number}" for name, number in sorted(classes.items()))
    what = f"{counted(total, 'findings')} would be resolved" + (f" ({parts})" if parts else "")
    if options.dry_run or not total:
        output.say(what)
        return 0
    if not confirmed(context, what, total):
        return WRONG_USAGE
    await context.rooms.stamp.check()
    who, done, changed = whose(options), 0, 0
    output.columns({"id": 12, "outcome": 10})
    with output.progress("resolved", total) as progress:
        async for known, row in _chosen(context):
            was_done = await resolve(
                tables, known, row, who=who, note=options.note, clock=system_clock
            )
            done += was_done
            changed += not was_done
            progress.advance(progress.task_ids[0])
            if output.as_json or not was_done:
                output.row({"id": known.id, "outcome": "resolved" if was_done else "changed"})
    output.say(f"{counted(done, 'findings')} resolved")
    if changed:
        output.error(
            "row_changed",
            f"{counted(changed, 'findings')} changed meanwhile. What to do: run the command again",
        )
    return 1 if changed else 0


async def _chosen(context: Context) -> AsyncIterator[tuple[Known, Row]]:
    options = context.options
    wanted = filter_of(options, states=[State.OPEN], ids=options.ids)
    number = 0
    async for each in read_findings(context.rooms.tables, wanted):
        if options.limit is not None and number >= options.limit:
            return
        number += 1
        yield each


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    export_arguments(parser)
    filter_arguments(parser)
    state_argument(parser)
    limit_argument(parser)


async def _export(context: Context) -> int:
    return await write_rows(context, _exported(context), COLUMNS, "findings")


async def _exported(context: Context) -> AsyncIterator[Fields]:
    options = context.options
    left = options.limit
    if left == 0:
        return
    wanted = filter_of(options, states=states_of(options))
    async for known, row in read_findings(context.rooms.tables, wanted):
        yield exported(known, row)
        left = None if left is None else left - 1
        if left == 0:
            return


RESOLVE = Command(
    "findings resolve",
    "mark open findings as dealt with, with who and why; they stay so until a value changes",
    _resolve_arguments,
    _resolve,
)
EXPORT = Command(
    "findings export",
    "write findings as CSV, JSON lines or Parquet",
    _export_arguments,
    _export,
)
