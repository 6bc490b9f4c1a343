"""`backup restore`: a backup into an empty store, beside it, or compared with it row by row."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

from management.acting import confirmed, name_argument, sure_arguments, whose
from management.commands.rebuild import mend_all, say_gone
from management.context import Command, Context
from management.usage import WRONG_USAGE
from management.words import counted
from shared.backup.comparing import compare
from shared.backup.manifest import Manifest, backup_ids, read_manifest
from shared.backup.restore import Passing, Reader, Restore
from shared.errors import BackupError, OtherStoreError
from shared.instants import system_clock
from shared.privacy.by_hash import HashedTags
from shared.privacy.erasing import Erasure
from shared.privacy.finding import Search
from shared.retention.policies import WALKED_FOR_TAGS
from shared.rooms import Rooms
from shared.storage.beside import PrefixedBlobs, PrefixedTables
from shared.storage.blobs import Blobs
from shared.storage.erasures import ErasedTag, keep_erased, kept_erasures, key_name
from shared.storage.rows import Delete, Row, Tables
from shared.storage.stamp import create_containers, create_store
from shared.storage.tables import TAGS
from shared.storage.together import write_all
from shared.tags.changing import delete_tag

_LATEST = "latest"
_APART = timedelta(minutes=1)
"""By so much two tellings of the store's time may be apart: what is erased twice does no harm."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "backup", nargs="?", default=_LATEST, help="its id, as `backup list` tells it (the latest)"
    )
    parser.add_argument(
        "--beside",
        type=_prefix,
        metavar="PREFIX",
        help="into tables and containers whose names begin so, which are made: the store is not "
        "touched",
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help="write nothing: say row by row where the store (with --beside, the one beside it) and "
        "the backup differ; exit 1 if they do",
    )
    sure_arguments(parser)
    name_argument(parser)


def _prefix(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9]{1,11}", text):
        message = f"{text!r}: 2 to 12 small letters and digits, a letter first. Example: restored"
        raise argparse.ArgumentTypeError(message)
    return text


async def _restore(context: Context) -> int:
    rooms, options = context.rooms, context.options
    rooms.settings.require_set("TAG_HASH_KEY", "TAG_HASH_KEY_PREVIOUS")
    backup = options.backup if options.backup != _LATEST else await _latest(rooms.blobs)
    manifest = await read_manifest(rooms.blobs, backup)
    _refuse_other_store(rooms, manifest)
    if options.compare or options.dry_run or options.beside:
        # Nothing is written into the store, not even its stamp.
        await rooms.stamp.agrees()
    else:
        await rooms.stamp.check()
    tables, blobs = rooms.tables, rooms.blobs
    if options.beside:
        tables, blobs = PrefixedTables(tables, options.beside), PrefixedBlobs(blobs, options.beside)
    reader = Reader(rooms.blobs, manifest)
    if options.compare:
        return await _compare(context, reader, tables, blobs)
    return await _write(context, reader, tables, blobs)


async def _latest(blobs: Blobs) -> str:
    found = [backup async for backup in backup_ids(blobs)]
    if not found:
        message = "there is no whole backup. What to do: manage.py backup take"
        raise BackupError(message, code="backup_missing")
    return found[-1]


def _refuse_other_store(rooms: Rooms, manifest: Manifest) -> None:
    ours = (rooms.settings["EMABLER_ENVIRONMENT"], rooms.settings["STORE_BUCKETS"])
    theirs = (manifest.environment, manifest.buckets)
    if ours != theirs:
        message = (
            f"the backup is of {theirs[0]} with {theirs[1]} buckets, the settings say {ours[0]} "
            f"with {ours[1]}: set EMABLER_ENVIRONMENT and STORE_BUCKETS to the backup's"
        )
        raise OtherStoreError(message)


async def _compare(context: Context, reader: Reader, tables: Tables, blobs: Blobs) -> int:
    output, counts, looked_at = context.output, Counter[str](), 0
    output.columns({"what": 14, "table": 14, "partition": 16, "key": 60, "columns": 0})
    total = reader.manifest.counts.total()
    with output.progress("rows and blobs", total) as progress:
        async for compared in compare(reader, tables, blobs):
            progress.advance(progress.task_ids[0], compared.looked_at)
            looked_at += compared.looked_at
            if (each := compared.difference) is not None:
                counts[each.what] += 1
                output.row(
                    {
                        "what": str(each.what),
                        "table": each.place,
                        "partition": each.partition,
                        "key": each.key,
                        "columns": list(each.columns),
                    }
                )
    parts = ", ".join(f"{number} {what}" for what, number in sorted(counts.items()))
    output.say(
        f"{counted(looked_at, 'rows and blobs')} compared with {reader.manifest.id}: "
        + (f"{counts.total()} differ ({parts})" if counts else "all equal")
    )
    return 1 if counts else 0


async def _write(context: Context, reader: Reader, tables: Tables, blobs: Blobs) -> int:
    output, manifest = context.output, reader.manifest
    total = manifest.counts.total()
    erased = await _erased_since(context.rooms, manifest)
    told = ", ".join(f"{name} {number}" for name, number in manifest.counts.items())
    what = f"{counted(total, 'rows and blobs')} of {manifest.id} would be restored ({told})"
    if context.options.dry_run:
        with output.progress("rows and blobs read", total) as progress:
            for part in manifest.parts:
                lines = sum(1 for _ in await reader.lines(part))
                progress.advance(progress.task_ids[0], lines)
        output.say(
            f"{what}; all of them can be read; {counted(len(erased.kept), 'erasures')} would be "
            "applied"
        )
        return 0
    if not confirmed(context, what, total):
        return WRONG_USAGE
    if context.options.beside:
        settings = context.rooms.settings
        await create_containers(blobs)
        await create_store(
            tables,
            environment=settings["EMABLER_ENVIRONMENT"],
            buckets=settings["STORE_BUCKETS"],
        )
    texts = _Texts(context.rooms, erased.hashes)
    with output.progress("rows and blobs", total) as progress:

        def advance(lines: int) -> None:
            progress.advance(progress.task_ids[0], lines)

        restore = Restore(reader, tables, blobs, passing=texts.look, told=advance)
        await restore.run()
    output.say(f"{counted(total, 'rows and blobs')} restored")
    # Before the erasures: it writes the rows by which they find what came while the backup was
    # taken.
    mended, gone = await mend_all(context, tables, blobs)
    output.say(
        f"{counted(mended, 'rows')} mended: derived ones that were copied before what they come "
        "from"
    )
    say_gone(context, gone)
    await texts.erase(context, tables, blobs)
    await erased.keep_anew(tables, blobs)
    await restore.done()
    output.say("What to do: start the app, and let reconciliation bring what came after the backup")
    return 0


type _Hashes = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Erased:
    """The hashes of erased tags under the keys at hand, and the erasures as they are kept."""

    hashes: set[str]
    kept: set[_Hashes]

    async def keep_anew(self, tables: Tables, blobs: Blobs) -> None:
        """Let a backup that began before now, while the rows were written, be restored without."""
        now = await tables.now()
        for hashes in sorted(self.kept):
            await keep_erased(tables, blobs, ErasedTag(now, hashes))


async def _erased_since(rooms: Rooms, manifest: Manifest) -> _Erased:
    """All tags that were erased after the backup began, under the keys at hand.

    Raises:
        BackupError: `hash_key_missing`: one was erased under a key that is not among them.
    """
    names = {key_name(key) for key in rooms.tag_hash_keys}
    found, kept = set[str](), set[_Hashes]()
    for erased in await kept_erasures(rooms.tables, rooms.blobs):
        if erased.at < manifest.begun - _APART:
            continue
        hashes = {hashed for name, hashed in erased.hashes if name in names}
        if not hashes:
            message = (
                f"a tag was erased at {erased.at:%Y-%m-%d %H:%M} under another hash key, so it "
                "cannot be left out. What to do: give that key as TAG_HASH_KEY_PREVIOUS"
            )
            raise BackupError(message, code="hash_key_missing")
        found |= hashes
        kept.add(erased.hashes)
    return _Erased(found, kept)


class _Texts:
    """Finds, in what passes, the ids of tags of which only the hash is known."""

    def __init__(self, rooms: Rooms, erased: set[str]) -> None:
        self._rooms = rooms
        self._erased = erased
        self._tags = HashedTags(erased, rooms.tag_hash_keys)

    @property
    def look(self) -> Passing | None:
        """What looks at rows and blobs; nothing where nobody was erased, since it takes long."""
        return self._look if self._erased else None

    def _look(self, row: Row | None, content: bytes) -> None:
        if row is not None:
            self._tags.look_at_row(row.columns)
        self._tags.look_at_bytes(content)

    async def erase(self, context: Context, tables: Tables, blobs: Blobs) -> None:
        """Take the erased out of the restored store, before anybody works with it."""
        left: Counter[str] = Counter()
        for tag in sorted(set(self._tags.found.values())):
            search = Search(
                tables,
                blobs,
                tag,
                hash_keys=self._rooms.tag_hash_keys,
                buckets=self._rooms.settings["STORE_BUCKETS"],
                walked=WALKED_FOR_TAGS,
            )
            erasure = Erasure(tables, blobs, search, system_clock, plausible=self._rooms.plausible)
            report = await erasure.run(f"{whose(context.options)}, by a restore", keep=False)
            left += report.left
        for hashed in self._erased - self._tags.found.keys():
            # Nothing tells its id: what is left of it are rows under its hash.
            await delete_tag(tables, hashed)
            rows = [Delete(row.partition, row.key) async for row in tables.range(TAGS, hashed)]
            await write_all(tables, TAGS, rows)
        if left:
            message = "rows changed while an erasure was applied. What to do: restore again"
            raise BackupError(message, code="not_erased")
        if self._erased:
            number = len(set(self._tags.found.values()))
            context.output.say(f"taken out again: {counted(number, 'erased tags')} of the backup")


RESTORE = Command(
    "backup restore",
    "bring a backup back into an empty store, or compare it with the store",
    _arguments,
    _restore,
)
