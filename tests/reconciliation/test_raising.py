"""A run that writes anew what one before it may still be writing tells only what that left out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from local.emabler.records import FinishedSession
from shared.emabler.calls import FinishedSessionsQuery
from shared.emabler.client import EmablerClient
from shared.emabler.paging import Page
from shared.errors import RestUnavailableError
from shared.reconciliation.finding_reading import FindingFilter, read_findings
from tests.reconciliation.books import NOW
from tests.reconciliation.two_sides import ALL, DAY, TwoSides, item, stop

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
async def sides() -> AsyncIterator[TwoSides]:
    async with TwoSides().going() as found:
        yield found


def ended(number: int) -> FinishedSession:
    end = NOW + HOUR + number * MINUTE
    told = {"evse_transaction_id": str(number), "timestamp_start": end - HOUR}
    return item(number, **told, timestamp_end=end)


async def repairs(sides: TwoSides) -> dict[str | None, str]:
    """Of which transactions it is told that they were missing in the store, and since when."""
    wanted = FindingFilter(classes=[ALL.MISSING_IN_STORE])
    found = [known async for known, _ in read_findings(sides.tables, wanted)]
    return {known.finding.transaction: str(known.first) for known in found}


async def test_what_was_told_as_mended_is_not_told_anew(
    sides: TwoSides, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run ends within a window's look-ups: of that window only what was not told yet is new."""
    await sides.reconcile()
    sides.clock.advance(hours=3)
    sides.lists_finished(*map(ended, range(1, 10)))
    assert (await sides.reconcile()).new["missing_in_store"] == 9
    before = await repairs(sides)
    sides.clock.advance(days=1, hours=2)
    sides.lists_finished(ended(10))
    await sides.push(stop(transaction="77", end=NOW + HOUR))
    asks = EmablerClient.finished_sessions

    async def away(self: EmablerClient, query: FinishedSessionsQuery, **how: Any) -> Page:
        if query.transactions:
            raise RestUnavailableError("away")
        return await asks(self, query, **how)

    with monkeypatch.context() as patched:
        patched.setattr(EmablerClient, "finished_sessions", away)
        with pytest.raises(RestUnavailableError):
            await sides.reconcile()
    assert await repairs(sides) == before
    assert len(await sides.listed()) == 11
    assert (await sides.standing()).abandoned
    sides.clock.advance(minutes=15)

    run = await sides.reconcile()

    assert run.new["missing_in_store"] == 1
    assert await repairs(sides) == before | {"10": str((NOW + DAY).date())}
    assert not (await sides.standing()).abandoned
