"""What the tests of the commands share: an operator whose store holds a day."""

from __future__ import annotations

import pytest

from tests.management.operator import ONE_DAY, Operator


@pytest.fixture
async def operator() -> Operator:
    operator = Operator()
    await operator.ingest(*ONE_DAY)
    return operator
