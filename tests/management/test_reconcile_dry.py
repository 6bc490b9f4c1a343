"""`reconcile --dry-run`: its exit code tells whether a run would write; it writes nothing."""

from __future__ import annotations

import json

import httpx
import pytest

from shared.instants import parse_instant
from shared.storage.tables import ALL_TABLES, STORE
from tests.emabler.rest import client, page_of
from tests.management.operator import Operator

END = "2026-11-02T12:30:00.000000Z"
ITEM = {
    "id": 9,
    "chargerId": "CH-0099",
    "evseTransactionId": "77",
    "timestampStart": "2026-11-02T10:00:00Z",
    "timestampEnd": END,
    "fullConsumptionWh": 12_000,
}
DRY = ("reconcile", "--from", "2026-11-02", "--to", "2026-11-03", "--dry-run", "--json")


class Rest:
    """One finished session, listed where its end is asked for."""

    def __init__(self) -> None:
        self.items = [ITEM]
        self.poison = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        begin, end = (
            parse_instant(asked.get(name, "")) for name in ("stopTimeSearchBegin", "stopTime")
        )
        ended = parse_instant(END)
        assert begin is not None
        assert end is not None
        assert ended is not None
        if self.poison and begin <= ended <= end:
            return httpx.Response(500)
        return page_of(*(self.items if begin <= ended <= end else []))


@pytest.fixture
def rest() -> Rest:
    return Rest()


@pytest.fixture
def fresh(rest: Rest) -> Operator:
    """An operator with an empty store that was never written to."""
    operator = Operator()
    operator.settings |= {"EMABLER_API_KEY": "key", "RECONCILE_SCHEDULE": "0 */15 * * * *"}
    operator.emabler = lambda: client(rest, retry_seconds=0)
    return operator


async def test_history_that_a_run_would_write_is_no_agreement(fresh: Operator) -> None:
    """No finding, but a session that the store lacks: exit 1. Nothing is written, no stamp either.

    What there is to be told is counted.
    """
    ran = await fresh.run(*DRY)

    assert (ran.code, ran.rows) == (1, [])
    assert "1 session compared (history 1)" in ran.err
    assert [row for table in ALL_TABLES for row in fresh.tables.rows(table)] == []


async def test_a_store_that_agrees_is_told_so(fresh: Operator, rest: Rest) -> None:
    """Where eMabler lists nothing and the store has nothing, a run would write nothing: exit 0."""
    rest.items = []

    ran = await fresh.run(*DRY)

    assert (ran.code, ran.rows) == (0, [])
    assert fresh.tables.rows(STORE) == []


@pytest.mark.parametrize("arguments", [DRY, [each for each in DRY if each != "--dry-run"]])
async def test_a_stretch_that_is_left_out_is_told(
    fresh: Operator, rest: Rest, arguments: list[str]
) -> None:
    """EMabler fails over a row: exit 1, and the quarter of an hour left out is named."""
    rest.poison = True

    ran = await fresh.run(*arguments)

    assert ran.code == 1
    told = "2026-11-02T12:30:00.000000Z to 2026-11-02T12:45:00.000000Z"
    assert told in ran.err
