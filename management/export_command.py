"""What commands that export have in common: where to, in which format, and how it is told."""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from management.context import Context
from management.exporting import FORMATS, Fields, export, whole_file
from management.refusals import file_unusable
from management.usage import WRONG_USAGE
from management.words import counted
from shared.sessions.columns import Column


def export_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments `--format` and `--output`."""
    parser.add_argument(
        "--format", choices=FORMATS, help="csv where none is given; with --json JSON lines"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="the file to write, which appears when it is whole (else: standard output)",
    )


async def write_rows(
    context: Context, rows: AsyncIterator[Fields], columns: Sequence[Column], nouns: str
) -> int:
    """Write rows where the arguments say, and tell how many there were; the exit code."""
    output, options = context.output, context.options
    form = options.format or ("jsonl" if options.json else "csv")
    if options.output is None and options.json and form != "jsonl":
        output.error("wrong_format", f"{form} is no JSON. What to do: leave out --json or --format")
        return WRONG_USAGE
    with output.progress(nouns, None) as progress:

        def told(more: int) -> None:
            progress.advance(progress.task_ids[0], more)

        if options.output is None:
            if form == "parquet" and sys.stdout.isatty():
                output.error("output_missing", "Parquet is no text. What to do: give --output FILE")
                return WRONG_USAGE
            count = await export(rows, sys.stdout.buffer, columns, form, told)
        else:
            try:
                with whole_file(options.output) as out:
                    count = await export(rows, out, columns, form, told)
            except OSError as error:
                return file_unusable(context, options.output, error)
    output.say(counted(count, nouns))
    return 0
