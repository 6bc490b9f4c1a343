"""What all tests share: Azurite, started once when the first test asks for it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from local.azurite import Azurite

# Two busy cores draw slowly now and then: that is no finding. CI repeats the same examples.
settings.register_profile(
    "here",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("here")

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
async def azurite(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Azurite]:
    """Microsoft's storage emulator on free ports, empty."""
    node = os.environ.get("NODE", "node")
    async with await Azurite.start(tmp_path_factory.mktemp("azurite"), node=node) as azurite:
        yield azurite
