"""A backup back into a store: read whole and checked, written by its keys, resumable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator

from shared.backup.contents import NOT_THE_STORES, OWN_PARTITION, SOURCES
from shared.backup.lines import blob_of_line, row_of_line
from shared.backup.manifest import Manifest
from shared.backup.parts import Part, lines_of
from shared.errors import BackupError
from shared.storage.blobs import Blobs
from shared.storage.containers import BACKUPS
from shared.storage.erasures import ERASED_TAGS
from shared.storage.roster_mark import make_roster_anew
from shared.storage.rows import SCHEMA, Delete, Row, Tables, Upsert, Value
from shared.storage.tables import STORE
from shared.storage.together import all_done, write_all

_KEY = "restore"
_MAY_BE_THERE = frozenset(("stamp", ERASED_TAGS)) | NOT_THE_STORES
_ROWS_AT_HAND = 1_600
"""Rows that are written side by side: 16 transactions of 100."""
_BLOBS_AT_HAND = 16

type Passing = Callable[[Row | None, bytes], None]
"""Told of each row that is written, and of each blob by its content."""


class Reader:
    """Reads the parts of one backup, each checked before its first line is used."""

    def __init__(self, blobs: Blobs, manifest: Manifest) -> None:
        self._blobs = blobs
        self.manifest = manifest

    async def lines(self, part: Part) -> Iterator[bytes]:
        """The lines of a part.

        Raises:
            BackupError: `backup_damaged`: the part is gone, or not as it was written.
        """
        blob = await self._blobs.get(BACKUPS, part.name)
        if blob is None:
            message = f"{part.name} is gone: the backup {self.manifest.id} is not whole"
            raise BackupError(message, code="backup_damaged")
        return lines_of(part, blob.content)

    async def rows(self, table: str) -> AsyncIterator[Row]:
        """The rows of a table as they were, by partition and key."""
        for part in self.parts_of(table):
            for line in await self.lines(part):
                yield row_of_line(line)

    async def contents(self, container: str) -> AsyncIterator[tuple[str, bytes]]:
        """The blobs of a container, by name."""
        for part in self.parts_of(container):
            for line in await self.lines(part):
                yield blob_of_line(line)

    def parts_of(self, source: str) -> list[Part]:
        """The parts of a table or container, in their order."""
        return [part for part in self.manifest.parts if part.source == source]


class Restore:
    """Writes a backup into a store that is empty, or that an earlier run of it left."""

    def __init__(
        self,
        reader: Reader,
        tables: Tables,
        blobs: Blobs,
        *,
        passing: Passing | None = None,
        told: Callable[[int], None] = lambda _lines: None,
    ) -> None:
        self._reader = reader
        self._tables = tables
        self._blobs = blobs
        self._passing = passing
        self._told = told
        self._is_table = {source.name: source.is_table for source in SOURCES}

    async def run(self) -> None:
        """Write all of it. A run that was stopped is made whole by the same call.

        What remains to be done is up to the caller, who ends with `done`.

        Raises:
            BackupError: The store is not empty (`store_not_empty`), or the backup is damaged.
            StoreUnavailableError: Some is written.
        """
        first = await self._written()
        await make_roster_anew(self._tables)
        for number, part in enumerate(self._reader.manifest.parts):
            lines = await self._reader.lines(part)
            if not self._is_table[part.source]:
                await self._write_blobs(part, lines, skip=number < first)
            else:
                await self._write_rows(part, lines, skip=number < first)
            if number >= first:
                await self._mark(number + 1)

    async def done(self) -> None:
        """Say that the store is whole: nothing of the restore is left to be done."""
        await make_roster_anew(self._tables)
        await self._tables.write(STORE, [Delete(OWN_PARTITION, _KEY)])

    async def _written(self) -> int:
        """How many parts an earlier run of the same restore wrote; refuses another's store."""
        row = await self._tables.get(STORE, OWN_PARTITION, _KEY)
        backup = self._reader.manifest.id
        if row is not None and row.columns["id"] == backup:
            parts = row.columns["parts"]
            return parts if isinstance(parts, int) else 0
        full = [] if row is not None else await filled(self._tables, self._blobs)
        if row is not None or full:
            why = f"{', '.join(full)} hold something"
            if row is not None:
                why = f"a restore of {row.columns['id']!s} into it was stopped"
            message = (
                f"the store is not empty: {why}. What to do: restore into an empty store, beside "
                "this one (--beside PREFIX), or compare only (--compare)"
            )
            raise BackupError(message, code="store_not_empty")
        await self._mark(0)
        return 0

    async def _mark(self, parts: int) -> None:
        columns: dict[str, Value] = {
            "schema": SCHEMA,
            "id": self._reader.manifest.id,
            "parts": parts,
        }
        await self._tables.write(STORE, [Upsert(Row(OWN_PARTITION, _KEY, columns))])

    async def _write_rows(self, part: Part, lines: Iterable[bytes], *, skip: bool) -> None:
        if skip and self._passing is None:
            return
        batch: list[Row] = []

        async def flush() -> None:
            if not skip:
                await write_all(self._tables, part.source, [Upsert(row) for row in batch])
                self._told(len(batch))
            batch.clear()

        for line in lines:
            row = row_of_line(line)
            if self._passing is not None:
                self._passing(row, b"")
            batch.append(row)
            if len(batch) >= _ROWS_AT_HAND:
                await flush()
                await asyncio.sleep(0)
        await flush()

    async def _write_blobs(self, part: Part, lines: Iterable[bytes], *, skip: bool) -> None:
        if skip and self._passing is None:
            return
        batch: list[tuple[str, bytes]] = []

        async def flush() -> None:
            if not skip:
                puts = [self._blobs.put(part.source, name, content) for name, content in batch]
                await all_done(puts)
                self._told(len(batch))
            batch.clear()

        for line in lines:
            name, content = blob_of_line(line)
            if self._passing is not None:
                self._passing(None, content)
            batch.append((name, content))
            if len(batch) >= _BLOBS_AT_HAND:
                await flush()
        await flush()


async def restoring(tables: Tables) -> str:
    """The backup that a restore into this store, which is not done, is of; empty: there is none."""
    row = await tables.get(STORE, OWN_PARTITION, _KEY)
    return "" if row is None else str(row.columns["id"])


async def filled(tables: Tables, blobs: Blobs) -> list[str]:
    """The tables and containers that hold something, but for an empty store's stamp."""
    found = []
    for source in SOURCES:
        if source.is_table:
            async for row in tables.scan(source.name):
                if source.name != STORE or row.partition not in _MAY_BE_THERE:
                    found.append(source.name)
                    break
        else:
            async for _ in blobs.names(source.name):
                found.append(source.name)
                break
    return found
