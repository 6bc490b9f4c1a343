"""Rows for tests, and what the store holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from azure.data.tables.aio import TableClient

from local.processes import until


def row(value: int = 1, key: str = "k") -> dict[str, Any]:
    return {"PartitionKey": "p", "RowKey": key, "value": value}


def inserts(count: int = 2) -> list[tuple[str, dict[str, Any]]]:
    return [("create", row(n, f"k{n}")) for n in range(count)]


async def stored(table: TableClient) -> list[int]:
    """The values in the table, by row key."""
    return [entity["value"] async for entity in table.list_entities()]


async def eventually(probe: Callable[[], Awaitable[bool]], what: str) -> None:
    await until(probe, within=10, what=what, every=0.01)
