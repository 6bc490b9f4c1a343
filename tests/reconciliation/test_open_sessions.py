"""Open sessions against those that eMabler lists as going on: found, never closed by invention."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from local.emabler.faults.plan import Plan
from local.emabler.faults.rules import Rule
from shared.errors import BudgetSpentError
from shared.instants import format_instant
from shared.reconciliation.means import Worked
from shared.reconciliation.open_sessions import OpenSessionsWork
from shared.reconciliation.spans import Budget
from shared.sessions.indexes import OPEN_ROWS
from shared.storage.requests import counted
from tests.reconciliation.books import NOW
from tests.reconciliation.two_sides import DAY, END, START, TwoSides, item, ongoing, start, stop

ABOUT = "CH-1|7"
HOUR = timedelta(hours=1)


@pytest.fixture
async def sides() -> AsyncIterator[TwoSides]:
    async with TwoSides().going() as found:
        yield found


async def test_an_open_session_that_goes_on_is_no_finding(sides: TwoSides) -> None:
    """Store and eMabler agree: nothing is written, and no session is read."""
    await sides.push(start())
    sides.lists_ongoing(ongoing())

    with counted() as requests:
        worked = await sides.look_at_open()

    assert requests.by_purpose == {"sessions_range": sides.buckets}
    assert (worked.findings, worked.repaired, worked.compared) == ([], [], {ABOUT})
    assert len(sides.books.calls) == 1


async def test_a_session_that_is_open_for_too_long_is_found_and_stays_open(
    sides: TwoSides,
) -> None:
    """EMabler lists it still, after more hours than are usual: a finding, until it ends."""
    await sides.push(start())
    sides.lists_ongoing(ongoing())
    sides.clock.advance(hours=22)

    await sides.look_at_open()

    assert sides.open == {("open_too_long", ABOUT)}
    assert sides.index(OPEN_ROWS) == [f"{OPEN_ROWS}{ABOUT}"]
    await sides.push(stop())
    await sides.look_at_open()
    assert sides.open == set()


async def test_what_emabler_lists_nowhere_is_found_and_no_tap_counts_it(sides: TwoSides) -> None:
    """Neither ongoing nor finished, each asked for: it stays open, and its tag is free."""
    await sides.push(start())

    await sides.look_at_open()

    assert sides.open == {("open_not_at_emabler", ABOUT)}
    assert (await sides.summary())["state"] == "open"
    assert await sides.open_for("T1") == ()
    before = sides.rows
    await sides.look_at_open()
    assert sides.rows == before


async def test_what_emabler_lists_again_counts_again(sides: TwoSides) -> None:
    """The list had it not, and has it now: the finding goes, and taps count the session."""
    await sides.push(start())
    await sides.look_at_open()
    sides.lists_ongoing(ongoing())

    await sides.look_at_open()

    assert sides.open == set()
    assert [each.session for each in await sides.open_for("T1")] == [ABOUT]


async def test_a_later_start_of_an_id_opens_the_session_again(sides: TwoSides) -> None:
    """What ended was the beginning that was told: a later one counts."""
    await sides.push(start())
    await sides.look_at_open()

    await sides.push(start(start=NOW))

    assert [each.session for each in await sides.open_for("T1")] == [ABOUT]


async def test_what_began_just_now_is_not_asked_for(sides: TwoSides) -> None:
    """EMabler's list may be behind: a session of the last hour is nothing to wonder at."""
    await sides.push(start(start=NOW - HOUR + timedelta(seconds=1)))

    worked = await sides.look_at_open()

    assert (sides.open, worked.compared, len(sides.books.calls)) == (set(), set(), 1)


async def test_a_session_that_the_walk_missed_is_asked_for_once_more(sides: TwoSides) -> None:
    """Rows move between pages: one that the walk skips is in its charger's one whole page."""
    names = [(f"CH-{n}", str(n)) for n in range(1, 4)]
    await sides.push(*(start(transaction=number, charger=name) for name, number in names))
    sides.lists_ongoing(
        *(ongoing(transaction_id=number, charger_id=name) for name, number in names)
    )
    async with sides.going(list_page_size=2):
        rule = Rule(fault="moving_pages", how="removed", rows=1, first=2, last=2)
        sides.faults.put(Plan(seed=1).with_rules([rule]))
        await sides.look_at_open()

    assert sides.open == set()
    assert len(sides.books.calls) == 3


async def test_an_open_session_of_an_id_that_each_charger_has_is_asked_for_at_its_own(
    sides: TwoSides,
) -> None:
    """EMabler finished sessions of this id at many chargers: this one's is one request away."""
    sides.lists_finished(
        *(item(n, charger_id=f"CH-{n}", timestamp_end=END - n * DAY) for n in range(1, 300))
    )
    await sides.push(start())

    worked = await sides.look_at_open()

    assert (dict(worked.counts), sides.open) == ({"confirmed": 1}, set())
    # The list itself, the charger in it, the session among the finished ones.
    assert len(sides.books.calls) == 3


async def test_a_finished_session_whose_stop_was_lost_ends(sides: TwoSides) -> None:
    """It is found among the finished ones by its id, whenever it ended: no finding, and ended."""
    await sides.push(start())
    sides.lists_finished(item(timestamp_end=END + 300 * DAY))

    worked = await sides.look_at_open()

    assert (sides.open, dict(worked.counts)) == (set(), {"confirmed": 1})
    assert (await sides.summary())["state"] == "ended"
    assert await sides.open_for("T1") == ()


async def test_a_session_with_a_long_id_is_asked_for_as_any_other(sides: TwoSides) -> None:
    """Its key holds hashes of charger and transaction: both are asked for by what they are."""
    charger, transaction = "Ladesäule Süd / Parkhaus Ökologie" * 3, "7" * 120
    begun = start(charger=charger, transaction=transaction)
    lone = start(charger=charger, transaction="-1", socket=2)
    await sides.push(begun, lone)
    sides.clock.advance(days=1)
    await sides.look_at_open()
    assert sides.open == {("open_not_at_emabler", begun.session), ("unpaired", lone.session)}

    sides.lists_finished(
        item(charger_id=charger, evse_transaction_id=transaction, timestamp_end=END + 300 * DAY),
        item(10, charger_id=charger, evse_transaction_id="-1", socket_id=2),
    )
    await sides.look_at_open()

    assert sides.open == set()
    assert [row.columns["state"] for row in await sides.listed()] == ["ended", "ended"]


async def test_an_ongoing_session_that_the_store_lacks_is_written_as_rest_tells(
    sides: TwoSides,
) -> None:
    """Its start was lost: it is open in the store, a tap counts it, and push's word takes over."""
    sides.lists_ongoing(ongoing())

    worked = await sides.look_at_open()

    (found,) = worked.repaired
    assert (found.cls, found.session) == ("ongoing_missing_in_store", ABOUT)
    summary = await sides.summary()
    assert (summary["state"], summary["sources"], summary["meter_start_wh"]) == (
        "open",
        "ongoing",
        500.0,
    )
    assert [each.session for each in await sides.open_for("T1")] == [ABOUT]
    assert (await sides.look_at_open()).repaired == []
    await sides.push(start(meter_start_wh=501.0))
    summary = await sides.summary()
    assert (summary["sources"], summary["meter_start_wh"]) == ("start", 501.0)
    await sides.push(stop())
    assert (await sides.summary())["sources"] == "start,stop"
    assert await sides.open_for("T1") == ()


async def test_an_ongoing_session_that_ended_in_the_store_stays_ended(sides: TwoSides) -> None:
    """Push told of its end before eMabler's list knew: nothing is written."""
    await sides.push(start(), stop())
    sides.lists_ongoing(ongoing())
    before = sides.rows

    await sides.look_at_open()

    assert (sides.rows, sides.open) == (before, set())


async def test_a_start_without_an_id_is_what_emabler_lists_there(sides: TwoSides) -> None:
    """EMabler lists it with an id or with none: one open session, and no finding."""
    await sides.push(start(transaction="-1"))
    sides.lists_ongoing(ongoing(transaction_id="-1"))
    await sides.look_at_open()
    assert len(await sides.listed()) == 1

    sides.lists_ongoing(ongoing(start_time=format_instant(START + timedelta(seconds=1))))
    await sides.look_at_open()

    summary = await sides.summary()
    assert (summary["transaction"], summary["sources"], summary["state"]) == ("7", "start", "open")
    assert [each.session for each in await sides.open_for("T1")] == [ABOUT]
    assert sides.open == set()


@pytest.mark.parametrize("transaction", ["-1", "77"])
async def test_a_start_without_an_id_meets_what_finished(sides: TwoSides, transaction: str) -> None:
    """After the grace time eMabler is asked by charger and start: the two become one session."""
    await sides.push(start(transaction="-1"))
    sides.lists_finished(item(evse_transaction_id=transaction))
    sides.clock.advance(days=1)

    await sides.look_at_open()

    summary = await sides.summary()
    assert (summary["transaction"], summary["sources"]) == (transaction, "start,rest")
    assert (sides.open, await sides.open_for("T1")) == (set(), ())


async def test_a_start_that_belongs_to_nothing_is_unpaired_after_the_grace_time(
    sides: TwoSides,
) -> None:
    """Nobody lists it anywhere: a finding, until its stop comes."""
    lone = start(transaction="-1")
    await sides.push(lone)
    await sides.look_at_open()
    assert sides.open == set()
    sides.clock.advance(days=1)

    await sides.look_at_open()

    assert sides.open == {("unpaired", lone.session)}
    assert await sides.open_for("T1") == ()
    await sides.push(replace(stop(), transaction="-1"))
    await sides.walk()
    await sides.look_at_open()
    assert ("unpaired", lone.session) not in sides.open
    assert len(await sides.listed()) == 1


async def test_a_dry_run_of_open_sessions_writes_nothing(sides: TwoSides) -> None:
    """What would be found is told, and no row is written."""
    await sides.push(start(), start(transaction="-1"))
    sides.lists_ongoing(ongoing(transaction_id="8", charger_id="CH-2"))
    sides.clock.advance(days=1)
    before = sides.rows

    worked = await sides.look_at_open(dry_run=True)

    assert sides.rows == before
    assert {found.cls for found in worked.findings} == {"open_not_at_emabler", "unpaired"}
    assert [found.cls for found in worked.repaired] == ["ongoing_missing_in_store"]


async def test_the_list_alone_is_asked_for_between_the_daily_looks(sides: TwoSides) -> None:
    """Each hour only the ongoing list is read: what is not in it is nobody's finding yet."""
    await sides.push(start())

    worked = await sides.look_at_open(asks=False)

    assert (worked.findings, len(sides.books.calls)) == ([], 1)


async def test_what_nobody_knows_any_more_is_not_asked_for_for_ever(sides: TwoSides) -> None:
    """After 35 days its finding stands, and costs nothing."""
    await sides.push(start())
    sides.clock.advance(days=36)
    await sides.look_at_open()
    sides.books.calls.clear()

    worked = await sides.look_at_open()

    assert (worked.compared, len(sides.books.calls)) == (set(), 1)
    assert sides.open == {("open_not_at_emabler", ABOUT)}


@pytest.mark.parametrize("transaction", ["7", "-1"])
async def test_what_emabler_lists_no_more_after_many_days_is_asked_for(
    sides: TwoSides, transaction: str
) -> None:
    """Listed as ongoing for 36 days, it was open for too long; now it is listed nowhere."""
    begun = start(transaction=transaction)
    await sides.push(begun)
    sides.lists_ongoing(ongoing(transaction_id=transaction))
    sides.clock.advance(days=36)
    await sides.look_at_open()
    assert sides.open == {("open_too_long", begun.session)}
    sides.lists_ongoing()
    sides.clock.advance(days=1)

    await sides.look_at_open()

    cls = "open_not_at_emabler" if transaction == "7" else "unpaired"
    assert sides.open == {(cls, begun.session)}
    assert await sides.open_for("T1") == ()
    sides.books.calls.clear()
    await sides.look_at_open()
    assert len(sides.books.calls) == 1


async def nameless(sides: TwoSides, many: int, **fields: Any) -> None:
    """So many starts without an id, a minute apart each."""
    starts = (START + timedelta(minutes=n) for n in range(many))
    await sides.push(*(start(**{"transaction": "-1", "start": at} | fields) for at in starts))


async def test_a_round_that_is_cut_short_goes_on_where_it_stopped(sides: TwoSides) -> None:
    """What came of each part stands, and the next look asks for the others only."""
    await nameless(sides, 12)
    sides.clock.advance(days=1, hours=1)
    budget = Budget(sides.client.counts, requests=8)
    work = OpenSessionsWork(sides.means)
    first: list[Worked] = []

    async def cut_short() -> None:
        async for worked in work.work(sides.clock(), budget=budget):
            first.append(worked)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(BudgetSpentError):
        await cut_short()
    after = first[-1].after
    assert after
    second = [each async for each in work.work(sides.clock(), after=after)]

    one, other = ({f.session for each in part for f in each.findings} for part in (first, second))
    assert one
    assert one.isdisjoint(other)
    assert len(one | other) == 12
    assert second[-1].after is None


async def test_a_known_start_without_an_id_is_asked_for_weekly(sides: TwoSides) -> None:
    """After some days each is asked for on one day of seven, and met again on that."""
    await nameless(sides, 14)
    sides.clock.advance(days=4)
    await sides.look_at_open()
    assert len(sides.open) == 14
    sides.books.calls.clear()
    met: list[str | None] = []

    for _ in range(7):
        sides.clock.advance(days=1)
        worked = await sides.look_at_open()
        met += [each.session for each in worked.findings]

    assert len(met) == len(set(met)) == 14
    # The list on each day, a charger's own list for each part, and one question for each start.
    assert len(sides.books.calls) <= 7 + 7 + 14
    assert len(sides.open) == 14


async def test_what_is_open_for_too_long_is_not_counted_anew_each_hour(sides: TwoSides) -> None:
    """Taps count it all the while: nothing is read or deleted for that."""
    await sides.push(start())
    sides.lists_ongoing(ongoing())
    sides.clock.advance(hours=22)
    await sides.look_at_open()
    assert sides.open == {("open_too_long", ABOUT)}

    with counted() as requests:
        await sides.look_at_open(asks=False)

    assert requests.by_purpose == {"sessions_range": sides.buckets}


@pytest.mark.parametrize("asked", [True, False], ids=["asked for by its id", "in its window"])
async def test_what_only_the_list_brought_is_repaired_when_it_ends(
    sides: TwoSides,
    asked: bool,  # noqa: FBT001 - a parameter
) -> None:
    """Push told neither of its start nor of its end: REST's word of the end confirms nothing."""
    sides.lists_ongoing(ongoing())
    await sides.look_at_open()
    sides.lists_ongoing()
    sides.lists_finished(item())

    worked = await sides.look_at_open() if asked else await sides.walk()

    assert dict(worked.counts) == {"repaired": 1}
    assert [each.cls for each in worked.repaired] == ["missing_in_store"]
    assert (await sides.summary())["sources"] == "rest"
