"""`groups import|export|list|show|block|unblock`: what tags have in common."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from management.commands.tags import renew_snapshot
from management.context import Command, Context, limit_argument
from management.csv_files import (
    export,
    export_arguments,
    import_arguments,
    tell_wrong_lines,
)
from management.listing import print_rows
from management.refusals import file_unusable
from management.words import counted
from shared.tags.groups import Group, read_group, read_members
from shared.tags.groups_csv import COLUMNS, all_groups, change_group, fields_of, read_groups

_WIDTHS = {
    "group": 24,
    "blocked": 7,
    "valid_until": 27,
    "most_sessions": 13,
    "chargers": 28,
    "sites": 0,
}
_COLUMNS_HELP = """columns, of which only `group` is needed:
  group          its name
  blocked        yes or no: for all its tags
  valid_until    a day or an instant; none of its tags is valid from then on
  chargers       where its tags may charge if they have no chargers or sites of their own,
                 ids parted by |
  sites          the same for whole sites; neither: everywhere
  most_sessions  how many sessions all its tags together may have open at once
A line is the whole group: a column that the header does not name is empty."""


def _import_arguments(parser: argparse.ArgumentParser) -> None:
    import_arguments(parser, _COLUMNS_HELP)


async def _import(context: Context) -> int:
    options, output = context.options, context.output
    try:
        with options.file.open(encoding="utf-8-sig", newline="") as lines:
            read = list(read_groups(lines))
    except (OSError, ValueError) as error:
        return file_unusable(context, options.file, error)
    wrong = [line for line in read if line.fault]
    if wrong:
        output.columns({"line": 8, "fault": 0})
    for line in wrong:
        output.row({"line": line.number, "fault": line.fault})
    if wrong and not options.skip_invalid:
        return tell_wrong_lines(context, len(wrong), len(read))
    changed = await _write(context, [line.record for line in read if line.record is not None])
    if changed and not options.dry_run:
        await renew_snapshot(context)
    return 1 if wrong else 0


async def _write(context: Context, groups: list[Group]) -> int:
    options, output, rooms = context.options, context.output, context.rooms
    if not options.dry_run:
        await rooms.stamp.check()
    changed = 0
    output.columns({"group": 24, "outcome": 0})
    with output.progress("groups", len(groups)) as progress:
        for group in groups:
            present = await read_group(rooms.tables, group.name)
            if not options.dry_run:
                await change_group(rooms.tables, group.name, lambda _present, new=group: new)  # type: ignore[misc]
            outcome = "new" if present is None else "same" if present == group else "changed"
            changed += outcome != "same"
            output.row({"group": group.name, "outcome": outcome})
            progress.advance(progress.task_ids[0])
    suffix = "; nothing was written" if options.dry_run else ""
    output.say(f"{counted(len(groups), 'groups')}, {changed} new or changed{suffix}")
    return changed


async def _export(context: Context) -> int:
    return await export(context, COLUMNS, all_groups(context.rooms.tables), fields_of, "groups")


def _shown(group: Group) -> dict[str, Any]:
    return {
        **fields_of(group),
        "blocked": group.blocked,
        "most_sessions": group.most_sessions,
        "chargers": list(group.scope.chargers),
        "sites": list(group.scope.sites),
    }


async def _list(context: Context) -> int:
    wanted = (_shown(group) async for group in all_groups(context.rooms.tables))
    return await print_rows(context, _WIDTHS, wanted, "groups")


def _name_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("group", metavar="NAME", help="the group's name")


async def _show(context: Context) -> int:
    output, tables, name = context.output, context.rooms.tables, context.options.group
    group = await read_group(tables, name)
    if group is None:
        output.error("group_unknown", f"there is no group {name}. What to do: `groups list`")
        return 1
    output.columns({"what": 16, "value": 0})
    for what, value in _shown(group).items():
        output.row({"what": what, "value": value})
    output.row({"what": "members", "value": len(await read_members(tables, name))})
    return 0


async def _block(context: Context) -> int:
    return await _set(context, blocked=True)


async def _unblock(context: Context) -> int:
    return await _set(context, blocked=False)


async def _set(context: Context, *, blocked: bool) -> int:
    output, rooms, name = context.output, context.rooms, context.options.group
    await rooms.stamp.check()

    def change(present: Group | None) -> Group | None:
        return None if present is None else replace(present, blocked=blocked)

    before, after = await change_group(rooms.tables, name, change)
    if before is None:
        output.error("group_unknown", f"there is no group {name}. What to do: `groups list`")
        return 1
    word = "blocked" if blocked else "unblocked"
    output.say(f"group {name} " + (f"was {word} already" if before == after else f"is {word}"))
    await renew_snapshot(context)
    return 0


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    limit_argument(parser)


IMPORT = Command("groups import", "read groups from a CSV file", _import_arguments, _import)
EXPORT = Command("groups export", "write all groups as CSV", export_arguments, _export)
LIST = Command("groups list", "list groups", _list_arguments, _list)
SHOW = Command("groups show", "show one group and how many tags it has", _name_argument, _show)
BLOCK = Command("groups block", "let none of its tags charge", _name_argument, _block)
UNBLOCK = Command("groups unblock", "let its tags charge again", _name_argument, _unblock)
