"""`tags import`: the tags that may charge, from CSV or from eMabler."""

from __future__ import annotations

import argparse
from pathlib import Path

from management.commands.tags_from_emabler import import_from_emabler
from management.context import Command, Context
from shared.settings import AUTHORIZATION
from shared.tags.importing import COLUMNS, read_tags, write_tags


def _arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "file",
        type=Path,
        nargs="?",
        help=f"CSV, UTF-8, with a first line of column names: {','.join(COLUMNS)}",
    )
    source.add_argument(
        "--from-emabler",
        action="store_true",
        help="take validity and driver of each tag that eMabler lists; tags that it does not "
        "list stay, and so does what was blocked here",
    )
    parser.add_argument("--dry-run", action="store_true", help="check, count and write nothing")
    parser.add_argument(
        "--skip-invalid",
        action="store_true",
        help="write the right lines although others are wrong",
    )


async def _import(context: Context) -> int:
    options, output, rooms = context.options, context.output, context.rooms
    needed = [p for p in rooms.settings.problems_of(AUTHORIZATION) if p.setting == "TAG_HASH_KEY"]
    if needed:
        output.error(needed[0].code, str(needed[0]))
        return 2
    if options.from_emabler:
        return await import_from_emabler(context)
    try:
        with options.file.open(encoding="utf-8-sig", newline="") as lines:
            read = list(read_tags(lines))
    except (OSError, ValueError) as error:
        output.error("file_unusable", f"{options.file}: {error}")
        return 2
    wrong = [line for line in read if line.fault]
    if wrong:
        output.columns({"line": 8, "fault": 0})
    for line in wrong:
        output.row({"line": line.number, "fault": line.fault})
    tags = [line.tag for line in read if line.tag is not None]
    if wrong and not options.skip_invalid:
        output.error(
            "lines_wrong",
            f"{len(wrong)} of {len(read)} lines are wrong, so nothing was written. What to do: "
            "mend them, or write the others with --skip-invalid",
        )
        return 1
    if options.dry_run:
        output.say(f"{len(tags)} tags would be written")
        return 1 if wrong else 0
    await rooms.stamp.check()
    with output.progress("tags", len(tags)) as progress:
        await write_tags(
            rooms.tables,
            tags,
            rooms.tag_hash_key,
            lambda more: progress.advance(progress.task_ids[0], more),
        )
    output.say(f"{len(tags)} tags written")
    return 1 if wrong else 0


IMPORT = Command("tags import", "read tags from a CSV file or from eMabler", _arguments, _import)
