"""What the commands that read and write CSV have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TextIO

from management.context import Context
from management.exporting import whole_text
from management.refusals import file_unusable
from management.words import counted
from shared.tags.importing import write_csv


def import_arguments(
    parser: argparse.ArgumentParser, columns: str
) -> argparse._MutuallyExclusiveGroup:
    """The arguments of an import; `columns` explains them below the help.

    Returns:
        The group of sources, of which one is given: the file, or what is added to it.
    """
    parser.epilog = columns
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "file",
        type=Path,
        nargs="?",
        help="CSV, UTF-8, with a first line of column names, see below",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would change, write nothing"
    )
    parser.add_argument(
        "--skip-invalid",
        action="store_true",
        help="write the right lines although others are wrong",
    )
    return source


def export_arguments(parser: argparse.ArgumentParser) -> None:
    """The argument of an export."""
    parser.add_argument(
        "file",
        help="the CSV file to write, in the columns of the import, which appears when it is whole; "
        "- for standard output",
    )


def tell_wrong_lines(context: Context, wrong: int, count: int) -> int:
    """Tell that lines are wrong and nothing was written; the exit code."""
    context.output.error(
        "lines_wrong",
        f"wrong lines: {wrong} of {count}, so nothing was written. What to do: "
        "mend them, or write the others with --skip-invalid",
    )
    return 1


async def export[T](
    context: Context,
    columns: Iterable[str],
    records: AsyncIterator[T],
    fields: Callable[[T], dict[str, str]],
    nouns: str,
) -> int:
    """Write records as CSV, as they come; with `--json` print them as JSON; the exit code."""
    count = 0
    if context.output.as_json and context.options.file == "-":
        async for record in records:
            context.output.row(fields(record))
            count += 1
        context.output.say(counted(count, nouns))
        return 0
    try:
        with (
            _opened(context.options.file) as file,
            context.output.progress(nouns, None) as progress,
        ):
            writer = write_csv(file, columns)
            async for record in records:
                writer.writerow(fields(record))
                count += 1
                progress.advance(progress.task_ids[0])
    except OSError as error:
        return file_unusable(context, context.options.file, error)
    context.output.say(counted(count, nouns))
    return 0


def _opened(path: str) -> AbstractContextManager[TextIO]:
    if path == "-":
        return nullcontext(sys.stdout)
    return whole_text(Path(path))
