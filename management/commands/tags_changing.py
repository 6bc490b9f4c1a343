"""`tags block`, `unblock` and `rehash`."""

from __future__ import annotations

import argparse
from functools import partial

from management.commands.tags import renew_snapshot
from management.context import Command, Context
from management.refusals import tags_unusable
from management.words import counted
from shared.backup.progress import begin_anew
from shared.identifiers import hash_tag
from shared.tags.changing import set_blocked
from shared.tags.records import Tag
from shared.tags.rehash import Rehash
from shared.tags.spellings import spellings_of


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tags", metavar="TAG", nargs="+", help="a tag, in any spelling")


async def _block(context: Context) -> int:
    return await _set(context, blocked=True)


async def _unblock(context: Context) -> int:
    return await _set(context, blocked=False)


async def _set(context: Context, *, blocked: bool) -> int:
    output, rooms = context.output, context.rooms
    if await tags_unusable(context):
        return 2
    await rooms.stamp.check()
    word, unknown = "blocked" if blocked else "unblocked", 0
    output.columns({"tag": 24, "outcome": 0})
    for given in context.options.tags:
        found = await _set_one(context, given, blocked=blocked)
        before = found[0] if found else None
        same = before is not None and before.blocked is blocked
        outcome = "not known" if found is None else f"was {word} already" if same else word
        output.row({"tag": given, "outcome": outcome})
        unknown += found is None
    if not blocked:
        await renew_snapshot(context)
    if unknown:
        output.error(
            "tag_unknown",
            f"not known: {unknown} of {counted(len(context.options.tags), 'tags')}. "
            "What to do: look for the spelling with `tags list`; a tag that eMabler knows itself "
            "is blocked there",
        )
    return 1 if unknown else 0


async def _set_one(context: Context, given: str, *, blocked: bool) -> tuple[Tag | None, Tag] | None:
    """Change the tag in the first spelling that is known; a block leaves the snapshot at once."""
    rooms = context.rooms
    terms = rooms.taps.terms
    for spelling in spellings_of(given, terms.spellings):
        hashes = [hash_tag(spelling, key) for key in terms.hash_keys]
        found = await set_blocked(rooms.tables, hashes, rooms.tag_hash_key, blocked=blocked)
        if found is not None:
            if blocked:
                # Whatever this machine's settings say: the app's policy may keep one.
                await rooms.taps.snapshots.withdraw(hashes)
            return found
    return None


def _no_arguments(_parser: argparse.ArgumentParser) -> None:
    return


async def _rehash(context: Context) -> int:
    output, rooms = context.output, context.rooms
    if await tags_unusable(context):
        return 2
    settings = rooms.settings
    if not settings["TAG_HASH_KEY_PREVIOUS"]:
        output.error(
            "setting_missing",
            "TAG_HASH_KEY_PREVIOUS is not set, so there is nothing to move. What to do: set "
            "TAG_HASH_KEY to the new key and TAG_HASH_KEY_PREVIOUS to the one before, restart the "
            "app, and run this again",
        )
        return 2
    await rooms.stamp.check()
    current, previous = rooms.taps.terms.hash_keys
    rehash = Rehash(
        rooms.tables,
        current=current,
        previous=previous,
        buckets=settings["STORE_BUCKETS"],
        # A backup under way may be past the place that a tag comes to, and before the one it left.
        rows_moved=partial(begin_anew, rooms.tables),
    )
    with output.progress("tags", None) as progress:
        moved = await rehash.run(lambda more: progress.advance(progress.task_ids[0], more))
    await renew_snapshot(context)
    output.say(
        f"{moved.moved} moved, {moved.there} there already; told by nothing, so left where they "
        f"are: the tags of {counted(moved.unnamed, 'sessions')}. Then: run this once more until 0 "
        "are moved, take TAG_HASH_KEY_PREVIOUS away, and restart the app"
    )
    return 0


BLOCK = Command("tags block", "let tags charge no longer, from the next tap on", _arguments, _block)
UNBLOCK = Command("tags unblock", "let blocked tags charge again", _arguments, _unblock)
REHASH = Command(
    "tags rehash",
    "move all tags from TAG_HASH_KEY_PREVIOUS to TAG_HASH_KEY; goes on where it broke off",
    _no_arguments,
    _rehash,
)
