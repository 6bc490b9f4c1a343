"""Rows of a table and the operations on them, in terms of no SDK."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

type Value = str | int | float | bool | bytes
"""What a column holds. Instants are texts of one width (`shared.instants.format_instant`)."""

SCHEMA = 1
"""The schema number that every row carries; a change of meaning raises it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One entity: its two keys, its columns and, when it was read, its ETag.

    `timestamp` is the store's own clock at the last write, of a row that was read. It is no part of
    what a row says: rows compare without it.
    """

    partition: str
    key: str
    columns: Mapping[str, Value]
    etag: str | None = None
    timestamp: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Insert:
    """Write a row that must not exist yet."""

    row: Row


@dataclass(frozen=True, slots=True)
class Upsert:
    """Write a row whatever was there before: for rows named by their content."""

    row: Row


@dataclass(frozen=True, slots=True)
class Replace:
    """Write over a row that must still have the ETag that `row` was read with."""

    row: Row


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a row that must exist; with an ETag, it must still be the row's."""

    partition: str
    key: str
    etag: str | None = None


type Operation = Insert | Upsert | Replace | Delete


def address(operation: Operation) -> tuple[str, str]:
    """The partition and key that an operation is about."""
    match operation:
        case Delete(partition=partition, key=key):
            return partition, key
        case Insert(row=row) | Upsert(row=row) | Replace(row=row):
            return row.partition, row.key


class Tables(Protocol):
    """The Table Storage gateway. The contract suite in `tests/storage` holds its two makers to it.

    All calls raise `StoreUnavailableError` when the store is busy, away, refusing or lacks the
    table, and `RowRejectedError` for what breaks a limit of the service.
    """

    async def get(self, table: str, partition: str, key: str) -> Row | None:
        """One row, or None."""
        ...

    def range(
        self,
        table: str,
        partition: str,
        start: str = "",
        end: str | None = None,
        *,
        columns: Sequence[str] | None = None,
    ) -> AsyncIterator[Row]:
        """The rows of one partition with `start <= key < end`, by key; `end` None is no bound.

        With `columns` it sends of each row only these that it has: no `timestamp` either.
        """
        ...

    def scan(
        self,
        table: str,
        start: str = "",
        end: str | None = None,
        *,
        keys_from: str = "",
        keys_to: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> AsyncIterator[Row]:
        """The rows of all partitions with `start <= partition < end`, by partition and key.

        Of each partition those with `keys_from <= key < keys_to`: the service still walks over the
        others, but does not send them. `columns` as of `range`.
        """
        ...

    async def write(self, table: str, operations: Sequence[Operation]) -> list[str | None]:
        """Do all operations or none: 1 to 100 of them, one partition, each row once, 4 MiB.

        Returns:
            The new ETag of each operation's row, None for a delete.

        Raises:
            RowExistsError: An insert met an existing row.
            RowChangedError: An ETag was no longer the row's.
            RowMissingError: A replace or delete met no row.
        """
        ...

    async def create_table(self, table: str) -> bool:
        """Make a table if there is none of that name; whether it was made."""
        ...

    async def now(self) -> datetime:
        """The store's own clock, cut to a whole second: one request that reads no row."""
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...
