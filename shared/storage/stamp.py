"""The store's stamp: which eMabler environment it belongs to, and over how many buckets."""

from __future__ import annotations

from shared.errors import OtherStoreError, RowExistsError
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
        ours: dict[str, Value] = {
            "schema": SCHEMA,
            "environment": self._environment,
            "buckets": self._buckets,
        }
        row = await self._tables.get(STORE, _PARTITION, _KEY)
        if row is None:
            try:
                await self._tables.write(STORE, [Insert(Row(_PARTITION, _KEY, ours))])
            except RowExistsError:
                row = await self._tables.get(STORE, _PARTITION, _KEY)
        theirs = ours if row is None else row.columns
        for name in ("environment", "buckets"):
            if theirs.get(name) != ours[name]:
                message = (
                    f"the store has {name} {theirs.get(name)!r}, this app {ours[name]!r}: "
                    "point DataStorageConnection at the app's own store, or set the app to the "
                    "store's (EMABLER_ENVIRONMENT, STORE_BUCKETS)"
                )
                raise OtherStoreError(message)
        self._checked = True
