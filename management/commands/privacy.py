"""`privacy export` and `privacy erase`: one person's data, by their tag."""

from __future__ import annotations

import argparse
import base64
import json
import sys
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from management.acting import confirmed, name_argument, sure_arguments, whose
from management.context import Command, Context
from management.exporting import whole_text
from management.refusals import file_unusable
from management.stopping import read_line
from management.tag_key_check import tag_key
from management.usage import WRONG_USAGE
from management.words import counted
from shared.backup_room import BackupRoom
from shared.instants import system_clock
from shared.privacy.erasing import Erasure
from shared.privacy.finding import Found, Search
from shared.retention.policies import WALKED_FOR_TAGS


def _tag_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "tag",
        help="the tag's id in any spelling, or - to read it from standard input, which keeps it "
        "out of the shell's history",
    )


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    _tag_argument(parser)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="the file to write, JSON lines, which appears when it is whole (else: print them)",
    )


def _erase_arguments(parser: argparse.ArgumentParser) -> None:
    _tag_argument(parser)
    sure_arguments(parser)
    name_argument(parser)


async def _search(context: Context) -> Search | None:
    """The search for the tag, where the store is the app's own and there is a tag."""
    rooms, tag = context.rooms, context.options.tag
    rooms.settings.require_set("TAG_HASH_KEY", "TAG_HASH_KEY_PREVIOUS")
    if tag == "-":
        tag = read_line()
    if not tag.strip():
        context.output.error("tag_missing", "there is no tag. Example: privacy export 04A2B1C3")
        return None
    await rooms.stamp.check()
    # Under another key nothing would be found, and that would be told as "nothing is there".
    await tag_key(rooms)
    return Search(
        rooms.tables,
        rooms.blobs,
        tag,
        hash_keys=rooms.tag_hash_keys,
        buckets=rooms.settings["STORE_BUCKETS"],
        walked=WALKED_FOR_TAGS,
    )


async def _export(context: Context) -> int:
    search, output, target = await _search(context), context.output, context.options.output
    if search is None:
        return WRONG_USAGE
    counts: Counter[str] = Counter()
    try:
        with nullcontext(sys.stdout) if target is None else whole_text(target) as file:
            async for found in search.all():
                counts[found.table] += 1
                print(json.dumps(_fields(found), ensure_ascii=False), file=file)
    except OSError as error:
        if target is None:
            raise
        return file_unusable(context, target, error)
    output.say(_told(counts, "found") or "nothing of this tag is in the store")
    return 0


def _fields(found: Found) -> dict[str, Any]:
    row = found.row
    columns = {
        name: base64.b64encode(value).decode() if isinstance(value, bytes) else value
        for name, value in row.columns.items()
        if not name.startswith("body_")
    }
    fields = {"table": found.table, "partition": row.partition, "key": row.key, "columns": columns}
    if found.body is not None:
        fields["body"] = found.body.decode("utf-8", "replace")
    return fields


def _told(counts: Counter[str], what: str) -> str:
    parts = ", ".join(f"{name} {number}" for name, number in sorted(counts.items()))
    return f"{counted(counts.total(), 'rows')} {what} ({parts})" if counts else ""


def _backups(gone: str) -> str:
    if not gone:
        return "there is no backup that could hold it"
    return (
        f"backups may hold it; the last of them is gone for good on {gone}, and until then none is "
        "restored with it"
    )


async def _erase(context: Context) -> int:
    search, output, rooms = await _search(context), context.output, context.rooms
    if search is None:
        return WRONG_USAGE
    gone = await BackupRoom(rooms).last_gone_on()
    counts: Counter[str] = Counter()
    async for found in search.all():
        counts[found.table] += 1
    erasure = Erasure(rooms.tables, rooms.blobs, search, system_clock, plausible=rooms.plausible)
    if context.options.dry_run or not counts:
        output.say(_told(counts, "with the tag") or "nothing of this tag is in the store")
        if not context.options.dry_run:
            # A backup may hold what the store does not.
            await erasure.keep()
            output.say(_backups(gone))
        return 0
    if not confirmed(context, f"{_told(counts, 'would be erased')}, for good", counts.total()):
        return WRONG_USAGE
    report = await erasure.run(whose(context.options), backups_gone=gone)
    output.columns({"place": 12, "rewritten": 9, "deleted": 9, "left": 6})
    for place in sorted({*report.rewritten, *report.deleted, *report.left}):
        output.row(
            {
                "place": place,
                "rewritten": report.rewritten[place],
                "deleted": report.deleted[place],
                "left": report.left[place],
            }
        )
    output.say(
        f"the tag is erased from {counted(report.sessions, 'sessions')}, in "
        f"{counted(report.passes, 'passes')}"
    )
    output.say(_backups(gone))
    if report.left:
        output.error(
            "not_erased",
            f"{_told(report.left, 'still with the tag')}: written meanwhile, or by a worker that "
            "is not done. What to do: run the command again, at once and, if this is told again, "
            "in a quarter of an hour",
        )
        return 1
    return 0


EXPORT = Command(
    "privacy export", "print all that the store holds of a tag", _export_arguments, _export
)
ERASE = Command(
    "privacy erase",
    "take a tag out of the store; energy and times of its sessions stay",
    _erase_arguments,
    _erase,
)
