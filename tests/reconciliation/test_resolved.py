"""What an operator resolved: it stays so while it lasts, and what comes again after it is new."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from itertools import count, islice

import pytest

from local.emabler.faults.plan import Plan
from local.emabler.faults.rules import read_rule
from shared.errors import RestRefusedError
from shared.reconciliation.finding_reading import FindingFilter, read_findings, resolve
from shared.reconciliation.findings import FindingClass, Known, State
from tests.reconciliation.books import NOW
from tests.reconciliation.two_sides import ALL, TwoSides, item, ongoing, start, stop

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
async def sides() -> AsyncIterator[TwoSides]:
    async with TwoSides().going() as found:
        yield found


async def resolve_all(sides: TwoSides) -> None:
    wanted = FindingFilter(states=[State.OPEN])
    for known, row in [each async for each in read_findings(sides.tables, wanted)]:
        assert await resolve(sides.tables, known, row, who="anna", note="seen", clock=sides.clock)


async def states(sides: TwoSides, cls: FindingClass) -> list[str]:
    wanted = FindingFilter(classes=[cls])
    return sorted([str(known.state) async for known, _ in read_findings(sides.tables, wanted)])


async def gone(sides: TwoSides) -> list[Known]:
    wanted = FindingFilter(states=[State.GONE])
    return [known async for known, _ in read_findings(sides.tables, wanted)]


async def later(sides: TwoSides, **by: float) -> dict[str, int]:
    """The next run: what it tells as new, whatever was refused to it."""
    sides.clock.advance(**by)
    reconciliation = sides.reconciliation()
    run = reconciliation.begin(holder="timer")
    with suppress(RestRefusedError):
        await reconciliation.run(run)
    return {str(cls): count for cls, count in run.new.items() if count}


async def test_a_permission_that_is_lost_again_is_told_again(sides: TwoSides) -> None:
    """Refused still after somebody resolved it, nothing is told; granted and lost again, it is."""
    refused = Plan(seed=7).with_rules([read_rule("permission_missing=1 on=ongoing")])
    sides.faults.put(refused)
    assert await later(sides) == {"permission_missing": 1}
    await resolve_all(sides)
    for _ in range(3):
        assert await later(sides, minutes=75) == {}
    assert await states(sides, ALL.PERMISSION_MISSING) == ["resolved"]

    sides.faults.put(Plan(seed=7))
    assert await later(sides, minutes=75) == {}
    assert await states(sides, ALL.PERMISSION_MISSING) == ["gone"]
    assert [(each.who, each.note) for each in await gone(sides)] == [("anna", "seen")]

    sides.faults.put(refused)
    assert await later(sides, minutes=75) == {"permission_missing": 1}
    assert await states(sides, ALL.PERMISSION_MISSING) == ["gone", "open"]


async def test_a_silence_that_comes_again_is_told_again(sides: TwoSides) -> None:
    """Push was silent, somebody resolved that, push spoke, and fell silent once more."""
    numbers = count(1)

    async def told(*, pushed: bool = False) -> bool:
        """Whether a run tells silence as new, of six sessions since the one before."""
        end = sides.clock() + HOUR
        for number in islice(numbers, 6):
            charger, transaction = f"CH-{number % 2}", str(number)
            named = {"charger_id": charger, "evse_transaction_id": transaction}
            sides.lists_finished(
                item(number, **named, timestamp_start=end - HOUR, timestamp_end=end)
            )
            if pushed:
                begun = {"charger": charger, "transaction": transaction, "start": end - HOUR}
                await sides.push(start(**begun), stop(**begun, end=end))
        return "push_silent" in await later(sides, hours=2)

    await later(sides)
    assert await told()
    await resolve_all(sides)
    assert not await told()
    assert await states(sides, ALL.PUSH_SILENT) == ["resolved"]
    assert not await told(pushed=True)
    assert await states(sides, ALL.PUSH_SILENT) == ["gone"]

    assert True in [await told() for _ in range(3)]

    assert "open" in await states(sides, ALL.PUSH_SILENT)


async def test_a_lie_that_was_resolved_has_one_name_and_is_told_again_once_it_was_over(
    sides: TwoSides,
) -> None:
    """Walks cut elsewhere each time: it is no other lie for that, until an answer was true."""
    await later(sides)
    sides.lying = (NOW + 9 * MINUTE, NOW + 10 * MINUTE)
    assert await later(sides, minutes=40) == {"answer_wrong": 1}
    await resolve_all(sides)
    for minutes in (17, 31, 15, 60):
        assert await later(sides, minutes=minutes) == {}

    sides.lying = None
    await later(sides, minutes=15)
    assert await states(sides, ALL.ANSWER_WRONG) == ["gone"]
    sides.lying = (NOW + 2 * HOUR, NOW + 3 * HOUR)
    assert "answer_wrong" in await later(sides, minutes=30)


async def test_a_session_that_was_lost_again_is_missing_again(sides: TwoSides) -> None:
    """Somebody resolved that eMabler lacks it; then eMabler listed it, and lost it once more."""
    await sides.push(start(), stop())
    await later(sides, days=1, hours=1)
    assert await sides.open_findings() == {"missing_at_emabler": ["CH-1|7"]}
    await resolve_all(sides)
    sides.lists_finished(item())
    assert await later(sides, days=1, hours=1) == {}
    assert await states(sides, ALL.MISSING_AT_EMABLER) == ["gone"]
    sides.books.put("sessions", ())

    for _ in range(9):
        await later(sides, days=1)

    assert await states(sides, ALL.MISSING_AT_EMABLER) == ["gone", "open"]


async def test_an_open_session_that_is_unlisted_again_is_told_again(sides: TwoSides) -> None:
    """Listed as ongoing in between, it counted for taps: that it does so no more is news."""
    await sides.push(start())
    assert await later(sides) == {"open_not_at_emabler": 1}
    await resolve_all(sides)
    assert await later(sides, days=1) == {}
    sides.lists_ongoing(ongoing())
    assert "open_not_at_emabler" not in await later(sides, hours=1)
    sides.lists_ongoing()

    assert await later(sides, days=1) == {"open_not_at_emabler": 1}


async def test_a_difference_that_was_judged_stays_so_while_emabler_lists_nothing(
    sides: TwoSides,
) -> None:
    """The session vanished and came back with the values that somebody judged: no news."""
    await sides.push(start(), stop(energy_wh=9_000.0))
    sides.lists_finished(item())
    await later(sides)
    assert await sides.open_findings() == {"energy_differs": ["CH-1|7"]}
    await resolve_all(sides)
    sides.books.put("sessions", ())
    for _ in range(3):
        await later(sides, days=1)
    assert await sides.open_findings() == {"missing_at_emabler": ["CH-1|7"]}
    sides.lists_finished(item())

    for _ in range(9):
        assert await later(sides, days=1) == {}

    assert await states(sides, ALL.ENERGY_DIFFERS) == ["resolved"]
