"""`sessions export`: sessions as CSV, JSON lines or Parquet."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from management.acting import WRONG_USAGE
from management.commands.sessions import filter_arguments, wanted_rows
from management.context import Command, Context
from management.exporting import FORMATS, export, whole_file
from shared.sessions.columns import COLUMNS, exported


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=FORMATS, default="csv", help="csv where none is given")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="the file to write, which appears when it is whole (else: standard output)",
    )
    filter_arguments(parser)


async def _export(context: Context) -> int:
    output, options = context.output, context.options
    rows = (exported(row) async for row in wanted_rows(context))
    with output.progress("sessions", None) as progress:

        def told(more: int) -> None:
            progress.advance(progress.task_ids[0], more)

        if options.output is None:
            if options.format == "parquet" and sys.stdout.isatty():
                output.error("output_missing", "Parquet is no text. What to do: give --output FILE")
                return WRONG_USAGE
            count = await export(rows, sys.stdout.buffer, COLUMNS, options.format, told)
        else:
            try:
                with whole_file(options.output) as out:
                    count = await export(rows, out, COLUMNS, options.format, told)
            except OSError as error:
                output.error("file_unusable", f"{options.output}: {error.strerror}")
                return WRONG_USAGE
    output.say(f"{count} sessions")
    return 0


EXPORT = Command(
    "sessions export", "write sessions as CSV, JSON lines or Parquet", _arguments, _export
)
