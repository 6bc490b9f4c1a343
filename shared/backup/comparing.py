"""A backup beside a store, row by row and blob by blob: what differs. Nothing is written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum

from shared.backup.contents import SOURCES
from shared.backup.reading import stored_blobs, stored_rows
from shared.backup.restore import Reader
from shared.storage.blobs import Blobs
from shared.storage.rows import Row, Tables


class What(StrEnum):
    """How one place differs."""

    ONLY_IN_BACKUP = "only in backup"
    ONLY_IN_STORE = "only in store"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Difference:
    """One row or blob that differs: where it is, and which columns are others."""

    what: What
    place: str
    partition: str
    key: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Compared:
    """How many rows or blobs were looked at since the last, and one that differs."""

    looked_at: int
    difference: Difference | None = None


async def compare(reader: Reader, tables: Tables, blobs: Blobs) -> AsyncIterator[Compared]:
    """All that differs, table by table, as the walk meets it.

    Raises:
        BackupError: The backup is damaged.
    """
    buckets, journal_from = reader.manifest.buckets, reader.manifest.journal_from
    for source in SOURCES:
        if source.is_table:
            kept = reader.rows(source.name)
            stored = stored_rows(tables, source.name, buckets=buckets, journal_from=journal_from)
        else:
            kept = _as_rows(reader.contents(source.name))
            found = stored_blobs(blobs, source.name, journal_from=journal_from)
            stored = _as_rows(found)
        async for compared in _merged(source.name, kept, stored):
            yield compared


async def _merged(
    place: str, kept: AsyncIterator[Row], stored: AsyncIterator[Row]
) -> AsyncIterator[Compared]:
    """Walk two streams in the order of their keys side by side."""
    left, right = await anext(kept, None), await anext(stored, None)
    looked_at = 0
    while left is not None or right is not None:
        looked_at += 1
        order = _order(left, right)
        difference = None
        if order < 0 and left is not None:
            difference = Difference(What.ONLY_IN_BACKUP, place, left.partition, left.key)
        elif order > 0 and right is not None:
            difference = Difference(What.ONLY_IN_STORE, place, right.partition, right.key)
        elif left is not None and right is not None and (names := _changed(left, right)):
            difference = Difference(What.CHANGED, place, left.partition, left.key, names)
        if difference is not None or looked_at % 1_000 == 0:
            yield Compared(looked_at, difference)
            looked_at = 0
        if order <= 0:
            left = await anext(kept, None)
        if order >= 0:
            right = await anext(stored, None)
    yield Compared(looked_at)


def _order(left: Row | None, right: Row | None) -> int:
    if left is None or right is None:
        return 1 if left is None else -1
    ours, theirs = (left.partition, left.key), (right.partition, right.key)
    return (ours > theirs) - (ours < theirs)


def _changed(left: Row, right: Row) -> tuple[str, ...]:
    names = {*left.columns, *right.columns}
    return tuple(
        sorted(
            name
            for name in names
            if left.columns.get(name) != right.columns.get(name)
            or type(left.columns.get(name)) is not type(right.columns.get(name))
        )
    )


async def _as_rows(contents: AsyncIterator[tuple[str, bytes]]) -> AsyncIterator[Row]:
    async for name, content in contents:
        yield Row("", name, {"content": content})
