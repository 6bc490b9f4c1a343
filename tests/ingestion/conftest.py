"""What the tests of ingestion share: both kinds of store."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from local.azurite import Azurite
from tests.stores import InMemory, OnAzurite, Stores


@pytest.fixture(scope="module", params=["memory", "azurite"])
async def stores(request: pytest.FixtureRequest, azurite: Azurite) -> AsyncIterator[Stores]:
    """Makers of empty stores: the fake's, then Azurite's."""
    made: Stores = InMemory() if request.param == "memory" else OnAzurite(azurite)
    yield made
    await made.close()
