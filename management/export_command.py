"""What commands that export have in common: where to, in which format, and how it is told."""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from management.acting import WRONG_USAGE
from management.context import Context
from management.exporting import FORMATS, Fields, export, whole_file
from shared.sessions.columns import Column


def export_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments `--format` and `--output`."""
    parser.add_argument("--format", choices=FORMATS, default="csv", help="csv where none is given")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="the file to write, which appears when it is whole (else: standard output)",
    )


async def write_rows(
    context: Context, rows: AsyncIterator[Fields], columns: Sequence[Column], noun: str
) -> int:
    """Write rows where the arguments say, and tell how many there were; the exit code."""
    output, options = context.output, context.options
    with output.progress(noun, None) as progress:

        def told(more: int) -> None:
            progress.advance(progress.task_ids[0], more)

        if options.output is None:
            if options.format == "parquet" and sys.stdout.isatty():
                output.error("output_missing", "Parquet is no text. What to do: give --output FILE")
                return WRONG_USAGE
            count = await export(rows, sys.stdout.buffer, columns, options.format, told)
        else:
            try:
                with whole_file(options.output) as out:
                    count = await export(rows, out, columns, options.format, told)
            except OSError as error:
                output.error("file_unusable", f"{options.output}: {error.strerror}")
                return WRONG_USAGE
    output.say(f"{count} {noun}")
    return 0
