"""What a store holds that belongs in a backup, in the order of its keys, from any place on."""

from __future__ import annotations

from collections.abc import AsyncIterator

from shared.backup.contents import NOT_THE_STORES
from shared.storage.blobs import Blobs
from shared.storage.containers import BODIES
from shared.storage.rows import Row, Tables
from shared.storage.tables import EVENTS, STORE


async def stored_rows(
    tables: Tables,
    table: str,
    *,
    buckets: int,
    journal_from: str,
    partition: str = "",
    key: str = "",
) -> AsyncIterator[Row]:
    """The rows of a table that come after these keys, by partition and key.

    Args:
        tables: the store.
        table: of the journal, only days from `journal_from` on are read.
        buckets: over how many the journal is spread.
        journal_from: a day, `yyyymmdd`; empty: all days.
        partition: where to go on.
        key: the last key that was read there.
    """
    if table == EVENTS and journal_from:
        for bucket in sorted(map(str, range(buckets))):
            # A day of digits, or `undated`: both sort before the bucket's end.
            first, end = f"{bucket}-{journal_from}", f"{bucket}."
            if partition < end:
                async for row in rows_after(tables, table, partition, key, first, end):
                    yield row
        return
    async for row in rows_after(tables, table, partition, key):
        if table != STORE or row.partition not in NOT_THE_STORES:
            yield row


async def rows_after(
    tables: Tables,
    table: str,
    partition: str = "",
    key: str = "",
    first: str = "",
    end: str | None = None,
) -> AsyncIterator[Row]:
    """The rows of partitions from `first` to before `end` that come after these keys."""
    if partition >= first and (partition or key):
        # No key holds a character before the blank, so what follows a key begins here.
        async for row in tables.range(table, partition, f"{key} "):
            yield row
        first = f"{partition} "
    async for row in tables.scan(table, first, end):
        yield row


async def stored_blobs(
    blobs: Blobs, container: str, *, journal_from: str, after: str = ""
) -> AsyncIterator[tuple[str, bytes]]:
    """The blobs of a container that come after a name; of the journal as its rows."""
    async for name in blobs.names(container):
        if name > after and not _is_older(container, name, journal_from):
            blob = await blobs.get(container, name)
            # One that is gone by now went with its row.
            if blob is not None:
                yield name, blob.content


def _is_older(container: str, name: str, journal_from: str) -> bool:
    folder, _, rest = name.partition("/")
    if (container, folder) != (BODIES, EVENTS):
        return False
    return rest.partition("/")[0].partition("-")[2] < journal_from
