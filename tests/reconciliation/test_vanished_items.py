"""REST items that eMabler lists no more: they count no longer once another item of theirs does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.errors import BudgetSpentError
from shared.privacy.erasing import Erasure
from shared.privacy.finding import Search
from shared.reconciliation.differing import cost_in
from shared.reconciliation.spans import Budget, Span
from shared.sessions.claims import Claim, Source, claim_from_row
from shared.sessions.plausibility import USUAL
from shared.sessions.rebuilding import Rebuilding, session_of
from shared.sessions.summary import is_summary
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.requests import counted
from shared.storage.tables import SESSIONS
from tests.reconciliation.books import HASH_KEY, NOW
from tests.reconciliation.two_sides import ALL, DAY, END, START, TwoSides, item, start, stop

ABOUT = "CH-1|7"
HOUR = timedelta(hours=1)
WINDOWS = Span(NOW - 5 * DAY, NOW - DAY), Span(NOW - DAY, NOW)
"""The session's stop ended in the second, and what eMabler lists of it `EARLIER` in the first."""

EARLIER: dict[str, Any] = {"timestamp_start": START - 2 * DAY, "timestamp_end": END - 2 * DAY}
WHOLE = [Span(NOW - 5 * DAY, NOW)]


@pytest.fixture
async def sides() -> AsyncIterator[TwoSides]:
    async with TwoSides().going() as found:
        yield found


def items_of(sides: TwoSides) -> dict[str, Claim]:
    """The REST claims of the store by the last two parts of their key."""
    rows = (r for r in sides.tables.rows(SESSIONS) if not r.key.startswith("!"))
    claims = (claim_from_row(row) for row in rows if not is_summary(row))
    return {
        f"{claim.session.partition('|')[2]} {claim.name}": claim
        for claim in claims
        if claim.source is Source.REST
    }


def gone_in(sides: TwoSides) -> dict[str, bool]:
    """Which items are gone."""
    return {name: claim.gone for name, claim in items_of(sides).items()}


def lists(sides: TwoSides, *items: Any) -> None:
    """Only these stand in eMabler's books, some time later."""
    sides.books.put("sessions", items)
    sides.clock.advance(minutes=15)


@pytest.mark.parametrize("apart", [True, False], ids=["windows apart", "one window"])
@pytest.mark.parametrize("corrected_first", [True, False], ids=["new one first", "old one first"])
async def test_an_item_that_is_replaced_counts_no_more(
    sides: TwoSides,
    apart: bool,  # noqa: FBT001 - a parameter
    corrected_first: bool,  # noqa: FBT001 - a parameter
) -> None:
    """EMabler deletes an item and lists another one of the transaction: that one is compared.

    Whichever of their windows is walked first, the one walk says it, once.
    """
    spans = list(WINDOWS) if apart else WHOLE
    await sides.push(start(), stop(energy_wh=11_000.0))
    old, new = item(9, **EARLIER), item(10, full_consumption_wh=14_000)
    if not corrected_first:
        spans.reverse()
    sides.lists_finished(old)
    for span in spans:
        await sides.walk(span)
    assert {cls for cls, _ in sides.open} == {"energy_differs", "time_differs"}

    lists(sides, new)
    changed = 0
    for span in spans:
        changed += (await sides.walk(span)).counts["changed"]

    assert gone_in(sides) == {"7 9": True, "7 10": False}
    assert sides.open == {("energy_differs", ABOUT)}
    (found,) = sides.findings.values()
    assert found.emabler == {"energy_wh": 14_000.0}
    summary = await sides.summary()
    assert (summary["rest_id"], summary["rest_energy_wh"]) == ("10", 14_000.0)
    assert sides.repaired[ALL.CHANGED_AT_EMABLER] == 1
    assert changed >= 1

    before, times = sides.rows, len(sides.books.calls)
    sides.written.clear()
    for span in spans:
        with counted() as requests:
            worked = await sides.walk(span)
        assert requests.by_purpose == {"sessions_range": sides.buckets}
        assert worked.counts["changed"] == 0
    assert (sides.rows, sides.written) == (before, [])
    assert len(sides.books.calls) == times + len(spans)


async def test_what_an_item_said_is_told_beside_what_its_replacement_says(sides: TwoSides) -> None:
    """The change is one finding with both items and both values, and no other is mended."""
    await sides.push(start(), stop())
    sides.lists_finished(item(9))
    await sides.walk()
    lists(sides, item(10, full_consumption_wh=14_000, total_cost_incl_vat=6.0))

    worked = await sides.walk()

    (found,) = worked.repaired
    assert (found.cls, found.session) == (ALL.CHANGED_AT_EMABLER, ABOUT)
    assert found.store == {"rest_id": "9", "energy_wh": 12_000.0, "totalCostInclVat": 5.0}
    assert found.emabler == {"rest_id": "10", "energy_wh": 14_000.0, "totalCostInclVat": 6.0}
    assert dict(worked.counts) == {"changed": 1}


async def test_the_item_that_was_observed_last_may_be_the_one_that_vanishes(
    sides: TwoSides,
) -> None:
    """Of two items in conflict the later one is deleted: the session says what the other one does.

    All that the vanished item said stays in its claim.
    """
    await sides.push(start(), stop())
    sides.lists_finished(item(9))
    await sides.walk()
    lists(sides, item(9), item(10, full_consumption_wh=5))
    await sides.walk()
    assert sides.open == {("rest_items_conflict", ABOUT)}
    assert (await sides.summary())["rest_id"] == "10"

    lists(sides, item(9))
    await sides.walk()

    assert sides.open == set()
    assert (await sides.summary())["rest_id"] == "9"
    kept = items_of(sides)["7 10"]
    assert (kept.gone, kept.energy_wh, cost_in(kept)) == (True, 5.0, 5.0)
    assert kept.observed == sides.clock.now


async def test_a_look_up_that_did_not_come_to_be_is_made_by_the_next_walk(sides: TwoSides) -> None:
    """The new item is written, the budget ends: the next walk of its window finds the old one gone.

    While eMabler lists both, only the one that ended elsewhere is asked for.
    """
    sides.lists_finished(item(9, **EARLIER))
    await sides.walk(WINDOWS[0])
    lists(sides, item(10))
    budget = Budget(sides.client.counts, requests=1)
    budget.came = 1
    with pytest.raises(BudgetSpentError):
        await sides.walk(WINDOWS[1], budget=budget)
    assert gone_in(sides) == {"7 9": False, "7 10": False}

    await sides.walk(WINDOWS[1])

    assert gone_in(sides) == {"7 9": True, "7 10": False}
    lists(sides, item(9, **EARLIER), item(10))
    for span in (*WINDOWS, WHOLE[0]):
        await sides.walk(span)
    requests = []
    for span in (*WINDOWS, WHOLE[0]):
        sides.books.calls.clear()
        await sides.walk(span)
        requests.append(len(sides.books.calls))
    assert sides.open == {("rest_items_conflict", ABOUT)}
    # The item that was observed last counts, and its window asks for the other one.
    assert requests == [2, 1, 1]


async def test_an_item_that_comes_back_counts_again(sides: TwoSides) -> None:
    """Gone and listed again, though it says what it said: it is in conflict as before."""
    items = item(9), item(10, full_consumption_wh=5)
    sides.lists_finished(*items)
    await sides.walk()
    lists(sides, items[1])
    await sides.walk()
    assert (gone_in(sides), sides.open) == ({"7 9": True, "7 10": False}, set())

    lists(sides, *items)
    worked = await sides.walk()

    assert (gone_in(sides), sides.open) == (
        {"7 9": False, "7 10": False},
        {("rest_items_conflict", ABOUT)},
    )
    assert dict(worked.counts) == {"changed": 1, "unchanged": 1}
    lists(sides, items[0])
    await sides.walk()
    assert (gone_in(sides), sides.open) == ({"7 9": False, "7 10": True}, set())


async def test_where_none_is_left_the_session_keeps_what_was_said_last(sides: TwoSides) -> None:
    """First one of two vanishes, then the other: missing at eMabler, and nothing is emptied."""
    await sides.push(start(), stop())
    sides.lists_finished(item(9), item(10, full_consumption_wh=5))
    await sides.walk()
    lists(sides, item(10, full_consumption_wh=5))
    await sides.walk()
    lists(sides)
    sides.clock.advance(days=2)

    for _ in range(2):
        await sides.walk()
        assert sides.open == {("missing_at_emabler", ABOUT)}
    summary = await sides.summary()
    assert (summary["rest_id"], summary["rest_energy_wh"]) == ("10", 5.0)

    lists(sides, item(11))
    await sides.walk()
    assert sides.open == set()
    assert gone_in(sides) == {"7 9": True, "7 10": True, "7 11": False}


async def test_both_of_two_that_vanish_are_marked_by_nobody(sides: TwoSides) -> None:
    """Nothing says which of them was the session's: the finding tells both, the claims stay."""
    sides.lists_finished(item(9), item(10))
    await sides.walk()
    before = [row for row in sides.rows if row[0] == SESSIONS]
    lists(sides)
    sides.clock.advance(days=2)

    await sides.walk()

    assert sides.open == {("missing_at_emabler", ABOUT)}
    assert [row for row in sides.rows if row[0] == SESSIONS] == before


async def test_a_dry_run_marks_nothing_and_tells_the_same(sides: TwoSides) -> None:
    """What would be gone, changed and found is told, and no row is written."""
    await sides.push(start(), stop(energy_wh=11_000.0))
    sides.lists_finished(item(9))
    await sides.walk()
    lists(sides, item(10, full_consumption_wh=14_000))
    before = sides.rows

    dry = await sides.walk(dry_run=True)

    assert sides.rows == before
    wet = await sides.walk()
    assert wet.counts == dry.counts == {"changed": 1}
    assert [(f.cls, f.store) for f in dry.findings] == [(f.cls, f.store) for f in wet.findings]
    assert [f.emabler for f in dry.repaired] == [f.emabler for f in wet.repaired]


async def test_a_lie_marks_nothing(sides: TwoSides) -> None:
    """Where the answer about the item's id contradicts itself, nobody knows that it is gone."""
    sides.lists_finished(item(9), item(10, **EARLIER))
    for span in WINDOWS:
        await sides.walk(span)
    lists(sides, item(9))
    sides.lies_of_ids = True

    worked = await sides.walk(WINDOWS[0])

    assert worked.lies
    assert gone_in(sides) == {"7 9": False, "7 10": False}
    sides.lies_of_ids = False
    await sides.walk(WINDOWS[0])
    assert gone_in(sides) == {"7 9": False, "7 10": True}


async def test_what_a_window_lacks_is_not_gone_while_emabler_lists_it_elsewhere(
    sides: TwoSides,
) -> None:
    """An item whose end moved to another window is asked for by its id, and is listed."""
    sides.lists_finished(item(9), item(10))
    await sides.walk()
    lists(sides, item(9), item(10, **EARLIER))

    await sides.walk(WINDOWS[1])

    assert gone_in(sides) == {"7 9": False, "7 10": False}
    assert sides.open == {("rest_items_conflict", ABOUT)}


@pytest.mark.parametrize("apart", [True, False], ids=["windows apart", "one window"])
async def test_an_item_that_went_to_another_transaction_is_gone_from_its_session(
    sides: TwoSides,
    apart: bool,  # noqa: FBT001 - a parameter
) -> None:
    """Of two items one is another transaction's by now: each session has one."""
    sides.lists_finished(item(9), item(10, **EARLIER))
    await sides.walk(WHOLE[0])
    lists(sides, item(9), item(10, evse_transaction_id="8", **({} if apart else EARLIER)))

    for span in WINDOWS if apart else WHOLE:
        await sides.walk(span)

    assert gone_in(sides) == {"7 9": False, "7 10": True, "8 10": False}
    assert "rest_items_conflict" not in {cls for cls, _ in sides.open}
    before = sides.rows
    sides.clock.advance(minutes=15)
    await sides.walk(WHOLE[0])
    assert sides.rows == before


@pytest.mark.parametrize("apart", [True, False], ids=["windows apart", "one window"])
async def test_a_sleeper_s_older_answer_does_not_bring_an_item_back(
    sides: TwoSides,
    apart: bool,  # noqa: FBT001 - a parameter
) -> None:
    """Gone, then a late older answer that lists it: who took over has written the going anew."""
    spans = WINDOWS if apart else WHOLE
    await sides.push(start(), stop())
    sides.lists_finished(item(9), item(10, **EARLIER))
    for span in spans:
        await sides.walk(span)
    sleeping = sides.sessions
    lists(sides, item(9))
    await sides.walk(spans[0])
    sides.clock.advance(minutes=5)
    older = replace(items_of(sides)["7 10"], gone=False, observed=sides.clock.now)
    sides.clock.advance(minutes=5)

    worked = await sides.walk(spans[0], raising=True)
    await sleeping.write([older])
    assert (worked.counts["changed"], worked.repaired) == (0, [])

    assert gone_in(sides) == {"7 9": False, "7 10": True}
    assert items_of(sides)["7 10"].observed == sides.clock.now


def nameless(number: int, **fields: Any) -> Any:
    """An item without a transaction id."""
    return item(number, evse_transaction_id="-1", **fields)


async def settled(sides: TwoSides, spans: list[Span]) -> None:
    """Walked once more, nothing is written: nothing flaps."""
    before = sides.rows
    sides.clock.advance(minutes=15)
    for span in spans:
        await sides.walk(span)
    assert sides.rows == before


@pytest.mark.parametrize("apart", [True, False], ids=["windows apart", "one window"])
@pytest.mark.parametrize("backwards", [True, False])
@pytest.mark.parametrize("number", [9, 10])
async def test_an_item_without_an_id_that_is_replaced_hands_its_session_on(
    sides: TwoSides,
    apart: bool,  # noqa: FBT001 - a parameter
    backwards: bool,  # noqa: FBT001 - a parameter
    number: int,
) -> None:
    """What was paired with the old item is paired with the new one: one session, once told.

    Whichever of their ids comes first; and it stays there when the new one vanishes as well.
    """
    other = 19 - number
    spans = list(WINDOWS) if apart else list(WHOLE)
    spans = spans[::-1] if backwards else spans
    await sides.push(start(transaction="-1"), stop(transaction="-1", energy_wh=11_000.0))
    sides.lists_finished(nameless(number, timestamp_end=END - 2 * DAY))
    for span in spans:
        await sides.walk(span)
    assert (await sides.summary())["rest_id"] == str(number)

    lists(sides, nameless(other, full_consumption_wh=14_000))
    for _ in range(2 if apart else 1):
        for span in spans:
            await sides.walk(span)

    (session,) = await sides.listed()
    assert session.columns["sources"] == "start,stop,rest"
    assert session.columns["rest_id"] == str(other)
    assert session.columns["rest_energy_wh"] == 14_000.0
    about = session.key.rpartition("|")[0]
    assert sides.open == {("energy_differs", about)}
    await settled(sides, spans)

    lists(sides)
    for span in spans:
        await sides.walk(span)
    assert [row.key for row in await sides.listed()] == [session.key]
    sides.clock.advance(days=2)
    for span in spans:
        await sides.walk(span)
    assert sides.open == {("missing_at_emabler", about)}
    await settled(sides, spans)


async def test_a_vanished_copy_and_its_original_are_gone_alike(sides: TwoSides) -> None:
    """An item without an id, paired with a session that gets an item of its own, vanishes."""
    await sides.push(start(), stop(energy_wh=11_000.0))
    sides.lists_finished(nameless(9))
    await sides.walk()
    assert set(gone_in(sides)) == {"=none-rest-9 9", "7 9"}
    sides.lists_finished(item(10, full_consumption_wh=14_000))
    sides.clock.advance(minutes=15)
    await sides.walk()

    lists(sides, item(10, full_consumption_wh=14_000))
    await sides.walk()

    assert gone_in(sides) == {"=none-rest-9 9": True, "7 9": True, "7 10": False}
    assert sides.open == {("energy_differs", ABOUT)}
    await settled(sides, WHOLE)

    sides.lists_finished(nameless(9))
    sides.clock.advance(minutes=15)
    await sides.walk()
    assert not gone_in(sides)["=none-rest-9 9"]
    await settled(sides, WHOLE)


async def test_a_sole_item_without_an_id_that_vanished_keeps_its_session(sides: TwoSides) -> None:
    """Nothing comes in its place: the session stays what it was, missing at eMabler."""
    await sides.push(start(transaction="-1"), stop(transaction="-1"))
    sides.lists_finished(nameless(9))
    await sides.walk()
    before = await sides.summary()
    lists(sides)
    sides.clock.advance(days=2)

    for _ in range(2):
        await sides.walk()
        assert sides.open == {("missing_at_emabler", "CH-1|=none-rest-9")}
    assert {**await sides.summary(), "rest_observed": ""} == {**before, "rest_observed": ""}
    await settled(sides, WHOLE)

    lists(sides, nameless(9))
    await sides.walk()
    assert (sides.open, gone_in(sides)) == (set(), {"=none-rest-9 9": False})


async def test_a_copy_that_alone_was_marked_counts_again(sides: TwoSides) -> None:
    """A worker that stopped between a copy and its original leaves nothing gone that is listed."""
    await sides.push(start(), stop())
    sides.lists_finished(nameless(9))
    await sides.walk()
    sides.clock.advance(minutes=15)
    copied = items_of(sides)["7 9"]
    await sides.sessions.write([replace(copied, gone=True, observed=sides.clock.now)])
    sides.clock.advance(minutes=15)

    await sides.walk()

    assert gone_in(sides) == {"=none-rest-9 9": False, "7 9": False}
    await settled(sides, WHOLE)


@pytest.mark.parametrize("stopped", [True, False])
async def test_an_item_that_gets_an_id_is_not_told_over_by_what_it_was(
    sides: TwoSides,
    stopped: bool,  # noqa: FBT001 - a parameter
) -> None:
    """EMabler lists it with its transaction's id by now: that answer counts, in one session."""
    stops = [stop(transaction="-1")] if stopped else []
    await sides.push(start(transaction="-1"), *stops)
    sides.lists_finished(nameless(9, full_consumption_wh=1))
    await sides.walk()
    lists(sides, item(9, full_consumption_wh=12_000))

    for _ in range(2):
        await sides.walk()
        assert (await sides.summary())["transaction"] == "7"
        assert items_of(sides)["7 9"].energy_wh == 12_000.0
        assert items_of(sides)["7 9"].within is None
    await settled(sides, WHOLE)


async def with_one_gone(sides: TwoSides, tag: str = "T1") -> None:
    """A session of which eMabler lists one item no more, and a copy that is gone in another."""
    await sides.push(start(tag=tag), stop(tag=tag, energy_wh=11_000.0))
    await sides.push(*(each(transaction="8", start=START + HOUR / 2) for each in (start, stop)))
    old = item(9, authorized_tag_id=tag), nameless(11, timestamp_start=START + HOUR / 2)
    sides.lists_finished(*old)
    await sides.walk()
    lists(sides, item(10, authorized_tag_id=tag), item(12, evse_transaction_id="8"), old[1])
    await sides.walk()
    lists(sides, item(10, authorized_tag_id=tag), item(12, evse_transaction_id="8"))
    await sides.walk()
    assert gone_in(sides) == {
        "7 9": True,
        "7 10": False,
        "=none-rest-11 11": True,
        "8 11": True,
        "8 12": False,
    }


async def test_a_rebuild_leaves_what_is_gone_as_it_is(sides: TwoSides) -> None:
    """Summaries and index rows follow from the claims: made anew they are the same."""
    await with_one_gone(sides)
    before = sides.rows
    rebuilding = Rebuilding(sides.tables, tag_hash_key=HASH_KEY, plausible=USUAL, dry_run=False)

    differences = []
    for bucket in map(str, range(sides.buckets)):
        async for rows in rebuilding.sessions(bucket, "", None):
            differences += await rebuilding.compare(bucket, session_of(rows[0]), rows)
        differences += [each async for each in rebuilding.superfluous(bucket)]

    assert (differences, sides.rows) == ([], before)


async def test_an_erasure_takes_the_person_out_of_what_is_gone(sides: TwoSides) -> None:
    """No row names the person, what is gone stays gone, and the walks find nothing new."""
    await with_one_gone(sides, "CANARY")
    gone, blobs = gone_in(sides), MemoryBlobs(*ALL_CONTAINERS)
    sides.nothing_is_under_way()
    search = Search(sides.tables, blobs, "CANARY", hash_keys=[HASH_KEY], buckets=sides.buckets)

    report = await Erasure(sides.tables, blobs, search, sides.clock).run("a test")

    assert not report.left
    assert "CANARY" not in str(sides.rows)
    assert gone_in(sides) == gone
    await settled(sides, WHOLE)
