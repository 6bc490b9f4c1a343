"""A second store in the same account: tables and containers whose names begin with a prefix."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from shared.storage.blobs import Blob, Blobs, Listed
from shared.storage.rows import Operation, Row, Tables


class PrefixedTables:
    """A gateway to the tables of the second store. The first one's gateway stays the caller's."""

    def __init__(self, tables: Tables, prefix: str) -> None:
        self._tables = tables
        self.prefix = prefix

    async def get(self, table: str, partition: str, key: str) -> Row | None:
        """One row, or None."""
        return await self._tables.get(self.prefix + table, partition, key)

    def range(
        self,
        table: str,
        partition: str,
        start: str = "",
        end: str | None = None,
        *,
        columns: Sequence[str] | None = None,
    ) -> AsyncIterator[Row]:
        """The rows of one partition with `start <= key < end`, by key."""
        return self._tables.range(self.prefix + table, partition, start, end, columns=columns)

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
        """The rows of all partitions with `start <= partition < end`, by partition and key."""
        return self._tables.scan(
            self.prefix + table,
            start,
            end,
            keys_from=keys_from,
            keys_to=keys_to,
            columns=columns,
        )

    async def write(self, table: str, operations: Sequence[Operation]) -> list[str | None]:
        """Do all operations or none."""
        return await self._tables.write(self.prefix + table, operations)

    async def now(self) -> datetime:
        """The store's own clock."""
        return await self._tables.now()

    async def create_table(self, table: str) -> bool:
        """Make a table if there is none of that name."""
        return await self._tables.create_table(self.prefix + table)

    async def close(self) -> None:
        """Nothing to give back: the connections are the first store's."""


class PrefixedBlobs:
    """A gateway to the containers of the second store."""

    def __init__(self, blobs: Blobs, prefix: str) -> None:
        self._blobs = blobs
        self.prefix = prefix

    async def get(self, container: str, name: str) -> Blob | None:
        """One blob, or None."""
        return await self._blobs.get(self.prefix + container, name)

    async def etag(self, container: str, name: str) -> str | None:
        """The ETag of a blob, or None."""
        return await self._blobs.etag(self.prefix + container, name)

    async def put(self, container: str, name: str, content: bytes) -> str:
        """Write a blob whatever was there before; the new ETag."""
        return await self._blobs.put(self.prefix + container, name, content)

    async def replace(self, container: str, name: str, content: bytes, etag: str | None) -> str:
        """Write over the blob that still has this ETag; None: where there is none."""
        return await self._blobs.replace(self.prefix + container, name, content, etag)

    async def delete(self, container: str, name: str, etag: str | None = None) -> bool:
        """Delete a blob; with an ETag only while it still has that one."""
        return await self._blobs.delete(self.prefix + container, name, etag)

    def names(self, container: str, prefix: str = "") -> AsyncIterator[str]:
        """The names that begin so, in their order."""
        return self._blobs.names(self.prefix + container, prefix)

    def listed(self, container: str, prefix: str = "") -> AsyncIterator[Listed]:
        """The blobs whose names begin so, in the order of their names, without their content."""
        return self._blobs.listed(self.prefix + container, prefix)

    async def create_container(self, container: str) -> bool:
        """Make a private container if there is none of that name."""
        return await self._blobs.create_container(self.prefix + container)

    async def close(self) -> None:
        """Nothing to give back: the connections are the first store's."""
