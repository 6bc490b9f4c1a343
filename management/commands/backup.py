"""`backup take` and `backup list`: a backup by hand, and which there are."""

from __future__ import annotations

import argparse
from datetime import timedelta

from management.context import Command, Context
from management.words import counted
from shared.backup.manifest import backup_ids, read_manifest
from shared.backup.progress import ProgressRows
from shared.backup_room import BackupRoom
from shared.errors import BackupError
from shared.instants import format_instant

_WIDTHS = {
    "backup": 16,
    "state": 10,
    "finished": 27,
    "rows": 10,
    "blobs": 8,
    "megabytes": 10,
    "deleted_after": 13,
}
_AT_A_TIME_SECONDS = 60.0
_MEGABYTE = 1_000_000


def _no_arguments(_parser: argparse.ArgumentParser) -> None:
    return


async def _take(context: Context) -> int:
    output, room = context.output, BackupRoom(context.rooms)
    every, total = timedelta(), 0
    with output.progress("rows and blobs", None) as progress:

        def told(_source: str, lines: int) -> None:
            progress.advance(progress.task_ids[0], lines)

        while True:
            done = await room.take(every, seconds=_AT_A_TIME_SECONDS, told=told)
            total += done.copied.total()
            if done.whole:
                break
            if not done.copied and not done.anew:
                output.error(
                    "backup_elsewhere",
                    "another run is working on a backup at this moment. What to do: wait, and look "
                    "with manage.py backup list",
                )
                return 1
    output.say(f"the backup {done.backup} is whole; copied now: {counted(total, 'rows and blobs')}")
    return 0


async def _list(context: Context) -> int:
    output, rooms, room = context.output, context.rooms, BackupRoom(context.rooms)
    output.columns(_WIDTHS)
    count, damaged = 0, 0
    async for backup in backup_ids(rooms.blobs):
        count += 1
        try:
            manifest = await read_manifest(rooms.blobs, backup)
        except BackupError as error:
            damaged += 1
            output.row({"backup": backup, "state": error.code})
            continue
        blobs = manifest.counts["bodies"]
        output.row(
            {
                "backup": backup,
                "state": "whole",
                "begun": format_instant(manifest.begun),
                "finished": format_instant(manifest.finished),
                "rows": manifest.counts.total() - blobs,
                "blobs": blobs,
                "megabytes": round(manifest.size / _MEGABYTE, 2),
                "deleted_after": format_instant(manifest.begun + room.keep)[:10],
                "counts": dict(manifest.counts),
            }
        )
    under_way = await ProgressRows(rooms.tables).read()
    if under_way.id:
        output.row({"backup": under_way.id, "state": f"at {under_way.source}"})
    gone = await room.last_gone_on()
    output.say(
        counted(count, "backups") + (f"; what they hold is gone for good on {gone}" if gone else "")
    )
    return 1 if damaged else 0


TAKE = Command(
    "backup take",
    "take a backup now, or finish the one that is under way",
    _no_arguments,
    _take,
)
LIST = Command(
    "backup list", "list the backups, and the one that is under way", _no_arguments, _list
)
