"""`tags import --from-emabler`: the tags that eMabler lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from management.context import Context
from management.words import counted
from shared.emabler.models.inventory import ListedTag, read_tag
from shared.tags.from_emabler import import_listed, is_usable, one_for_each
from shared.tags.writing import Outcome

if TYPE_CHECKING:  # httpx is loaded at the first use
    from shared.emabler.client import EmablerClient


async def import_from_emabler(context: Context) -> int:
    """Walk eMabler's tags and bring the table up to them; exit 1 where some could not be read."""
    options, output, rooms = context.options, context.output, context.rooms
    async with rooms.emabler() as client:
        listed, unreadable, complete = await _listed(context, client)
    tags = one_for_each(listed)
    if not options.dry_run:
        await rooms.stamp.check()
    with output.progress("tags", len(tags)) as progress:
        outcomes = await import_listed(
            rooms.tables,
            tags,
            rooms.tag_hash_key,
            previous_key=rooms.previous_tag_hash_key,
            dry_run=options.dry_run,
            done=lambda more: progress.advance(progress.task_ids[0], more),
        )
    output.columns({"new": 10, "changed": 10, "same": 10, "twice": 10, "unreadable": 10})
    output.row(
        {str(each): outcomes[each] for each in Outcome}
        | {"twice": len(listed) - len(tags), "unreadable": unreadable}
    )
    if options.dry_run:
        output.say("nothing was written")
    if unreadable:
        output.error(
            "tags_unreadable",
            f"{counted(unreadable, 'tags')} of eMabler's left out: no tag id, or a validity that "
            "is no instant. What to do: mend them in eMabler",
        )
    if not complete:
        output.error(
            "tags_incomplete",
            "eMabler's list changed while it was read, or names another total than came. "
            "What to do: import again",
        )
    return 1 if unreadable or not complete else 0


async def _listed(context: Context, client: EmablerClient) -> tuple[list[ListedTag], int, bool]:
    """The usable tags, how many are not, and whether all that eMabler counts came."""
    listed: list[ListedTag] = []
    walk = client.tags()
    with context.output.progress("from eMabler", 0) as progress:
        async for page in walk:
            read = (read_tag(item, client.drift) for item in page.items)
            listed += (tag for tag in read if tag is not None and is_usable(tag))
            progress.update(progress.task_ids[0], total=page.total, completed=walk.rows)
    return listed, walk.rows - len(listed), walk.agrees
