"""How far a backup is: one row of the table `store`, and one for each part that is written.

The row and the part's row change in one transaction, under the ETag that was read. So a run that
was cut off goes on after the last part that counts, and of two runs side by side one gives way.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from shared.backup.contents import OWN_PARTITION, SOURCES
from shared.backup.parts import Part
from shared.errors import RowConflictError, RowMissingError
from shared.instants import format_instant, parse_instant
from shared.storage import limits
from shared.storage.rows import (
    SCHEMA,
    Delete,
    Insert,
    Operation,
    Replace,
    Row,
    Tables,
    Upsert,
    Value,
)
from shared.storage.tables import STORE

_KEY = "progress"
_PARTS = "part|"


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a backup is: the source by its name, and after which row or blob it goes on.

    `id` is empty where none is under way; `begun` is then when the last one began, which became
    whole as `last`. Without `begun` the next one is due at once.
    """

    id: str = ""
    begun: datetime | None = None
    source: str = SOURCES[0].name
    partition: str = ""
    key: str = ""
    parts: int = 0
    journal_from: str = ""
    last: str = ""
    etag: str | None = None


class ProgressRows:
    """Reads and writes the progress."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def read(self) -> Progress:
        """The progress; an empty one in a store that never was backed up."""
        row = await self._tables.get(STORE, OWN_PARTITION, _KEY)
        if row is None:
            return Progress()
        columns = row.columns
        parts = columns["parts"]
        return Progress(
            id=str(columns["id"]),
            begun=parse_instant(str(columns["begun"])),
            source=str(columns["source"]),
            partition=str(columns["at_partition"]),
            key=str(columns["at_key"]),
            parts=parts if isinstance(parts, int) else 0,
            journal_from=str(columns["journal_from"]),
            last=str(columns["last"]),
            etag=row.etag,
        )

    async def save(self, progress: Progress, part: Part | None = None) -> Progress:
        """Write the progress, with the part that brought it there.

        Raises:
            RowConflictError: Another run wrote it meanwhile.
        """
        columns: dict[str, Value] = {
            "schema": SCHEMA,
            "id": progress.id,
            "begun": format_instant(progress.begun) if progress.begun else "",
            "source": progress.source,
            "at_partition": progress.partition,
            "at_key": progress.key,
            "parts": progress.parts,
            "journal_from": progress.journal_from,
            "last": progress.last,
        }
        row = Row(OWN_PARTITION, _KEY, columns, progress.etag)
        written: list[Operation] = [Insert(row) if progress.etag is None else Replace(row)]
        if part is not None:
            key = f"{_PARTS}{progress.id}|{progress.parts:06d}"
            told: dict[str, Value] = {
                "schema": SCHEMA,
                "source": part.source,
                "name": part.name,
                "lines": part.lines,
                "size": part.size,
                "digest": part.digest,
            }
            # A number that a run before took in vain is written over.
            written.append(Upsert(Row(OWN_PARTITION, key, told)))
        etags = await self._tables.write(STORE, written)
        return replace(progress, etag=etags[0])

    async def give_up(self, progress: Progress) -> Progress:
        """Let the next run begin anew: what is under way must not become whole.

        Raises:
            RowConflictError: Another run wrote it meanwhile.
        """
        return await self.save(Progress(last=progress.last, etag=progress.etag))

    async def parts(self, backup: str) -> tuple[Part, ...]:
        """The parts of a backup that count, in their order."""
        return tuple(_part(row) for row in await self._part_rows(f"{_PARTS}{backup}|"))

    async def forget_parts(self, backup: str) -> None:
        """Delete the rows of a backup's parts: the manifest names them, or it was given up."""
        await self.forget(await self._part_rows(f"{_PARTS}{backup}|"))

    async def left(self) -> list[Row]:
        """The rows of parts of any backup."""
        return await self._part_rows(_PARTS)

    async def forget(self, rows: Iterable[Row]) -> None:
        """Delete these rows of parts, also where some are gone by now."""
        deletes: list[Operation] = [Delete(row.partition, row.key) for row in rows]
        for group in limits.transactions(deletes):
            try:
                await self._tables.write(STORE, group)
            except RowMissingError:
                # Another run deletes them, too.
                for operation in group:
                    with suppress(RowMissingError):
                        await self._tables.write(STORE, [operation])

    async def _part_rows(self, start: str) -> list[Row]:
        rows = self._tables.range(STORE, OWN_PARTITION, start, f"{start}~")
        return [row async for row in rows]


async def begin_anew(tables: Tables) -> None:
    """Give up the backup that is under way, if one is: rows went from behind it to before it.

    Raises:
        StoreUnavailableError: The same call does it.
    """
    rows = ProgressRows(tables)
    while (progress := await rows.read()).id:
        with suppress(RowConflictError):
            await rows.give_up(progress)


def _part(row: Row) -> Part:
    columns = row.columns
    lines, size = columns["lines"], columns["size"]
    assert isinstance(lines, int)  # noqa: S101 - our own row
    assert isinstance(size, int)  # noqa: S101 - as above
    return Part(str(columns["source"]), str(columns["name"]), lines, size, str(columns["digest"]))
