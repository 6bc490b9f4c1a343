"""Tags that eMabler lists, into the tags table. What an operator decided here stays decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import batched

from shared.emabler.models.inventory import ListedTag
from shared.identifiers import MAX_ID_CHARACTERS, hash_tag, normalise_tag
from shared.instants import format_instant
from shared.storage.rows import Tables
from shared.tags.changing import Change, change_tags
from shared.tags.records import Tag
from shared.tags.writing import Outcome

_TOGETHER = 2_000


def merged(present: Tag | None, listed: ListedTag) -> Tag:
    """The tag after a listing: validity and driver are eMabler's, all else is as it was here.

    A block is ours: eMabler's list has none, and an import never lifts one.
    """
    return replace(
        present or Tag(tag=listed.tag),
        valid_from=listed.valid_from,
        valid_until=listed.valid_until,
        driver=listed.driver,
        driver_external=listed.driver_external,
    )


def one_for_each(listed: Iterable[ListedTag]) -> list[ListedTag]:
    """One listing for each tag as tags are compared: the one updated last, then the last by id.

    Pages that move list a tag twice, and one card may be registered in two spellings.
    """
    chosen: dict[str, ListedTag] = {}
    for tag in listed:
        name = normalise_tag(tag.tag)
        before = chosen.get(name)
        if before is None or _rank(before) <= _rank(tag):
            chosen[name] = tag
    return list(chosen.values())


def _rank(tag: ListedTag) -> tuple[str, int, str]:
    updated = format_instant(tag.updated) if tag.updated else ""
    number = tag.rest_id or ""
    return updated, len(number), number


def is_usable(listed: ListedTag) -> bool:
    """Whether a tag can be kept: it names something, and is no longer than an id may be."""
    return bool(normalise_tag(listed.tag)) and len(listed.tag) <= MAX_ID_CHARACTERS


async def import_listed(
    tables: Tables,
    listed: Sequence[ListedTag],
    hash_key: bytes,
    *,
    previous_key: bytes | None = None,
    dry_run: bool,
    done: Callable[[int], None],
) -> Counter[Outcome]:
    """Bring the table up to what is listed; tags that are not listed stay as they are.

    `done` is told how many more are looked at. With `dry_run` nothing is written. `previous_key`
    is set while tags are moved: what lies under it alone is merged too.

    Raises:
        StoreUnavailableError: Some are written; the same call writes the rest.
    """
    outcomes: Counter[Outcome] = Counter()
    for part in batched(listed, _TOGETHER, strict=False):
        changed = await change_tags(
            tables,
            hash_key,
            [_change(tag, hash_key, previous_key) for tag in part],
            dry_run=dry_run,
        )
        outcomes.update(_outcome(before, after) for before, after in changed)
        done(len(part))
    return outcomes


def _change(listed: ListedTag, hash_key: bytes, previous_key: bytes | None) -> Change:
    return Change(
        hash_tag(listed.tag, hash_key),
        lambda present: merged(present, listed),
        hash_tag(listed.tag, previous_key) if previous_key else None,
    )


def _outcome(before: Tag | None, after: Tag) -> Outcome:
    if before is None:
        return Outcome.NEW
    return Outcome.SAME if before == after else Outcome.CHANGED
