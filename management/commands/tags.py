"""`tags import`: from CSV or from eMabler; and what the commands about tags share."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator

from management.commands.tags_from_emabler import import_from_emabler
from management.context import Command, Context
from management.csv_files import import_arguments, tell_wrong_lines
from management.refusals import file_unusable, tags_unusable
from management.words import counted
from shared.tags.csv_reading import Line
from shared.tags.groups import MOST_MEMBERS_TO_COUNT, read_members
from shared.tags.groups_csv import all_groups
from shared.tags.importing import COLUMNS, read_tags, read_tags_again
from shared.tags.records import Tag
from shared.tags.writing import MANY, Outcome, TagImport, Told

_COLUMNS_HELP = f"""columns, of which only `tag` is needed:
  tag            as printed or read; case, blanks and : - . _ do not count
  blocked        yes or no
  valid_from     a day or an instant, e.g. 2026-11-01 or 2026-11-01T08:30:00+01:00
  valid_until    the same; not valid from then on
  type           told to eMabler as rfid_tag_type, e.g. TAG, VIN
  group          a group of `groups import`
  chargers       where it may charge, ids parted by |
  sites          the same for whole sites; neither: everywhere, or where its group may
  most_sessions  how many sessions it may have open at once
  offline        yes or no: may charge while the store is away (AUTHORIZATION_FALLBACK=last-known)
A column that the header does not name ({",".join(COLUMNS)})
stays as it is; an empty field takes the value away. Tags that the file does not name stay."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    source = import_arguments(parser, _COLUMNS_HELP)
    source.add_argument(
        "--from-emabler",
        action="store_true",
        help="take validity and driver of each tag that eMabler lists; tags that it does not "
        "list stay, and so does what was blocked here",
    )


async def _import(context: Context) -> int:
    options, output, rooms = context.options, context.output, context.rooms
    if await tags_unusable(context):
        return 2
    if options.from_emabler:
        code = await import_from_emabler(context)
        if not options.dry_run:
            await renew_snapshot(context)
        return code
    try:
        checked = await _check(context)
    except (OSError, ValueError) as error:
        return file_unusable(context, options.file, error)
    if checked.wrong and not options.skip_invalid:
        return tell_wrong_lines(context, len(checked.wrong), checked.count)
    if not options.dry_run:
        await rooms.stamp.check()
    counts = await _write(context, checked)
    told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome)
    output.say(
        f"{counted(counts.total(), 'tags')}: {told}" + ("; nothing was written" * options.dry_run)
    )
    if not options.dry_run:
        await _warn_of_large_groups(context, checked.groups)
        if counts[Outcome.NEW] or counts[Outcome.CHANGED]:
            await renew_snapshot(context)
    return 1 if checked.wrong else 0


class _Checked:
    """What a first reading of the file found: how many lines, which are wrong, which columns."""

    def __init__(self) -> None:
        self.count = 0
        self.wrong: set[int] = set()
        self.columns: frozenset[str] = frozenset()
        self.groups: set[str] = set()


async def _check(context: Context) -> _Checked:
    """Read the whole file and print each wrong line."""
    options, output, checked = context.options, context.output, _Checked()
    with options.file.open(encoding="utf-8-sig", newline="") as lines:
        file = read_tags(lines)
        groups: set[str] | None = None
        if "group" in file.columns:
            groups = {group.name async for group in all_groups(context.rooms.tables)}
            lines.seek(0)
            file = read_tags(lines, groups)
        checked.columns = file.columns
        for line in file.lines:
            checked.count += 1
            if line.record is None:
                if not checked.wrong:
                    output.columns({"line": 8, "fault": 0})
                output.row({"line": line.number, "fault": line.fault})
                checked.wrong.add(line.number)
            elif line.record.group is not None:
                checked.groups.add(line.record.group)
    return checked


async def _write(context: Context, checked: _Checked) -> Counter[Outcome]:
    options, output, rooms = context.options, context.output, context.rooms
    counts: Counter[Outcome] = Counter()
    right = checked.count - len(checked.wrong)
    work = TagImport(
        rooms.tables,
        rooms.tag_hash_key,
        checked.columns,
        previous_key=rooms.previous_tag_hash_key,
        dry_run=options.dry_run,
    )
    if right >= MANY:
        with output.progress("what is there", None) as progress:
            await work.look(lambda more: progress.advance(progress.task_ids[0], more))
    if options.dry_run:
        output.columns({"line": 8, "outcome": 8, "changes": 0})
    with (
        options.file.open(encoding="utf-8-sig", newline="") as lines,
        output.progress("tags", right) as progress,
    ):
        tags = _right_lines(read_tags_again(lines).lines, checked.wrong)
        async for part in work.write(tags):
            counts.update(told.outcome for told in part)
            progress.advance(progress.task_ids[0], len(part))
            for told in part if options.dry_run else ():
                _show(context, told)
    return counts


def _right_lines(lines: Iterator[Line[Tag]], wrong: set[int]) -> Iterator[tuple[int, Tag]]:
    for line in lines:
        if line.record is not None and line.number not in wrong:
            yield line.number, line.record


def _show(context: Context, told: Told) -> None:
    if told.outcome is not Outcome.SAME:
        context.output.row(
            {"line": told.line, "outcome": str(told.outcome), "changes": list(told.changes)}
        )


async def _warn_of_large_groups(context: Context, names: set[str]) -> None:
    async for group in all_groups(context.rooms.tables):
        if group.name in names and group.most_sessions is not None:
            members = len(await read_members(context.rooms.tables, group.name))
            if members > MOST_MEMBERS_TO_COUNT:
                context.output.say(
                    f"group {group.name}: each tap asks {members} tags for their sessions, since "
                    f"it has most_sessions; with more than {MOST_MEMBERS_TO_COUNT} that may "
                    "outlast the budget"
                )


async def renew_snapshot(context: Context) -> None:
    """Make the snapshot anew where the policy keeps one, or somebody else's kept one."""
    taps = context.rooms.taps
    if taps.keeps_snapshot or await taps.snapshots.is_there():
        snapshot = await taps.snapshots.refresh()
        context.output.say(f"the snapshot holds {counted(len(snapshot), 'tags')}")


IMPORT = Command("tags import", "read tags from a CSV file or from eMabler", _arguments, _import)
