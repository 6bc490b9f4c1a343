"""Tags put into a store by tests, as the commands put them there."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from shared.identifiers import hash_tag
from shared.storage.rows import Tables
from shared.tags.changing import Change, change_tags
from shared.tags.records import Tag


async def put_tags(tables: Tables, tags: Iterable[Tag], hash_key: bytes) -> None:
    """Write tags over whatever is there."""
    for tag in tags:
        hashed = hash_tag(tag.tag, hash_key)
        await change_tags(tables, hash_key, [Change(hashed, partial(_instead, tag))])


def _instead(tag: Tag, _present: Tag | None) -> Tag:
    return tag
