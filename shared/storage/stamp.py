"""The store's stamp: which eMabler environment it belongs to, and over how many buckets."""

from __future__ import annotations

from shared.errors import OtherStoreError, RowExistsError
from shared.storage.blobs import Blobs
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.roster_mark import roster_is_whole
from shared.storage.rows import SCHEMA, Insert, Row, Tables, Value
from shared.storage.tables import ALL_TABLES, STORE

_PARTITION, _KEY = "stamp", "stamp"


async def create_store(tables: Tables, *, environment: str, buckets: int) -> list[str]:
    """Make the tables that are missing and stamp the store; the names of those made.

    Raises:
        OtherStoreError: The store exists and belongs to another environment or bucket count.
    """
    made = [name for name in ALL_TABLES if await tables.create_table(name)]
    await Stamp(tables, environment=environment, buckets=buckets).check()
    return made


async def create_containers(blobs: Blobs) -> list[str]:
    """Make the blob containers that are missing; the names of those made."""
    return [name for name in ALL_CONTAINERS if await blobs.create_container(name)]


class Stamp:
    """Checks once, before the first write of a worker, that the store is the app's own."""

    def __init__(self, tables: Tables, *, environment: str, buckets: int) -> None:
        self._tables = tables
        self._environment = environment
        self._buckets = buckets
        self._checked = False

    async def check(self) -> None:
        """Refuse to go on where the stamp is another; an empty store is stamped.

        Raises:
            OtherStoreError: Another environment or bucket count.
            StoreUnavailableError: The stamp cannot be read now.
        """
        if self._checked:
            return
        if not await self.agrees():
            try:
                await self._tables.write(STORE, [Insert(Row(_PARTITION, _KEY, self._ours()))])
            except RowExistsError:
                await self.agrees()
            else:
                await roster_is_whole(self._tables)
        self._checked = True

    def _ours(self) -> dict[str, Value]:
        return {"schema": SCHEMA, "environment": self._environment, "buckets": self._buckets}

    async def agrees(self) -> bool:
        """Whether the store carries our stamp; False: it carries none yet. Writes nothing.

        Raises:
            OtherStoreError: It carries another.
            StoreUnavailableError: The stamp cannot be read now.
        """
        row = await self._tables.get(STORE, _PARTITION, _KEY)
        if row is None:
            return False
        ours, theirs = self._ours(), row.columns
        for name in ("environment", "buckets"):
            if theirs.get(name) != ours[name]:
                message = (
                    f"the store has {name} {theirs.get(name)!r}, this app {ours[name]!r}: "
                    "point DataStorageConnection at the app's own store, or set the app to the "
                    "store's (EMABLER_ENVIRONMENT, STORE_BUCKETS)"
                )
                raise OtherStoreError(message)
        return True
