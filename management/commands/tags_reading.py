"""`tags list`, `show`, `export` and `unknown`: what is known of tags, and what is not."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from typing import Any

from management.context import Command, Context, instant_argument, limit_argument
from management.csv_files import export, export_arguments
from management.listing import print_rows
from management.refusals import tags_unusable
from management.words import counted
from shared.instants import format_instant, system_clock
from shared.storage.rows import Delete, Row
from shared.storage.tables import TAGS, UNKNOWN_TAGS
from shared.storage.together import write_all
from shared.tags.importing import COLUMNS, fields_of
from shared.tags.reading import read_tag
from shared.tags.records import Tag, tag_key
from shared.tags.roster import walk
from shared.tags.spellings import hashes_of

_WIDTHS = {
    "tag": 24,
    "blocked": 7,
    "valid_from": 27,
    "valid_until": 27,
    "type": 8,
    "group": 20,
    "most_sessions": 13,
    "offline": 7,
    "chargers": 28,
    "sites": 0,
}


async def _tags(context: Context) -> AsyncIterator[Tag]:
    async for _, tag in walk(context.rooms.tables):
        yield tag


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--group", metavar="NAME", help="tags of this group only")
    parser.add_argument("--blocked", action="store_true", help="blocked tags only")
    limit_argument(parser)


async def _list(context: Context) -> int:
    options = context.options
    wanted = (
        _shown(tag)
        async for tag in _tags(context)
        if options.group in (None, tag.group) and (tag.blocked or not options.blocked)
    )
    return await print_rows(context, _WIDTHS, wanted, "tags")


def _shown(tag: Tag) -> dict[str, Any]:
    return {
        **fields_of(tag),
        "blocked": tag.blocked,
        "most_sessions": tag.most_sessions,
        "chargers": list(tag.scope.chargers),
        "sites": list(tag.scope.sites),
        "driver": tag.driver,
        "driver_external": tag.driver_external,
    }


def _tag_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tag", metavar="TAG", help="the tag, in any spelling")


async def _show(context: Context) -> int:
    output, rooms = context.output, context.rooms
    if await tags_unusable(context):
        return 2
    terms = rooms.taps.terms
    hashes = hashes_of(context.options.tag, terms.hash_keys, terms.spellings)
    known = await read_tag(rooms.tables, hashes, system_clock() - terms.longest_open)
    inbox = await rooms.tables.get(UNKNOWN_TAGS, hashes[0][:2], hashes[0])
    if known.tag is None:
        output.error(
            "tag_unknown",
            "no such tag is known. What to do: look for its spelling with `tags list`",
        )
    if known.tag or known.open_sessions or inbox:
        output.columns({"what": 16, "value": 0})
    for name, value in (_shown(known.tag) if known.tag else {}).items():
        output.row({"what": name, "value": value})
    for session in known.open_sessions:
        output.row({"what": "open session", "value": f"{session.session} {session.start:%FT%TZ}"})
    if inbox is not None:
        output.row(
            {"what": "tapped unknown", "value": counted(int(str(inbox.columns["count"])), "times")}
        )
    return 1 if known.tag is None else 0


async def _export(context: Context) -> int:
    return await export(context, COLUMNS, _tags(context), fields_of, "tags")


def _unknown_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--charger", metavar="ID", help="tapped last at this charger only")
    parser.add_argument(
        "--from",
        dest="start",
        type=instant_argument,
        metavar="INSTANT",
        help="tapped last on this day or later, or not before this instant (UTC)",
    )
    parser.add_argument(
        "--forget", action="store_true", help="take what is listed out of the inbox"
    )
    limit_argument(parser)


async def _unknown(context: Context) -> int:
    """List the inbox; a tag that has become known since is said to be."""
    options, rooms = context.options, context.rooms
    listed: list[Row] = []

    async def rows() -> AsyncIterator[dict[str, Any]]:
        async for row in rooms.tables.scan(UNKNOWN_TAGS):
            columns = row.columns
            if options.charger not in (None, columns["charger"]):
                continue
            if options.start and str(columns["last"]) < format_instant(options.start):
                continue
            listed.append(row)
            known = await rooms.tables.get(TAGS, *tag_key(row.key))
            yield {
                "tag": columns["spelling"],
                "count": columns["count"],
                "first": columns["first"],
                "last": columns["last"],
                "charger": columns["charger"],
                "known_by_now": known is not None,
            }

    widths = {"tag": 24, "count": 6, "first": 27, "last": 27, "charger": 28, "known_by_now": 12}
    code = await print_rows(context, widths, rows(), "unknown tags")
    if options.forget:
        deletes = [Delete(row.partition, row.key, row.etag) for row in listed]
        await write_all(rooms.tables, UNKNOWN_TAGS, deletes)
        context.output.say(f"{len(listed)} taken out of the inbox")
    return code


LIST = Command("tags list", "list tags", _list_arguments, _list)
SHOW = Command("tags show", "show what is known of one tag", _tag_argument, _show)
EXPORT = Command("tags export", "write all tags as CSV", export_arguments, _export)
UNKNOWN = Command(
    "tags unknown", "list tags that were tapped and are not known", _unknown_arguments, _unknown
)
