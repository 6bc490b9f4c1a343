"""A whole run: the front, what is behind it, its lease, and what it leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.emabler.faults.plan import Plan
from local.emabler.faults.rules import read_rule
from local.emabler.records import FinishedSession
from shared.emabler.calls import FinishedSessionsQuery
from shared.emabler.client import EmablerClient
from shared.emabler.models.reading import Drift
from shared.emabler.paging import Page
from shared.errors import (
    LeaseHeldError,
    LeaseLostError,
    RestRefusedError,
    RestUnavailableError,
    StoreUnavailableError,
)
from shared.instants import format_instant
from shared.reconciliation.finding_reading import FindingFilter, read_findings, resolve
from shared.reconciliation.findings import State
from shared.reconciliation.ledger import Ledger
from shared.reconciliation.passes import Pass, Schedule
from shared.reconciliation.runs import Outcome, RunRow, read_runs
from shared.reconciliation.shelf import read_windows
from shared.reconciliation.spans import Span
from shared.reconciliation.windows import Window, proof
from shared.storage.requests import counted
from shared.storage.tables import RECONCILIATION, SESSIONS
from tests.reconciliation.books import NOW
from tests.reconciliation.two_sides import DAY, TwoSides, item, ongoing, start, stop
from tests.simulation.store import WorkerStoppedError

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
RUN = timedelta(minutes=15)


@pytest.fixture
async def sides() -> AsyncIterator[TwoSides]:
    sides = TwoSides()
    async with sides.going(page_size=3):
        yield sides


def ended(number: int, end: datetime, **fields: Any) -> FinishedSession:
    """A finished session that ended then."""
    return item(
        number,
        evse_transaction_id=str(number),
        timestamp_start=end - HOUR,
        timestamp_end=end,
        **fields,
    )


def rules(sides: TwoSides, *lines: str) -> None:
    sides.faults.put(Plan(seed=7).with_rules(map(read_rule, lines)))


async def transactions(sides: TwoSides) -> set[str]:
    return {str(row.columns["transaction"]) for row in await sides.listed()}


async def runs(sides: TwoSides) -> list[RunRow]:
    return [run async for run in read_runs(sides.tables)]


async def windows(sides: TwoSides) -> list[Window]:
    span = (NOW - 400 * DAY, NOW + 400 * DAY)
    return [window async for window in read_windows(sides.tables, *span)]


async def test_the_first_run_moves_the_front_to_now_less_the_settling_time(
    sides: TwoSides,
) -> None:
    """Three days are proven in pictures without a gap, and what they held is in the store."""
    sides.lists_finished(*(ended(n, NOW - n * HOUR) for n in range(1, 60)))

    run = await sides.reconcile()

    assert run.complete
    assert (await sides.standing()).front == run.front == NOW - 2 * MINUTE
    assert len(await transactions(sides)) == 59
    stretches = proof(await windows(sides), NOW - 3 * DAY - 2 * MINUTE, NOW - 2 * MINUTE)
    assert [each.as_of for each in stretches] == [NOW]


async def test_the_next_run_walks_from_the_front_less_the_overlap(sides: TwoSides) -> None:
    """What is proven is not walked again, but for an hour in which sessions may appear late."""
    await sides.reconcile()
    sides.clock.advance(minutes=15)
    sides.lists_finished(
        ended(1, NOW - 2 * MINUTE - HOUR + timedelta(seconds=5)), ended(2, NOW - 2 * HOUR)
    )

    run = await sides.reconcile()

    assert await transactions(sides) == {"1"}
    assert run.passes == {"front": 1}
    assert run.front == NOW + 13 * MINUTE


async def test_a_run_with_nothing_new_writes_no_session_and_no_finding(sides: TwoSides) -> None:
    """The second run of a day changes lease, runs and windows, and nothing else."""
    await sides.push(start(), stop(energy_wh=9_000.0))
    sides.lists_finished(item(), ended(2, NOW - HOUR))
    await sides.reconcile()
    before = [row for row in sides.rows if row[0] != RECONCILIATION]
    findings = await sides.open_findings()
    assert findings == {"energy_differs": ["CH-1|7"]}
    sides.clock.advance(minutes=15)

    with counted() as requests:
        run = await sides.reconcile()

    assert run.sessions == {"unchanged": 2}
    assert [row for row in sides.rows if row[0] != RECONCILIATION] == before
    assert (await sides.open_findings(), run.new) == (findings, {})
    assert not any(name.startswith("sessions_write") for name in requests.by_purpose)


async def test_what_ended_before_the_first_run_is_history(sides: TwoSides) -> None:
    """A first load makes no finding of what nobody could have told; later losses are findings."""
    sides.lists_finished(ended(1, NOW - HOUR))
    first = await sides.reconcile()
    sides.clock.advance(hours=1)
    sides.lists_finished(ended(2, NOW + 30 * MINUTE))

    second = await sides.reconcile()

    assert (first.sessions["history"], first.new) == (1, {})
    assert second.sessions["repaired"] == 1
    assert second.new == {"missing_in_store": 1}


@pytest.mark.parametrize(
    ("end", "within"),
    [
        (NOW - 2 * DAY, DAY + RUN),
        (NOW - 20 * DAY, 7 * DAY + RUN),
        (datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), DAY + RUN),
        (datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC), DAY + RUN),
    ],
    ids=["two days late", "twenty days late", "in 1970", "in 2038"],
)
async def test_what_appears_behind_the_front_is_found_in_its_period(
    sides: TwoSides, end: datetime, within: timedelta
) -> None:
    """A session that appears days late, or ends in 1970 or 2038, is found by the walk for it."""
    await sides.reconcile()
    sides.clock.advance(minutes=15)
    await sides.reconcile()
    sides.lists_finished(ended(1, end))
    appeared = sides.clock()

    while not await transactions(sides):
        sides.clock.advance(minutes=15)
        await sides.reconcile()
        assert sides.clock() - appeared <= within


async def test_a_session_that_changes_after_a_week_is_found_within_another(
    sides: TwoSides,
) -> None:
    """The weekly walk meets the answer that is another one, keeps it, and says so."""
    sides.lists_finished(ended(1, NOW - HOUR))
    await sides.reconcile()
    sides.clock.advance(days=7, hours=1)
    await sides.reconcile()
    changed = ended(1, NOW - HOUR, full_consumption_wh=1)
    sides.lists_finished(changed)
    since = sides.clock()

    met = 0
    while not met:
        sides.clock.advance(hours=6)
        met = (await sides.reconcile()).met["changed_at_emabler"]
        assert sides.clock() - since <= 7 * DAY

    assert (await sides.summary())["energy_wh"] == 1.0


async def test_a_later_walk_raises_the_proof_of_a_day(sides: TwoSides) -> None:
    """After the daily walk the days before today are proven as of it."""
    await sides.reconcile()
    sides.clock.advance(days=1)
    await sides.reconcile()

    day = proof(await windows(sides), NOW - 2 * DAY, NOW - DAY)

    assert {each.as_of for each in day} == {sides.clock()}


async def test_a_walk_that_fails_leaves_the_proof_that_was_there(sides: TwoSides) -> None:
    """The daily walk meets answers that lie: the old instants stand, and a finding says why."""
    sides.lists_finished(*(ended(n, NOW - n * HOUR) for n in range(1, 20)))
    await sides.reconcile()
    sides.clock.advance(days=1)
    rules(sides, "wrong_total=1 on=transactions")

    run = await sides.reconcile()

    assert not run.complete
    assert {each.as_of for each in proof(await windows(sides), NOW - 2 * DAY, NOW - DAY)} == {NOW}
    assert (await sides.open_findings())["answer_wrong"]


async def test_a_lie_keeps_the_front_and_is_over_when_it_is_over(sides: TwoSides) -> None:
    """The front waits where answers contradict themselves; when they do not, the finding goes."""
    await sides.reconcile()
    before = (await sides.standing()).front
    sides.lists_finished(ended(1, NOW))
    sides.clock.advance(minutes=15)
    rules(sides, "wrong_total=1 on=transactions")

    await sides.reconcile()

    assert (await sides.standing()).front == before
    assert (await sides.open_findings())["answer_wrong"] == [
        f"ends from {format_instant(NOW - HOUR - 2 * MINUTE)}",
        f"ends from {format_instant(NOW - 2 * MINUTE)}",
    ]
    rules(sides)
    sides.clock.advance(minutes=15)
    await sides.reconcile()
    assert (await sides.standing()).front == NOW + 28 * MINUTE
    assert await sides.open_findings() == {}


async def test_a_lie_that_lasts_is_one_finding(sides: TwoSides) -> None:
    """Run after run meets a stretch of which eMabler lies, at one place: it is new once."""
    sides.lists_finished(*(ended(n, NOW - n * HOUR) for n in range(1, 20)))
    await sides.reconcile()
    sides.lying = (NOW + 9 * MINUTE, NOW + 10 * MINUTE)

    runs = []
    for minutes in (40, 17, 31, 15):
        sides.clock.advance(minutes=minutes)
        runs.append(await sides.reconcile())

    assert [run.met["answer_wrong"] for run in runs] == [1, 1, 1, 1]
    assert [run.new["answer_wrong"] for run in runs] == [1, 0, 0, 0]
    assert (await sides.standing()).front == NOW


async def test_a_lie_that_lasts_is_one_finding_for_as_long_as_the_front_waits(
    sides: TwoSides,
) -> None:
    """Each run cuts its walk elsewhere: it is the same lie, told once, and is open throughout."""
    await sides.reconcile()
    sides.lying = (NOW + 61 * MINUTE, NOW + 62 * MINUTE)
    told = 0
    for _ in range(4 * 13):
        sides.clock.advance(minutes=15)
        run = await sides.reconcile()
        told += run.new["answer_wrong"]
        front = (await sides.standing()).front
        assert front is not None
        assert front < sides.lying[0]
        about = (await sides.open_findings()).get("answer_wrong", [])
        if told:
            assert about == [f"ends from {format_instant(front)}"]

    # The front comes nearer to it, each time with a finding of its own in place of the one before.
    assert 1 <= told <= 8
    sides.lying = None
    await sides.reconcile()
    assert await sides.open_findings() == {}


async def test_a_first_run_that_meets_lies_only_is_one_finding_until_something_is_proven(
    sides: TwoSides,
) -> None:
    """Each run begins later, as no front is there: it has one name, and goes with the front."""
    sides.lying = (NOW - 900 * DAY, NOW + 900 * DAY)
    new = []
    for _ in range(5):
        run = await sides.reconcile()
        new.append(run.new["answer_wrong"])
        sides.clock.advance(minutes=15)

    # Beside it the ends before 2015 are not lied about; those to come are.
    assert (run.front, new) == (None, [2, 0, 0, 0, 0])
    assert set((await sides.open_findings())["answer_wrong"]) == {
        "the first stretch",
        "ends to come",
    }
    sides.lying = (NOW - HOUR, NOW + 900 * DAY)
    run = await sides.reconcile()
    assert run.front is not None
    assert "the first stretch" not in (await sides.open_findings())["answer_wrong"]
    sides.lying = None
    sides.clock.advance(hours=1)
    await sides.reconcile()
    assert await sides.open_findings() == {}


async def test_the_front_waits_for_no_lie_in_what_is_proven_already(sides: TwoSides) -> None:
    """A second of the overlap lies since then: a finding; the front goes on from where it was."""
    await sides.reconcile()
    sides.lying = (NOW - 40 * MINUTE, NOW - 40 * MINUTE + SECOND)
    sides.lists_finished(ended(1, NOW + 5 * MINUTE))
    sides.clock.advance(minutes=15)

    run = await sides.reconcile()

    assert run.front == NOW + 13 * MINUTE
    assert not run.complete
    assert len((await sides.open_findings())["answer_wrong"]) == 1
    assert await transactions(sides) == {"1"}


@pytest.mark.parametrize("how", ["lies", "fails"])
@pytest.mark.parametrize("before", [2 * MINUTE, 12 * MINUTE])
async def test_a_lie_before_the_front_in_its_own_quarter_of_an_hour_holds_it_up_in_no_run(
    sides: TwoSides, before: timedelta, how: str
) -> None:
    """The front is at 11:58, 11:56 is bad: the finding begins at 11:45, and sessions come in."""
    await sides.reconcile()
    front = NOW - 2 * MINUTE
    bad = front - before
    if how == "fails":
        sides.poison = {bad}
    else:
        sides.lying = (bad, bad + SECOND)
    for number in range(1, 4):
        sides.clock.advance(minutes=15)
        sides.lists_finished(ended(number, sides.clock() - 5 * MINUTE))

        run = await sides.reconcile()

        assert run.front == sides.clock() - 2 * MINUTE
        assert len(await transactions(sides)) == number
        assert (await sides.open_findings())["answer_wrong"] == [
            f"ends from {format_instant(NOW - 15 * MINUTE)}"
        ]


async def test_a_lie_behind_the_front_in_its_own_quarter_of_an_hour_is_named_at_the_front(
    sides: TwoSides,
) -> None:
    """The front is at 11:58, 11:59 is bad: it waits there, whatever was proven before it."""
    await sides.reconcile()
    sides.lying = (NOW - MINUTE, NOW - MINUTE + SECOND)
    for _ in range(3):
        sides.clock.advance(minutes=15)

        run = await sides.reconcile()

        assert run.front == NOW - 2 * MINUTE
        assert (await sides.open_findings())["answer_wrong"] == [
            f"ends from {format_instant(NOW - 2 * MINUTE)}"
        ]


async def test_a_front_that_waits_for_days_keeps_no_session_from_the_store(
    sides: TwoSides,
) -> None:
    """One second lies for good: the front stays, and what ended after it is found within a day."""
    await sides.reconcile()
    sides.lying = (NOW + 37 * MINUTE, NOW + 37 * MINUTE + SECOND)
    for number in range(1, 60):
        sides.clock.advance(hours=1)
        sides.lists_finished(ended(number, sides.clock() - HOUR / 2))
        run = await sides.reconcile()

    assert run.front is not None
    assert run.front < sides.lying[0]
    assert len(await transactions(sides)) >= 59 - 25
    assert len((await sides.open_findings())["answer_wrong"]) == 1
    sides.lying = None
    run = await sides.reconcile()
    assert run.front == sides.clock() - 2 * MINUTE
    assert len(await transactions(sides)) == 59


async def test_a_row_over_which_emabler_fails_is_a_place_and_no_outage(sides: TwoSides) -> None:
    """Each answer with one second in it is a 500: the front waits, and all else goes on."""
    await sides.reconcile()
    bad = NOW + 37 * MINUTE
    sides.poison = {bad}
    for number in range(1, 60):
        sides.clock.advance(hours=1)
        sides.lists_finished(ended(number, sides.clock() - HOUR / 2))
        run = await sides.reconcile()

    assert run.front is not None
    assert run.front <= bad
    # What ended in the poisoned quarter of an hour, and what the daily walk has not come to yet.
    assert len(await transactions(sides)) >= 59 - 25
    assert (await sides.open_findings())["answer_wrong"] == [
        f"ends from {format_instant(run.front)}"
    ]
    assert (await sides.standing()).marks.rounds[Pass.RECENT].began > sides.clock() - DAY
    sides.poison = set()
    run = await sides.reconcile()
    assert run.front == sides.clock() - 2 * MINUTE
    assert len(await transactions(sides)) == 59
    assert "answer_wrong" not in await sides.open_findings()


async def test_a_row_over_which_emabler_fails_behind_the_front_stops_no_walk(
    sides: TwoSides,
) -> None:
    """The daily walk names it and goes on behind it; the front and the run are not held up."""
    sides.lists_finished(*(ended(n, NOW - n * HOUR) for n in range(1, 60)))
    await sides.reconcile()
    sides.clock.advance(days=1)
    sides.poison = {NOW - 30 * HOUR + 7 * MINUTE}

    run = await sides.reconcile()

    assert run.front == sides.clock() - 2 * MINUTE
    assert (run.met["answer_wrong"], run.error) == (1, None)
    assert (await sides.standing()).marks.rounds[Pass.RECENT].done
    (old,) = (
        each
        for each in proof(await windows(sides), NOW - 40 * HOUR, NOW - 4 * HOUR)
        if each.as_of is not None and each.as_of < sides.clock()
    )
    assert (old.start, old.end) == (NOW - 30 * HOUR, NOW - 30 * HOUR + 15 * MINUTE)


async def test_a_look_tells_of_each_finding_once(sides: TwoSides) -> None:
    """Sessions that end exactly where the stretch is cut stand in two pictures, and in one row."""
    await sides.reconcile()
    sides.clock.advance(hours=5)
    for number in range(1, 13):
        end = NOW + HOUR + number * 10 * SECOND
        await sides.push(stop(transaction=str(number), end=end, energy_wh=1000.0))
        sides.lists_finished(ended(number, end))
    reconciliation = sides.reconciliation()
    run = reconciliation.begin(holder="")

    found = await reconciliation.look(run, Span(NOW, NOW + 4 * HOUR))

    assert run.passes["range"] > 3
    assert len({(each.about, each.cls) for each in found}) == len(found) == run.met.total()
    assert run.met["energy_differs"] == 12


@pytest.mark.parametrize("dry", ["walk", "look"])
async def test_by_hand_lies_that_lie_apart_are_all_passed(sides: TwoSides, dry: str) -> None:
    """Five bad rows in two months: each is left out, and what lies behind the last is walked."""
    await sides.reconcile()
    first, last = NOW - 100 * DAY, NOW - 40 * DAY
    sides.poison = {NOW - days * DAY + 7 * MINUTE for days in (90, 80, 70, 60, 50)}
    sides.lists_finished(ended(1, NOW - 41 * DAY))
    reconciliation = sides.reconciliation()
    run = reconciliation.begin(holder="somebody")

    await (reconciliation.walk if dry == "walk" else reconciliation.look)(run, Span(first, last))

    assert (run.complete, run.stopped) == (False, None)
    assert [each.start for each in run.left_out] == sorted(
        each - 7 * MINUTE for each in sides.poison
    )
    assert run.sessions.total() == 1
    if dry == "walk":
        gaps = [each for each in proof(await windows(sides), first, last) if not each.as_of]
        assert [each.start for each in gaps] == [each.start for each in run.left_out]


@pytest.mark.parametrize("dry", ["walk", "look"])
async def test_by_hand_a_server_that_only_lies_is_given_up_and_it_is_told_where(
    sides: TwoSides, dry: str
) -> None:
    """Nothing is true for three hours: it ends, and says from when on nothing was asked for."""
    await sides.reconcile()
    sides.lying = (NOW - 90 * DAY, NOW - 80 * DAY)
    reconciliation = sides.reconciliation()
    run = reconciliation.begin(holder="somebody")

    span = Span(NOW - 90 * DAY, NOW - 70 * DAY)
    await (reconciliation.walk if dry == "walk" else reconciliation.look)(run, span)

    assert run.stopped == NOW - 90 * DAY + 3 * HOUR
    assert len(run.left_out) == 12


async def test_a_lie_behind_the_front_is_one_finding_in_all_rounds(sides: TwoSides) -> None:
    """Each walk behind the front begins later: what lies there for good is one finding."""
    sides.lists_finished(*(ended(n, NOW - n * HOUR) for n in range(1, 60)))
    await sides.reconcile()
    sides.lying = (NOW - 30 * HOUR + 7 * MINUTE, NOW - 30 * HOUR + 7 * MINUTE + SECOND)
    told = 0
    for _ in range(12):
        sides.clock.advance(hours=1, minutes=7)
        run = await sides.reconcile(schedule=Schedule(recent_every=HOUR))
        told += run.new["answer_wrong"]
        assert len((await sides.open_findings()).get("answer_wrong", [])) == bool(told)

    # A later cut may show more of it to be true: its finding then begins later.
    assert 1 <= told <= 6


async def test_look_ups_that_need_more_requests_than_a_run_has_come_to_an_end(
    sides: TwoSides,
) -> None:
    """EMabler lists none of a day's stops: the daily walk asks for all of them, and goes on."""
    await sides.reconcile()
    sides.clock.advance(days=1, hours=3)
    ends = [NOW - DAY + n * SECOND for n in range(60)]
    await sides.push(*(stop(transaction=str(n), end=end) for n, end in enumerate(ends, start=100)))

    for _ in range(9):
        await sides.reconcile(behind_requests=10)
        sides.clock.advance(minutes=15)

    assert (await sides.standing()).marks.rounds[Pass.RECENT].done
    assert len((await sides.open_findings())["missing_at_emabler"]) == 60


async def test_a_stop_without_an_id_stays_unpaired_between_its_walks(sides: TwoSides) -> None:
    """Its window found nothing that it belongs to: the list of ongoing sessions says nothing of it.

    It is gone once its pair is there.
    """
    lone = stop(transaction="-1")
    await sides.push(lone)
    sides.clock.advance(days=1)
    for _ in range(9):
        await sides.reconcile()
        assert await sides.open_findings() == {"unpaired": [lone.session]}
        sides.clock.advance(minutes=15)

    await sides.push(start(transaction="-1"))
    sides.clock.advance(days=1)
    await sides.reconcile()
    assert "unpaired" not in await sides.open_findings()


async def test_two_runs_never_mix(sides: TwoSides) -> None:
    """While one holds the lease, the timer and a walk by hand are both told who has it."""
    held = await Ledger.take(
        sides.tables, sides.clock, run="other", holder="manage.py, anna", lasts=10 * MINUTE
    )

    for attempt in (sides.reconcile(), sides.by_hand(Span(NOW - DAY, NOW))):
        with pytest.raises(LeaseHeldError, match="anna"):
            await attempt

    await held.release()
    assert (await sides.reconcile()).complete


@pytest.mark.parametrize("table", [SESSIONS, RECONCILIATION])
async def test_who_stops_a_run_by_hand_holds_up_nobody(sides: TwoSides, table: str) -> None:
    """Ctrl-C in the middle of any write gives the lease back, and the next run goes on at once."""
    sides.lists_finished(*(ended(n, NOW - n * HOUR) for n in range(1, 70)))
    for number in range(1, 6):
        sides.clock.advance(minutes=1)
        run = asyncio.create_task(sides.reconcile())
        go_on = await _stands_still(sides, table, number)
        run.cancel()
        go_on()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert not (await sides.standing()).held
        told = await anext(read_runs(sides.tables))
        assert (told.outcome, told.error) == (Outcome.FAILED, "run_stopped: stopped by hand")

    run_after = await sides.reconcile()

    assert run_after.complete
    assert len(await transactions(sides)) == 69
    assert (await sides.standing()).front == sides.clock() - 2 * MINUTE


async def _stands_still(sides: TwoSides, table: str, number: int) -> Callable[[], None]:
    """Wait until a run stands still before its so many-th write to a table; what lets it go on."""
    before, reached, going, writes = sides.tables.pause, asyncio.Event(), asyncio.Event(), 0

    async def pause(at: str, moment: str) -> None:
        nonlocal writes
        if (at, moment) == (table, "before_write"):
            writes += 1
            if writes > number:
                reached.set()
                await going.wait()

    def go_on() -> None:
        sides.tables.pause = before
        going.set()

    sides.tables.pause = pause
    await reached.wait()
    return go_on


async def test_a_walk_by_hand_proves_a_stretch_and_leaves_the_front(sides: TwoSides) -> None:
    """A month ago is loaded and proven; the front and its marks are as before."""
    await sides.reconcile()
    before = await sides.standing()
    sides.lists_finished(*(ended(n, NOW - 40 * DAY + n * MINUTE + 7.5 * SECOND) for n in range(10)))

    run = await sides.by_hand(Span(NOW - 41 * DAY, NOW - 39 * DAY))

    after = await sides.standing()
    assert (after.front, after.marks) == (before.front, before.marks)
    assert run.sessions == {"history": 10}
    assert {each.as_of for each in proof(await windows(sides), NOW - 41 * DAY, NOW - 39 * DAY)} == {
        NOW
    }


async def test_a_look_writes_nothing(sides: TwoSides) -> None:
    """A dry run tells what is missing and what differs, and the store is as before."""
    await sides.reconcile()
    await sides.push(start(), stop(energy_wh=1.0))
    sides.lists_finished(item(), ended(2, NOW + HOUR))
    before = sides.rows
    reconciliation = sides.reconciliation()
    run = reconciliation.begin(holder="")

    findings = await reconciliation.look(run, Span(NOW - DAY, NOW + DAY))

    assert {str(each.cls) for each in findings} == {"energy_differs", "missing_in_store"}
    assert run.sessions == {"confirmed": 1, "repaired": 1}
    assert sides.rows == before


async def test_a_look_goes_on_behind_a_lie(sides: TwoSides) -> None:
    """Of a span of which eMabler lies nothing is told, of what lies behind it all; not complete."""
    sides.lists_finished(*(ended(n, NOW - n * HOUR) for n in range(1, 40)))
    sides.lying = (NOW - 29.8 * HOUR, NOW - 29.79 * HOUR)
    reconciliation = sides.reconciliation()
    run = reconciliation.begin(holder="")

    await reconciliation.look(run, Span(NOW - 2 * DAY, NOW))

    assert run.sessions["history"] > 30
    assert not run.complete


async def test_a_look_whose_look_ups_lie_is_not_complete(sides: TwoSides) -> None:
    """EMabler lies of a stop that it is asked for by its id: nobody knows whether it has it."""
    await sides.push(stop())
    sides.clock.advance(days=2)
    sides.lies_of_ids = True
    reconciliation = sides.reconciliation()
    run = reconciliation.begin(holder="")

    findings = await reconciliation.look(run, Span(NOW - DAY, NOW))

    assert (findings, run.complete) == ([], False)


async def test_no_text_is_too_long_to_be_passed_by(sides: TwoSides) -> None:
    """Ids that no column of the store takes are none: the session is told, the front moves."""
    endless = "X" * 40_000
    sides.lists_finished(
        ended(1, NOW - HOUR, authorized_tag_id=endless),
        ended(2, NOW - HOUR, charger_id=endless),
        item(3, evse_transaction_id=endless),
    )

    run = await sides.reconcile()

    assert run.sessions == {"history": 2, "unidentified": 1}
    assert run.front == NOW - 2 * MINUTE
    assert any("wrong_type" in each for each in (await sides.open_findings())["contract_drift"])


async def test_each_run_leaves_a_row(sides: TwoSides) -> None:
    """Windows, requests, sessions by class, outcome: kept from its beginning on."""
    sides.lists_finished(*(ended(n, NOW - n * HOUR) for n in range(1, 9)))
    await sides.reconcile()

    (row,) = await runs(sides)

    assert (row.outcome, row.complete, row.holder) == (Outcome.OK, True, "timer")
    assert row.sessions["history"] == 8
    assert row.passes["front"] >= 3
    assert row.requests >= row.windows == sum(row.passes.values())


async def test_rest_that_is_away_keeps_what_was_proven(sides: TwoSides) -> None:
    """A run that breaks off fails, says so in its row, and the next one goes on from there."""
    sides.lists_finished(*(ended(n, NOW - n * HOUR) for n in range(1, 40)))
    rules(sides, "failing=1 first=8")

    with pytest.raises(RestUnavailableError):
        await sides.reconcile()

    (row,) = await runs(sides)
    standing = await sides.standing()
    assert (row.outcome, standing.held) == (Outcome.FAILED, False)
    assert row.error is not None
    assert row.error.startswith("rest_failing")
    assert standing.front is not None
    assert NOW - 3 * DAY < standing.front < NOW
    rules(sides)
    sides.clock.advance(minutes=15)
    assert (await sides.reconcile()).complete
    assert len(await transactions(sides)) == 39


async def test_a_missing_permission_names_the_call_and_harms_nothing_else(
    sides: TwoSides,
) -> None:
    """A key that may not read ongoing sessions: a finding; the front moves; granted, it goes."""
    rules(sides, "permission_missing=1 on=ongoing")

    with pytest.raises(RestRefusedError, match="ReadSessions"):
        await sides.reconcile()

    assert (await sides.standing()).front == NOW - 2 * MINUTE
    assert await sides.open_findings() == {"permission_missing": ["GET v2/ongoing-transactions"]}
    rules(sides)
    sides.clock.advance(minutes=15)
    await sides.reconcile()
    assert await sides.open_findings() == {}


async def test_a_refused_key_is_told_and_nothing_else_is_done(sides: TwoSides) -> None:
    """Where no call is permitted, the run fails with what to do, and the front stays."""
    rules(sides, "permission_missing=1")

    with pytest.raises(RestRefusedError):
        await sides.reconcile()

    assert (await sides.standing()).front is None
    assert len((await sides.open_findings())["permission_missing"]) == 2


async def test_the_time_of_a_run_is_bounded(sides: TwoSides) -> None:
    """When its time is over it stops between two windows; run by run the front arrives."""
    sides.lists_finished(*(ended(n, NOW - n * HOUR) for n in range(1, 60)))
    ticks = iter(range(10_000))
    number = 0
    while True:
        reconciliation = sides.reconciliation(seconds=12.0)
        reconciliation._elapsed = lambda: float(next(ticks))
        run = await reconciliation.run(reconciliation.begin(holder="timer"))
        number += 1
        sides.clock.advance(minutes=15)
        if run.complete:
            break
        assert run.front is None or run.front < sides.clock()

    assert number > 2
    assert len(await transactions(sides)) == 59


async def test_requests_behind_the_front_have_a_budget_of_their_own(sides: TwoSides) -> None:
    """A weekly walk that needs more than a run may spend goes on at the next one, to its end."""
    sides.lists_finished(*(ended(n, NOW - 5 * DAY - n * HOUR) for n in range(1, 200)))
    first = await sides.reconcile(behind_requests=10)
    number = 1
    while len(await transactions(sides)) < 199:
        sides.clock.advance(minutes=15)
        run = await sides.reconcile(behind_requests=10)
        number += 1
        assert number < 60
        assert run.front == sides.clock() - 2 * MINUTE

    assert not first.complete
    assert number > 5


async def test_many_starts_without_an_id_do_not_keep_the_daily_look_from_its_end(
    sides: TwoSides,
) -> None:
    """With ten requests a run, each run asks for some of them; what it found stands."""
    await sides.reconcile()
    sides.clock.advance(days=1, minutes=5)
    begun = [NOW - 40 * HOUR + n * HOUR / 60 for n in range(30)]
    await sides.push(*(start(transaction="0", start=each) for each in begun))
    await sides.push(start(transaction="77", start=NOW - 40 * HOUR))
    found: list[int] = []

    for _ in range(9):
        await sides.reconcile(behind_requests=10)
        found.append(sum(map(len, (await sides.open_findings()).values())))
        sides.clock.advance(minutes=15)

    mark = (await sides.standing()).marks.rounds[Pass.OPEN]
    assert (mark.done, mark.after) == (True, "")
    assert any(0 < each < found[-1] for each in found)
    assert {cls: len(each) for cls, each in (await sides.open_findings()).items()} == {
        "unpaired": 30,
        "open_not_at_emabler": 1,
    }


async def test_a_run_that_slept_past_its_lease_changes_nothing(sides: TwoSides) -> None:
    """It wakes while another one is done: neither front, window, finding nor claim is its own."""
    sides.lists_finished(ended(1, NOW - HOUR, full_consumption_wh=1))
    before = len(sides.tables.rows(RECONCILIATION))

    async def sleeps(table: str, moment: str) -> None:
        if (table, moment) != ("sessions", "before_write"):
            return
        sides.tables.pause = nothing
        sides.clock.advance(minutes=11)
        sides.lists_finished(ended(1, NOW - HOUR, full_consumption_wh=2))
        await sides.reconcile()
        sides.kept = list(sides.rows)  # type: ignore[attr-defined] # for this test

    nothing = sides.tables.pause
    sides.tables.pause = sleeps

    with pytest.raises(LeaseLostError):
        await sides.reconcile()

    assert before == 0
    assert sides.rows == sides.kept  # type: ignore[attr-defined] # as above
    assert (await sides.summary())["energy_wh"] == 2.0


@pytest.mark.parametrize(
    "missed", [StoreUnavailableError("no answer"), RestUnavailableError("no answer")]
)
async def test_a_run_that_slept_says_so_whatever_it_missed(
    sides: TwoSides, missed: Exception
) -> None:
    """The answers that it waited for are timed out when it wakes: that is not what went wrong."""

    async def sleeps(table: str, moment: str) -> None:
        if (table, moment) == ("sessions", "before_write"):
            sides.tables.pause = nothing
            sides.clock.advance(minutes=11)
            raise missed

    nothing = sides.tables.pause
    sides.lists_finished(ended(1, NOW - HOUR))
    sides.tables.pause = sleeps

    with pytest.raises(LeaseLostError) as lost:
        await sides.reconcile()

    # What only one call missed is held back for the other calls; the lease is lost at the next.
    held_back = isinstance(missed, RestUnavailableError)
    assert lost.value.__cause__ is (None if held_back else missed)


async def test_an_equal_answer_of_a_later_run_outlasts_a_sleeper(sides: TwoSides) -> None:
    """A, A seen again, then the sleeper's B: A stays, since it was observed last."""
    sides.lists_finished(ended(1, NOW - HOUR, full_consumption_wh=1))
    await sides.reconcile()
    sides.clock.advance(minutes=15)
    sides.lists_finished(ended(1, NOW - HOUR, full_consumption_wh=5))

    async def sleeps(table: str, moment: str) -> None:
        if (table, moment) != ("sessions", "before_write"):
            return
        sides.tables.pause = nothing
        sides.clock.advance(minutes=11)
        sides.lists_finished(ended(1, NOW - HOUR, full_consumption_wh=1))
        await sides.reconcile()

    nothing = sides.tables.pause
    sides.tables.pause = sleeps

    with pytest.raises(LeaseLostError):
        await sides.reconcile()

    assert (await sides.summary())["energy_wh"] == 1.0


async def test_silence_of_push_is_found_and_over(sides: TwoSides) -> None:
    """REST lists sessions of which push told nothing: a finding with its cause; later it goes."""
    await sides.reconcile()
    sides.clock.advance(hours=3)
    ends = {n: NOW + HOUR + n * MINUTE for n in range(1, 9)}
    sides.lists_finished(*(ended(n, end, charger_id=f"CH-{n % 2}") for n, end in ends.items()))

    run = await sides.reconcile()

    assert run.push_silent
    assert (await sides.open_findings())["push_silent"] == ["push"]
    assert len(await transactions(sides)) == 8


async def test_a_run_that_cannot_judge_silence_says_what_is_known(sides: TwoSides) -> None:
    """Of no new session nobody can say whether push speaks: silence stays until a run sees more."""
    await sides.reconcile()
    sides.clock.advance(hours=3)
    sides.lists_finished(*(ended(n, NOW + HOUR + n * MINUTE) for n in range(1, 9)))
    await sides.reconcile()
    sides.clock.advance(hours=3)
    await sides.reconcile()
    sides.clock.advance(minutes=15)

    run = await sides.reconcile()

    assert not run.met
    assert run.push_silent


async def test_a_run_that_never_looked_says_nothing_of_silence(sides: TwoSides) -> None:
    """A run that fails before it looked leaves open whether push is silent."""
    sides.lists_finished(*(ended(n, NOW - n * HOUR) for n in range(1, 40)))
    rules(sides, "failing=1 first=8")
    reconciliation = sides.reconciliation()
    run = reconciliation.begin(holder="timer")

    with pytest.raises(RestUnavailableError):
        await reconciliation.run(run)

    assert run.push_silent is None


async def test_an_open_session_is_ended_by_rest_and_never_by_invention(sides: TwoSides) -> None:
    """A lost stop is made up for from REST's list, wherever its end lies."""
    await sides.push(start())
    sides.lists_ongoing(ongoing())
    await sides.reconcile()
    assert (await sides.summary())["state"] == "open"
    sides.lists_ongoing()
    sides.lists_finished(item(timestamp_end=NOW - 50 * DAY, timestamp_start=NOW - 51 * DAY))
    sides.clock.advance(days=1)

    await sides.reconcile()

    assert (await sides.summary())["state"] == "ended"


async def test_a_lie_about_open_sessions_is_told_until_a_round_has_none(sides: TwoSides) -> None:
    """Nothing is known of them: a finding, the run is not complete, and none is called missing."""
    await sides.reconcile()
    await sides.push(start(start=NOW - 2 * HOUR))
    sides.lies_of_ids = True
    new = []
    for _ in range(3):
        sides.clock.advance(days=1, minutes=5)
        run = await sides.reconcile()
        new.append(run.new["answer_wrong"])
        assert not run.complete
        # The ends before 2015 are lied about as well: they are asked for without a beginning.
        about = ["ends from the beginning", "open sessions"]
        assert await sides.open_findings() == {"answer_wrong": about}

    assert new == [2, 0, 0]
    sides.lies_of_ids = False
    sides.clock.advance(hours=1)
    await sides.reconcile()
    assert await sides.open_findings() == {"answer_wrong": ["open sessions"]}
    sides.clock.advance(days=1)
    assert (await sides.reconcile()).complete
    assert await sides.open_findings() == {"open_not_at_emabler": ["CH-1|7"]}


async def test_a_lie_in_a_round_that_takes_several_runs_stays_told(sides: TwoSides) -> None:
    """The run that ends the round met none: what an earlier run of it met is not over by that."""
    await sides.reconcile()
    begun = [NOW - 40 * HOUR + n * HOUR / 60 for n in range(30)]
    await sides.push(*(start(transaction="0", start=each) for each in begun))
    await sides.push(start(transaction="77", charger="CH-0", start=NOW - 40 * HOUR))
    sides.clock.advance(days=1, minutes=5)
    sides.lies_of_ids = True
    await sides.reconcile(behind_requests=10)
    assert not (await sides.standing()).marks.rounds[Pass.OPEN].done
    sides.lies_of_ids = False

    for _ in range(9):
        sides.clock.advance(minutes=15)
        await sides.reconcile(behind_requests=10)

    assert (await sides.standing()).marks.rounds[Pass.OPEN].done
    assert (await sides.open_findings())["answer_wrong"] == ["open sessions"]


async def resolve_all(sides: TwoSides) -> None:
    wanted = FindingFilter(states=[State.OPEN])
    for known, row in [each async for each in read_findings(sides.tables, wanted)]:
        assert await resolve(sides.tables, known, row, who="anna", note="", clock=sides.clock)


async def test_a_session_that_is_listed_again_counts_again_though_its_finding_was_resolved(
    sides: TwoSides,
) -> None:
    """An operator dealt with the finding; then eMabler lists the session as ongoing after all."""
    await sides.push(start())
    await sides.reconcile()
    assert set(await sides.open_findings()) == {"open_not_at_emabler"}
    assert await sides.open_for("T1") == ()
    await resolve_all(sides)
    sides.lists_ongoing(ongoing())
    sides.clock.advance(hours=1)

    await sides.reconcile()

    assert [each.session for each in await sides.open_for("T1")] == ["CH-1|7"]


async def test_what_was_resolved_is_not_asked_for_for_ever(sides: TwoSides) -> None:
    """An open session that nobody knows costs no request after 35 days, whatever was noted."""
    await sides.push(start())
    await sides.reconcile()
    await resolve_all(sides)
    sides.clock.advance(days=36)
    sides.books.calls.clear()

    await sides.reconcile()

    # The list itself, hourly and daily; nobody's charger by name.
    assert sum(call.path.endswith("ongoing-transactions") for call in sides.books.calls) == 2


async def test_a_repair_that_a_lost_run_did_not_tell_of_is_told(sides: TwoSides) -> None:
    """The claim was written and its run died before it said so: the next one says it."""
    await sides.reconcile()
    sides.clock.advance(hours=1)
    sides.lists_finished(ended(1, NOW + 30 * MINUTE))

    async def dies(table: str, moment: str) -> None:
        if (table, moment) == ("sessions", "after_write"):
            raise WorkerStoppedError

    nothing, sides.tables.pause = sides.tables.pause, dies
    with pytest.raises(WorkerStoppedError):
        await sides.reconcile()
    sides.tables.pause = nothing
    sides.clock.advance(minutes=15)

    run = await sides.reconcile()

    assert run.new == {"missing_in_store": 1}


async def test_a_repair_in_a_window_that_was_not_done_is_told(
    sides: TwoSides, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim was written, then eMabler was away for a look-up: the next run says it was mended.

    Once only, and nothing of it is written again after that.
    """
    await sides.reconcile()
    sides.clock.advance(days=1, hours=1)
    await sides.push(stop(end=NOW + HOUR / 2))
    sides.lists_finished(ended(1, NOW + HOUR / 2))
    asks = EmablerClient.finished_sessions

    async def away(self: EmablerClient, query: FinishedSessionsQuery, **how: Any) -> Page:
        if query.transactions:
            raise RestUnavailableError("away")
        return await asks(self, query, **how)

    monkeypatch.setattr(EmablerClient, "finished_sessions", away)
    with pytest.raises(RestUnavailableError):
        await sides.reconcile()
    assert len(await sides.listed()) == 2
    monkeypatch.undo()

    told = []
    for _ in range(3):
        sides.clock.advance(minutes=15)
        told.append((await sides.reconcile()).new["missing_in_store"])

    assert told == [1, 0, 0]
    assert not (await sides.standing()).abandoned


async def test_a_field_that_vanishes_is_a_finding_until_it_is_back(sides: TwoSides) -> None:
    """No item has its energy any more: told by the field's name; gone when it is there again."""
    energyless = "null_strings=1 how=left_out on=transactions"
    sides.lists_finished(*(ended(n, NOW - n * HOUR, authorized_tag_id="") for n in range(1, 20)))
    rules(sides, energyless)

    await sides.reconcile()

    drift = (await sides.open_findings()).get("contract_drift", [])
    assert any("authorizedTagId" in each for each in drift)
    rules(sides)
    sides.lists_finished(*(ended(n, NOW - n * HOUR) for n in range(1, 20)))
    sides.clock.advance(days=1)
    await sides.reconcile()
    assert "contract_drift" not in await sides.open_findings()


async def test_one_odd_item_is_one_finding_for_as_long_as_walks_meet_it() -> None:
    """Runs that ask for other items say nothing of it: it is gone once no walk met it any more."""
    sides = TwoSides()
    opened = 0
    odd = NOW + 5 * HOUR
    async with sides.going(page_size=200):
        await sides.reconcile()
        for tick in range(1, 41):
            sides.clock.advance(hours=12)
            ends = [sides.clock() - n * MINUTE for n in range(10, 16)]
            sides.lists_finished(*(ended(10 * tick + n, end) for n, end in enumerate(ends)))
            if tick == 1:
                sides.lists_finished(ended(7_777, odd, socket_id=-1))
            if tick == 18:
                sides.lists_finished(ended(7_777, odd))
            sides.client.drift = Drift()  # each run has a client of its own
            opened += (await sides.reconcile()).new["contract_drift"]
            if tick <= 18:
                assert "contract_drift" in await sides.open_findings()

        assert opened == 1
        assert "contract_drift" not in await sides.open_findings()


async def test_a_lie_behind_the_front_hides_no_more_than_its_own_stretch(sides: TwoSides) -> None:
    """One part of a day lies for good: it stays a finding, and all around it is proven anew."""
    sides.lists_finished(*(ended(n, NOW - n * HOUR) for n in range(1, 60)))
    await sides.reconcile()
    sides.clock.advance(days=1)
    sides.lying = (NOW - 30 * HOUR, NOW - 29.5 * HOUR)

    for _ in range(4):
        sides.clock.advance(minutes=15)
        await sides.reconcile()

    assert (await sides.open_findings())["answer_wrong"]
    stretches = proof(await windows(sides), NOW - 40 * HOUR, NOW - 4 * HOUR)
    old = [each for each in stretches if each.as_of is not None and each.as_of < NOW + DAY]
    assert sum((each.end - each.start for each in old), timedelta()) <= 1.5 * HOUR
    sides.lying = None
    sides.clock.advance(days=8)
    await sides.reconcile()
    assert "answer_wrong" not in await sides.open_findings()


@pytest.mark.parametrize(
    "lying",
    [(NOW + 2 * DAY, NOW + 900 * DAY), (NOW - 9000 * DAY, NOW - 8000 * DAY)],
    ids=["after now", "before 2015"],
)
async def test_a_lie_beyond_the_known_ends_is_asked_for_again_within_the_hour(
    sides: TwoSides, lying: tuple[datetime, datetime]
) -> None:
    """Nobody else walks there: not each run asks in vain, and none waits for the next day."""
    sides.lying = lying
    await sides.reconcile()
    (about,) = (await sides.open_findings())["answer_wrong"]
    asked = []
    for _ in range(8):
        sides.clock.advance(minutes=15)
        asked.append(not (await sides.reconcile()).complete)

    assert asked == [False, False, False, True] * 2
    assert (await sides.open_findings())["answer_wrong"] == [about]
    sides.lying = None
    sides.clock.advance(hours=1)
    await sides.reconcile()
    assert await sides.open_findings() == {}
    sides.clock.advance(hours=1)
    sides.lying = lying
    assert (await sides.reconcile()).complete  # the next round is the next day's


async def test_a_call_that_is_away_keeps_back_only_what_needs_it(sides: TwoSides) -> None:
    """The list of ongoing sessions fails for days: the walks go on, and the run says so."""
    await sides.reconcile()
    rules(sides, "failing=1 on=ongoing")
    sides.lists_finished(ended(1, NOW - 5 * HOUR), ended(2, NOW - 20 * DAY))
    sides.clock.advance(days=8)

    with pytest.raises(RestUnavailableError):
        await sides.reconcile()

    assert await transactions(sides) == {"1", "2"}
    assert not await sides.open_findings()


async def test_a_missing_permission_is_told_of_the_call_that_was_refused(sides: TwoSides) -> None:
    """Who may not read finished sessions is told so, whatever the step that asked for them."""
    await sides.push(start())
    rules(sides, "permission_missing=1 on=transactions")
    for _ in range(3):
        sides.clock.advance(hours=12)
        with pytest.raises(RestRefusedError):
            await sides.reconcile()

        assert await sides.open_findings() == {"permission_missing": ["POST v3/transactions"]}


async def test_an_empty_answer_with_a_total_is_a_lie_and_no_crash(sides: TwoSides) -> None:
    """No rows, a total, and no word of a further page: found, and the lease is given back."""
    sides.empty = True

    run = await sides.reconcile()

    assert not run.complete
    assert not (await sides.standing()).held
    assert (await sides.open_findings())["answer_wrong"]
