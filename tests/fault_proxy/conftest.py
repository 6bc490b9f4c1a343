"""A proxy in front of the shared Azurite, a table of its own, and the SDK's clients for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from azure.data.tables.aio import TableClient

from local.azurite import Azurite
from local.fault_proxy.proxy import FaultProxy


@pytest.fixture
async def proxy(azurite: Azurite) -> AsyncIterator[FaultProxy]:
    """A proxy without rules."""
    async with await FaultProxy.start(azurite, seed=7) as proxy:
        yield proxy


@asynccontextmanager
async def _client(connection: str, table: str, **options: Any) -> AsyncIterator[TableClient]:
    async with TableClient.from_connection_string(connection, table, **options) as client:
        yield client


@pytest.fixture
async def direct(azurite: Azurite) -> AsyncIterator[TableClient]:
    """The new table past the proxy, to see what the store holds."""
    async with _client(azurite.connection_string, f"t{uuid4().hex}") as client:
        await client.create_table()
        yield client


@pytest.fixture
async def app(proxy: FaultProxy, direct: TableClient) -> AsyncIterator[TableClient]:
    """The same table through the proxy, with the retries of the SDK, hurried."""
    async with _client(
        proxy.connection_string, direct.table_name, retry_total=3, retry_backoff_factor=0.01
    ) as client:
        yield client


@pytest.fixture
async def bare(proxy: FaultProxy, direct: TableClient) -> AsyncIterator[TableClient]:
    """The same table through the proxy, without the retries of the SDK."""
    async with _client(proxy.connection_string, direct.table_name, retry_total=0) as client:
        yield client


@pytest.fixture
async def hasty(proxy: FaultProxy, direct: TableClient) -> AsyncIterator[TableClient]:
    """The same, giving up after 0.3 s: for calls that get no answer in any time."""
    async with _client(
        proxy.connection_string, direct.table_name, retry_total=0, read_timeout=0.3
    ) as client:
        yield client
