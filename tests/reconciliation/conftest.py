"""What the tests of the ledger share: a store of either kind, and a clock held in the hand."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from local.azurite import Azurite
from tests.reconciliation.books import Clock
from tests.stores import InMemory, OnAzurite, Stores


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "azurite"])
async def stores(request: pytest.FixtureRequest, azurite: Azurite) -> AsyncIterator[Stores]:
    made: Stores = InMemory() if request.param == "memory" else OnAzurite(azurite)
    yield made
    await made.close()
