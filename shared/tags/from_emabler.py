"""Tags that eMabler lists, into the tags table. What an operator decided here stays decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from enum import StrEnum

from shared.emabler.models.inventory import ListedTag
from shared.errors import RowConflictError, StoreUnavailableError
from shared.identifiers import MAX_ID_CHARACTERS, normalise_tag
from shared.instants import format_instant
from shared.storage.rows import Insert, Replace, Row, Tables
from shared.storage.tables import TAGS
from shared.storage.together import SIDE_BY_SIDE, all_done
from shared.tags.records import Tag, tag_from_row, tag_row

_MAX_ROUNDS = 20


class Outcome(StrEnum):
    """What came, or would come, of one listed tag."""

    NEW = "new"
    CHANGED = "changed"
    SAME = "same"


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
    dry_run: bool,
    done: Callable[[int], None],
) -> Counter[Outcome]:
    """Bring the table up to what is listed; tags that are not listed stay as they are.

    `done` is told how many more are looked at. With `dry_run` nothing is written.

    Raises:
        StoreUnavailableError: Some are written; the same call writes the rest.
    """
    outcomes: Counter[Outcome] = Counter()
    for n in range(0, len(listed), SIDE_BY_SIDE):
        part = listed[n : n + SIDE_BY_SIDE]
        outcomes.update(
            await all_done(_import(tables, tag, hash_key, dry_run=dry_run) for tag in part)
        )
        done(len(part))
    return outcomes


async def _import(tables: Tables, listed: ListedTag, hash_key: bytes, *, dry_run: bool) -> Outcome:
    place = tag_row(Tag(tag=listed.tag), hash_key)
    for _ in range(_MAX_ROUNDS):
        row = await tables.get(TAGS, place.partition, place.key)
        present = tag_from_row(row) if row else None
        tag = merged(present, listed)
        if tag == present:
            return Outcome.SAME
        outcome = Outcome.NEW if row is None else Outcome.CHANGED
        if dry_run:
            return outcome
        new = tag_row(tag, hash_key)
        try:
            # Under its ETag: a block that comes between reading and writing is not written over.
            write = Replace(Row(new.partition, new.key, new.columns, row.etag)) if row else None
            await tables.write(TAGS, [write or Insert(new)])
        except RowConflictError:
            continue
        return outcome
    raise StoreUnavailableError("a tag kept changing", code="store_contended")
