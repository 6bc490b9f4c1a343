"""Tags moved to a new hash key, partition by partition, resumably and harmless to repeat."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from shared.errors import RowExistsError, RowMissingError
from shared.identifiers import hash_tag, normalise_tag
from shared.storage import limits
from shared.storage.rows import SCHEMA, Delete, Insert, Operation, Row, Tables, Upsert, Value
from shared.storage.tables import SESSIONS, STORE, TAG_GROUPS, TAGS, UNKNOWN_TAGS
from shared.storage.together import all_done, upsert_all
from shared.tags.changing import change_tag, delete_tag
from shared.tags.groups import member_row
from shared.tags.records import TAG_ROWS, tag_from_row

_PARTITION, _KEY = "rehash", "position"
_NOTE_EVERY = 200
_TOGETHER = 16


@dataclass(slots=True)
class Moved:
    """What a rehash did: tags and partitions of sessions moved, what already was, what stayed.

    `unnamed` are partitions of sessions whose tag nobody tells any longer: they stay as they are.
    """

    moved: int = 0
    there: int = 0
    unnamed: int = 0


class Rehash:
    """Moves what lies under the previous key to the current one.

    A partition is written under its new name before the old one is deleted, and the current key's
    record counts where both have one. So whoever reads both side by side misses nothing. Whoever
    walks the partitions in their order may miss what is moved behind their back: they are told by
    `rows_moved`, after each batch of moves.
    """

    def __init__(
        self,
        tables: Tables,
        *,
        current: bytes,
        previous: bytes,
        buckets: int,
        rows_moved: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._rows_moved = rows_moved
        self._tables = tables
        self._current = current
        self._previous = previous
        self._buckets = buckets
        # Tells this pair of keys from any other without telling either.
        self._pair = hmac.new(current, previous, "sha256").hexdigest()[:16]

    async def run(self, told: Callable[[int], None]) -> Moved:
        """Move everything; `told` is told how many more partitions are done.

        Raises:
            StoreUnavailableError: Some is moved; the next run goes on from there.
        """
        moved = Moved()
        start = await self._position()
        batch: list[list[Row]] = []
        done = 0
        async for rows in self._partitions(start):
            batch.append(rows)
            if len(batch) == _TOGETHER:
                done += len(batch)
                await self._move_all(batch, moved, told)
                if done % _NOTE_EVERY < _TOGETHER:
                    await self._note(batch[-1][0].partition)
                batch = []
        await self._move_all(batch, moved, told)
        if await self._move_inbox():
            await self._tell()
        await self._note("")
        return moved

    async def _position(self) -> str:
        row = await self._tables.get(STORE, _PARTITION, _KEY)
        if row is None or row.columns.get("pair") != self._pair:
            return ""
        return str(row.columns.get("after", ""))

    async def _note(self, after: str) -> None:
        columns: dict[str, Value] = {"schema": SCHEMA, "pair": self._pair, "after": after}
        await self._tables.write(STORE, [Upsert(Row(_PARTITION, _KEY, columns))])

    async def _partitions(self, start: str) -> AsyncIterator[list[Row]]:
        rows: list[Row] = []
        async for row in self._tables.scan(TAGS, start):
            if rows and row.partition != rows[0].partition:
                yield rows
                rows = []
            rows.append(row)
        if rows:
            yield rows

    async def _move_all(
        self, batch: Sequence[list[Row]], moved: Moved, told: Callable[[int], None]
    ) -> None:
        before = moved.moved
        try:
            await all_done(self._move(rows, moved) for rows in batch)
        finally:
            if moved.moved > before:
                await self._tell()
        told(len(batch))

    async def _tell(self) -> None:
        if self._rows_moved is not None:
            await self._rows_moved()

    async def _move(self, rows: list[Row], moved: Moved) -> None:
        old = rows[0].partition
        tag = await self._tag_of(rows)
        if tag is None:
            moved.unnamed += 1
            return
        new = hash_tag(tag, self._current)
        if new == old:
            moved.there += 1
            return
        sessions = [replace(row, partition=new, etag=None) for row in rows if not _is_tag(row)]
        await upsert_all(self._tables, TAGS, sessions)
        for row in filter(_is_tag, rows):
            await self._move_tag(row, new)
        await self._delete(TAGS, old, [row.key for row in rows if not _is_tag(row)])
        if any(map(_is_tag, rows)):
            # Last: it tells whose the partition is.
            await delete_tag(self._tables, old)
        moved.moved += 1

    async def _move_tag(self, row: Row, new: str) -> None:
        tag = tag_from_row(row)
        # What lies under the current key was written later: it counts, and so does its group.
        await change_tag(self._tables, new, self._current, lambda present: present or tag)
        if tag.group is not None:
            left = member_row(tag.group, row.partition)
            await self._delete(TAG_GROUPS, left.partition, [left.key])

    async def _tag_of(self, rows: Sequence[Row]) -> str | None:
        """The tag of a partition under either key: its record's, else one that a claim names."""
        for row in filter(_is_tag, rows):
            return str(row.columns["tag"])
        for session in dict.fromkeys(str(row.columns["session"]) for row in rows):
            for bucket in range(self._buckets):
                claims = self._tables.range(SESSIONS, str(bucket), f"{session}|", f"{session}|~")
                async for claim in claims:
                    tag = str(claim.columns.get("tag", ""))
                    keys = (self._previous, self._current)
                    if tag and rows[0].partition in (hash_tag(tag, key) for key in keys):
                        return tag
        return None

    async def _move_inbox(self) -> int:
        moved = 0
        async for row in self._tables.scan(UNKNOWN_TAGS):
            new = hash_tag(normalise_tag(str(row.columns["tag"])), self._current)
            if new == row.key:
                continue
            with suppress(RowExistsError):
                await self._tables.write(UNKNOWN_TAGS, [Insert(Row(new[:2], new, row.columns))])
            await self._delete(UNKNOWN_TAGS, row.partition, [row.key])
            moved += 1
        return moved

    async def _delete(self, table: str, partition: str, keys: Sequence[str]) -> None:
        operations: list[Operation] = [Delete(partition, key) for key in keys]
        for group in limits.transactions(operations):
            try:
                await self._tables.write(table, group)
            except RowMissingError:
                # Somebody else moves it too: one by one then.
                for operation in group if len(group) > 1 else ():
                    await self._delete(table, partition, [operation.key])  # type: ignore[union-attr]


def _is_tag(row: Row) -> bool:
    return row.key.startswith(TAG_ROWS)
