"""Table Storage in memory, for tests and simulations: the same contract as the real gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count

from shared.errors import (
    RowChangedError,
    RowExistsError,
    RowMissingError,
    StoreUnavailableError,
)
from shared.instants import Clock, system_clock
from shared.storage import limits
from shared.storage.requests import request
from shared.storage.rows import Delete, Insert, Operation, Replace, Row, Upsert, address
from shared.storage.tables import STORE

type Pause = Callable[[str, str], Awaitable[None]]
"""Called with table and kind before and after each call: where a test stops, delays or fails it."""


async def _no_pause(_table: str, _moment: str) -> None:
    return


class MemoryTables:
    """Tables in a dictionary; `pause` is awaited before each read and around each write.

    `clock` is the store's own, which dates each row that is written.
    """

    def __init__(self, *tables: str, pause: Pause = _no_pause, clock: Clock = system_clock) -> None:
        self._tables: dict[str, dict[tuple[str, str], Row]] = {name: {} for name in tables}
        self._etags = count(1)
        self.pause = pause
        self.clock = clock

    def rows(self, table: str) -> list[Row]:
        """All rows of a table by partition and key: for a test to look at."""
        return [row for _, row in sorted(self._tables[table].items())]

    async def get(self, table: str, partition: str, key: str) -> Row | None:
        """One row, or None."""
        with request(table, "get"):
            await self.pause(table, "before_read")
            return self._table(table).get((partition, key))

    async def range(
        self,
        table: str,
        partition: str,
        start: str = "",
        end: str | None = None,
        *,
        columns: Sequence[str] | None = None,
    ) -> AsyncIterator[Row]:
        """The rows of one partition with `start <= key < end`, by key."""
        with request(table, "range"):
            await self.pause(table, "before_read")
            found = sorted(
                (row.key, row)
                for row in self._table(table).values()
                if row.partition == partition
                and start <= row.key
                and (end is None or row.key < end)
            )
        for _, row in found:
            yield row if columns is None else _only(row, columns)

    async def scan(
        self,
        table: str,
        start: str = "",
        end: str | None = None,
        *,
        keys_from: str = "",
        keys_to: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> AsyncIterator[Row]:
        """The rows of all partitions with `start <= partition < end`, by partition and key."""
        with request(table, "scan"):
            await self.pause(table, "before_read")
            found = sorted(
                (address_, row)
                for address_, row in self._table(table).items()
                if start <= address_[0]
                and (end is None or address_[0] < end)
                and keys_from <= address_[1]
                and (keys_to is None or address_[1] < keys_to)
            )
        for _, row in found:
            yield row if columns is None else _only(row, columns)

    async def write(self, table: str, operations: Sequence[Operation]) -> list[str | None]:
        """Do all operations or none."""
        limits.check(operations)
        with request(table, "write"):
            await self.pause(table, "before_write")
            rows = self._table(table)
            for operation in operations:
                self._check(rows, operation)
            etags: list[str | None] = []
            for operation in operations:
                if isinstance(operation, Delete):
                    del rows[address(operation)]
                    etags.append(None)
                else:
                    row = operation.row
                    etag = f'W/"{next(self._etags)}"'
                    rows[address(operation)] = Row(
                        row.partition, row.key, dict(row.columns), etag, self.clock()
                    )
                    etags.append(etag)
            await self.pause(table, "after_write")
        return etags

    @staticmethod
    def _check(rows: dict[tuple[str, str], Row], operation: Operation) -> None:
        present = rows.get(address(operation))
        match operation:
            case Insert() if present is not None:
                raise RowExistsError("the row exists")
            case Replace(row=Row(etag=etag)) | Delete(etag=etag):
                if present is None:
                    raise RowMissingError("there is no such row")
                if etag is not None and etag != present.etag:
                    raise RowChangedError("the row was changed")
            case Insert() | Upsert():
                pass

    async def create_table(self, table: str) -> bool:
        """Make a table if there is none of that name."""
        created = table not in self._tables
        self._tables.setdefault(table, {})
        return created

    async def now(self) -> datetime:
        """The store's own clock, cut to a whole second."""
        with request(STORE, "now"):
            await self.pause(STORE, "before_read")
            return self.clock().replace(microsecond=0)

    async def close(self) -> None:
        """Nothing to give back."""

    def _table(self, name: str) -> dict[tuple[str, str], Row]:
        try:
            return self._tables[name]
        except KeyError:
            message = f"there is no table {name}"
            raise StoreUnavailableError(message, code="table_missing") from None


def _only(row: Row, columns: Sequence[str]) -> Row:
    sent = {name: row.columns[name] for name in columns if name in row.columns}
    return replace(row, columns=sent, timestamp=None)
