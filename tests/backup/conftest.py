"""What the tests of backups share: a store in memory, and one on Azurite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from local.azurite import Azurite
from shared.settings import read_settings
from shared.storage.beside import PrefixedBlobs, PrefixedTables
from shared.storage.connect import connect_blobs, connect_tables
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.stamp import create_containers, create_store
from shared.storage.tables import ALL_TABLES
from tests.backup.stores import Clock, Store


@pytest.fixture
async def memory() -> Store:
    """A store in memory."""
    clock = Clock()
    store = Store(MemoryTables(*ALL_TABLES, clock=clock), MemoryBlobs(*ALL_CONTAINERS), clock)
    await create_store(store.tables, environment="test", buckets=4)
    return store


@pytest.fixture(params=["memory", "azurite"])
async def store(
    request: pytest.FixtureRequest, azurite: Azurite, memory: Store
) -> AsyncIterator[Store]:
    """An empty store of each kind; Azurite's begins with a prefix of its own."""
    if request.param == "memory":
        yield memory
        return
    settings = read_settings({"DataStorageConnection": azurite.connection_string})
    tables, blobs = connect_tables(settings), connect_blobs(settings)
    prefix = f"b{uuid4().hex[:12]}"
    made = Store(PrefixedTables(tables, prefix), PrefixedBlobs(blobs, prefix))
    await create_store(made.tables, environment="test", buckets=4)
    await create_containers(made.blobs)
    yield made
    await tables.close()
    await blobs.close()
