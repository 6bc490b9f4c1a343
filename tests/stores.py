"""The two stores that promises are held on, the fake and Azurite; what two stores have alike."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any
from uuid import uuid4

from azure.data.tables.aio import TableServiceClient

from local.azurite import Azurite
from shared.sessions.summary import is_summary
from shared.storage.azure import AzureTables
from shared.storage.beside import PrefixedTables
from shared.storage.memory import MemoryTables
from shared.storage.rows import Row, Tables
from shared.storage.tables import ALL_TABLES, EVENTS, PARKED

FIRST_RECEIPT: Mapping[str, tuple[str, ...]] = {
    # Of equal events any one body is kept, and with it what is read off that body alone.
    EVENTS: (
        *("stored_at", "received", "enqueued", "message_id", "generation", "flags"),
        *(f"body_{n:02d}" for n in range(70)),
        "body_blob",
    ),
    PARKED: ("parked_at", "enqueued", "message_id", "delivery_count"),
}
"""The columns that tell of whichever copy of a message came first, table by table."""

type Content = Mapping[str, Sequence[tuple[str, str, Mapping[str, Any]]]]


def whole(table: str, rows: Iterable[Row]) -> list[tuple[str, str, dict[str, Any]]]:
    """Rows as two stores must have them alike: whole, but for the columns of first receipt."""
    left_out = FIRST_RECEIPT.get(table, ())
    return [
        (row.partition, row.key, {n: v for n, v in row.columns.items() if n not in left_out})
        for row in rows
    ]


async def content(tables: Tables) -> dict[str, list[tuple[str, str, dict[str, Any]]]]:
    """All that a store holds, by table, partition and key."""
    return {name: whole(name, [row async for row in tables.scan(name)]) for name in ALL_TABLES}


class Stores:
    """Makes empty stores of one kind, each as seen by several workers."""

    async def fresh(self, workers: int = 1, chance: Random | None = None) -> list[Tables]:
        """An empty store: a gateway for each worker. `chance` decides whose turn it is."""
        raise NotImplementedError

    async def close(self) -> None:
        """Give back connections."""


class InMemory(Stores):
    """The fake: one for all workers, who give way to each other at each read and write."""

    async def fresh(self, workers: int = 1, chance: Random | None = None) -> list[Tables]:
        """An empty store; see `Stores`."""
        tables = MemoryTables(*ALL_TABLES)
        if chance is not None:

            async def give_way(_table: str, _moment: str) -> None:
                for _ in range(chance.choice((0, 0, 1, 2, 5))):
                    await asyncio.sleep(0)

            tables.pause = give_way
        return [tables] * workers


class OnAzurite(Stores):
    """Azurite, and a client with connections of its own for each worker."""

    def __init__(self, azurite: Azurite) -> None:
        self._connection_string = azurite.connection_string
        self._gateways: list[AzureTables] = []

    async def fresh(self, workers: int = 1, chance: Random | None = None) -> list[Tables]:
        """An empty store; see `Stores`. Whose turn it is, the network and Azurite decide."""
        del chance
        while len(self._gateways) < workers:
            client = TableServiceClient.from_connection_string(self._connection_string)
            self._gateways.append(AzureTables(client))
        prefix = f"t{uuid4().hex}"
        tables: list[Tables] = [PrefixedTables(each, prefix) for each in self._gateways[:workers]]
        await asyncio.gather(*(tables[0].create_table(name) for name in ALL_TABLES))
        return tables

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.gather(*(each.close() for each in self._gateways))


def is_claim(row: Row) -> bool:
    """Whether a row of the sessions table is a claim: neither a summary nor an index row."""
    return not row.key.startswith("!") and not is_summary(row)
