"""Tags put into a store by tests, as they are."""

from __future__ import annotations

from collections.abc import Iterable

from shared.storage.rows import Tables, Upsert
from shared.storage.tables import TAGS
from shared.tags.records import Tag, tag_row


async def put_tags(tables: Tables, tags: Iterable[Tag], hash_key: bytes) -> None:
    """Write tags over whatever is there."""
    for tag in tags:
        await tables.write(TAGS, [Upsert(tag_row(tag, hash_key))])
