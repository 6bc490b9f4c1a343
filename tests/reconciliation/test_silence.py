"""Silence: REST lists sessions of which push told nothing, and why that most likely is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.emabler.faults.plan import Plan
from local.emabler.faults.rules import Rule
from local.emabler.records import PushConfiguration, PushEndpoint, PushMessage
from shared.chargers.states import WHOLE_CHARGER
from shared.identifiers import bucket_of, identifier_of
from shared.reconciliation.silence import FEWEST, PushSeen, silent
from shared.storage.rows import Row, Upsert
from shared.storage.tables import CHARGERS
from tests.reconciliation.books import NOW
from tests.reconciliation.two_sides import TwoSides, item, start

ENDPOINT = PushEndpoint(id=1, endpoint_type="ServiceBus")
MESSAGE = PushMessage(id=1, endpoint_id=1, message_type="ChargingTransaction")
WHOLE = PushConfiguration(id=3, endpoints=[ENDPOINT], messages=[MESSAGE])


@pytest.fixture
async def sides() -> AsyncIterator[TwoSides]:
    async with TwoSides().going() as found:
        yield found


def sessions(charger: str, first: int = 1, many: int = FEWEST, **fields: Any) -> list[Any]:
    return [
        item(n, charger_id=charger, evse_transaction_id=str(n), **fields)
        for n in range(first, first + many)
    ]


async def test_a_silent_push_is_found_and_gone_when_it_speaks(sides: TwoSides) -> None:
    """Of no session that REST lists push told anything: one finding; gone when one is told."""
    sides.lists_finished(*sessions("CH-1", 1), *sessions("CH-2", 11))

    await sides.look_for_silence(await sides.walk())

    assert sides.open == {("push_silent", "!push")}
    assert len(await sides.listed()) == 2 * FEWEST
    await sides.push(*(start(charger=c, transaction=n) for c, n in (("CH-1", "1"), ("CH-2", "11"))))
    await sides.look_for_silence(await sides.walk())
    assert sides.open == set()


async def test_one_silent_charger_is_told_by_itself(sides: TwoSides) -> None:
    """Others speak: the one that does not is named."""
    sides.lists_finished(*sessions("CH-1", 1), *sessions("CH-2", 11))
    await sides.push(start(charger="CH-2", transaction="11"))

    found = await sides.look_for_silence(await sides.walk())

    assert [each.charger for each in found.findings] == ["CH-1"]


async def test_what_comes_late_meets_what_rest_brought(sides: TwoSides) -> None:
    """Silence ends and everything is told after all: each session once, with both sources."""
    sides.lists_finished(*sessions("CH-1"))
    await sides.walk()

    await sides.push(*(start(transaction=str(n)) for n in range(1, FEWEST + 1)))

    assert [row.columns["sources"] for row in await sides.listed()] == ["start,rest"] * FEWEST


async def test_sessions_that_began_just_now_prove_nothing(sides: TwoSides) -> None:
    """Events of the last half hour may be on their way."""
    sides.lists_finished(*sessions("CH-1", timestamp_start=NOW, timestamp_end=NOW))

    worked = await sides.walk()

    assert worked.push == PushSeen()


@pytest.mark.parametrize(
    ("configurations", "cause"),
    [
        ([], "no_push_configuration"),
        ([PushConfiguration(id=3)], "no_push_endpoint"),
        ([PushConfiguration(id=3, endpoints=[ENDPOINT])], "no_push_messages"),
        ([PushConfiguration(id=3, enabled=False, endpoints=[ENDPOINT])], "push_switched_off"),
        ([WHOLE], "unknown"),
    ],
)
async def test_the_likely_cause_is_read_from_emabler(
    sides: TwoSides, configurations: list[PushConfiguration], cause: str
) -> None:
    """Push configurations, their endpoints and messages tell why nothing comes."""
    sides.lists_finished(*sessions("CH-1"))
    sides.books.put("push_configurations", configurations)

    found = await sides.look_for_silence(await sides.walk())

    assert [each.emabler["cause"] for each in found.findings] == [cause]


async def test_a_missing_permission_is_a_cause_of_its_own(sides: TwoSides) -> None:
    """Who may not read push configurations is told so, and nothing else is harmed."""
    sides.lists_finished(*sessions("CH-1"))
    worked = await sides.walk()
    rule = Rule(fault="permission_missing", on=("push",))
    sides.faults.put(Plan(seed=1).with_rules([rule]))

    found = await sides.look_for_silence(worked)

    assert [each.emabler["cause"] for each in found.findings] == ["permission_missing"]


async def test_a_charger_whose_push_is_off_is_told_so(sides: TwoSides) -> None:
    """The inventory's word on the charger counts before all configurations."""
    sides.lists_finished(*sessions("CH-1", 1), *sessions("CH-2", 11))
    sides.books.put("push_configurations", [WHOLE])
    await sides.push(start(charger="CH-2", transaction="11"))
    bucket = bucket_of("CH-1", sides.buckets)
    row = Row(bucket, f"CH-1|{WHOLE_CHARGER}", {"inventory_push_enabled": False})
    await sides.tables.write(CHARGERS, [Upsert(row)])

    found = await sides.look_for_silence(await sides.walk())

    assert [each.emabler["cause"] for each in found.findings] == ["push_off_at_charger"]


def seen(*told: tuple[str, int, bool]) -> PushSeen:
    """Sessions as a run sees them: charger, number (by which it began), and whether push told."""
    found = PushSeen()
    for charger, number, pushed in told:
        one = PushSeen()
        one.note(charger, f"{charger}|{number}", f"2026-11-02T1{number}", pushed=pushed)
        found.add(one)
    return found


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ([("CH-1", 1, False), ("CH-1", 2, False)], []),
        ([("CH-1", n, False) for n in (1, 2, 2, 1)], []),
        ([("CH-1", n, False) for n in (1, 2, 3)], ["CH-1"]),
        ([("CH-1", 1, False), ("CH-1", 2, False), ("CH-2", 1, False)], [None]),
        ([("CH-1", 1, False), ("CH-1", 2, False), ("CH-2", 1, True)], []),
        ([("CH-1", n, n == 1) for n in (1, 2, 3, 4)], ["CH-1"]),
        ([("CH-1", n, n == 4) for n in (1, 2, 3, 4)], []),
        ([("CH-1", 1, False), ("CH-1", 2, False), ("CH-1", 3, False), ("CH-1", 3, True)], []),
    ],
    ids=["few", "twice", "one", "all", "one speaks", "fell silent", "speaks again", "told late"],
)
def test_what_is_silence(told: list[tuple[str, int, bool]], found: list[str | None]) -> None:
    """Three sessions, each once, after the last that push told of; of all, two chargers at least.

    One or two sessions that push did not tell of are lost events.
    """
    assert list(silent(seen(*told))) == found


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=30))
def test_what_is_held_of_a_charger_decides_as_all_of_its_sessions_do(
    told: list[tuple[int, bool]],
) -> None:
    """However many sessions push missed, three of them are held, and the verdict is the same."""
    found = seen(*(("CH-1", number, pushed) for number, pushed in told))

    heard = max((number for number, pushed in told if pushed), default=-1)
    missed = {number for number, pushed in told if not pushed and number > heard}
    assert len(found.missed["CH-1"]) <= FEWEST
    assert found.since("CH-1") == min(len(missed), FEWEST)


async def test_a_silent_charger_stays_a_finding_while_it_is_silent(sides: TwoSides) -> None:
    """Runs that see one or two of its sessions, or none, say nothing of it; one that is told does.

    Others speak all the while.
    """
    sides.lists_finished(*sessions("CH-1", 1), *sessions("CH-2", 11))
    await sides.push(start(charger="CH-2", transaction="11"))
    worked = await sides.walk()
    await sides.look_for_silence(worked)
    assert {(cls, identifier_of(what[1:])) for cls, what in sides.open} == {
        ("push_silent", "push CH-1")
    }
    known = sides.open

    for told in ([("CH-1", 5, False)], [("CH-1", 5, False), ("CH-1", 6, False)], []):
        worked.push = seen(("CH-2", 1, True), *told)
        await sides.look_for_silence(worked)
        assert sides.open == known

    worked.push = seen(("CH-1", 7, True))
    await sides.look_for_silence(worked)
    assert sides.open == set()
