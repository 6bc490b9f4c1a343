"""Windows compared: each class of finding comes of what makes it, and goes when that does."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from shared.emabler.models.sessions import read_finished_session
from shared.errors import BudgetSpentError
from shared.identifiers import normalise_tag
from shared.privacy.erasing import Erasure
from shared.privacy.finding import Search
from shared.reconciliation import window_work
from shared.reconciliation.rest_claims import rest_claim
from shared.reconciliation.spans import Budget, Span
from shared.sessions.indexes import END_ROWS
from shared.sessions.planning import Stored
from shared.sessions.reading import read_session
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.requests import counted
from shared.storage.tables import SESSIONS
from tests.reconciliation.books import HASH_KEY, NOW
from tests.reconciliation.two_sides import DAY, END, START, TwoSides, item, start, stop

ABOUT = "CH-1|7"
HOUR = timedelta(hours=1)


def times(days: int) -> dict[str, Any]:
    """EMabler's times of the session, so many days earlier."""
    return {"timestamp_start": START - days * DAY, "timestamp_end": END - days * DAY}


EARLIER = times(2)


@pytest.fixture
async def sides() -> AsyncIterator[TwoSides]:
    async with TwoSides().going() as found:
        yield found


async def test_what_push_told_is_confirmed(sides: TwoSides) -> None:
    """A session that both tell alike is confirmed, and no finding."""
    await sides.push(start(), stop())
    sides.lists_finished(item())

    worked = await sides.walk()

    assert (dict(worked.counts), sides.open, dict(sides.repaired)) == ({"confirmed": 1}, set(), {})
    assert worked.compared == {ABOUT}


async def test_a_window_with_nothing_new_costs_one_range_for_each_bucket(sides: TwoSides) -> None:
    """Sessions with differences, repaired ones, ones in conflict: none is read or written again."""
    await sides.push(start(), stop(energy_wh=1.0), stop(energy_wh=2.0))
    sides.lists_finished(item(), item(10, evse_transaction_id="8"))
    await sides.walk()
    before, findings = sides.rows, sides.open
    sides.clock.advance(days=1)

    with counted() as requests:
        worked = await sides.walk()

    assert requests.by_purpose == {"sessions_range": sides.buckets}
    assert dict(worked.counts) == {"unchanged": 2}
    assert (sides.rows, sides.open) == (before, findings)
    assert {cls for cls, _ in findings} == {"conflict", "energy_differs"}


async def test_a_first_load_writes_full_transactions_and_reads_no_session() -> None:
    """Sessions that only REST knows: 33 of one bucket in a transaction, each three rows."""
    async with TwoSides(buckets=1).going() as sides:
        sides.lists_finished(
            *(item(n, evse_transaction_id=str(n), authorized_tag_id="") for n in range(1, 67))
        )

        with counted() as requests:
            worked = await sides.walk()

    assert dict(worked.counts) == {"repaired": 66}
    assert requests.by_purpose == {"sessions_range": 1, "sessions_write": 2}


async def test_a_guess_that_a_session_is_new_costs_reads_and_no_mistake() -> None:
    """Among sessions taken for new some have a start: all are whole afterwards."""
    async with TwoSides(buckets=1).going() as sides:
        await sides.push(*(start(transaction=str(n)) for n in range(1, 6)))
        sides.lists_finished(*(item(n, evse_transaction_id=str(n)) for n in range(1, 67)))

        worked = await sides.walk()

        assert dict(worked.counts) == {"repaired": 61, "confirmed": 5}
        assert {row.columns["state"] for row in await sides.listed()} == {"ended"}
        assert sides.index("!open|") == []


async def test_missing_in_store_is_repaired(sides: TwoSides) -> None:
    """What push never told is written from REST, and told as mended, not as open."""
    sides.lists_finished(item())

    worked = await sides.walk()

    (found,) = worked.repaired
    assert (found.cls, found.session, found.store) == ("missing_in_store", ABOUT, {})
    assert found.emabler["energy_wh"] == 12_000.0
    assert (dict(worked.counts), sides.open) == ({"repaired": 1}, set())
    assert (await sides.summary())["sources"] == "rest"


async def test_what_ended_before_the_store_began_is_history(sides: TwoSides) -> None:
    """A backfill is no finding: sessions from before this store was reconciled are history."""
    sides.lists_finished(item(), item(10, evse_transaction_id="8", timestamp_end=END + HOUR / 2))

    worked = await sides.walk(began=END + HOUR / 4)

    assert dict(worked.counts) == {"history": 1, "repaired": 1}
    assert [found.transaction for found in worked.repaired] == ["8"]


DIFFERENCES: dict[str, tuple[dict[str, Any], dict[str, Any] | None, dict[str, Any] | None]] = {
    "energy_differs": ({"energy_wh": 11_000.0}, {"energy_wh": 11_000.0}, {"energy_wh": 12_000.0}),
    "time_differs": (
        {"end": END - timedelta(minutes=3)},
        {"end": "2026-11-02T10:57:00.000000Z"},
        {"end": "2026-11-02T11:00:00.000000Z"},
    ),
    "socket_differs": ({"socket": 2}, {"socket": 2}, {"socket": 1}),
    "tag_differs": ({"tag": "T2"}, None, None),
}


@pytest.mark.parametrize("cls", DIFFERENCES)
@pytest.mark.parametrize("rest_first", [True, False], ids=["late push", "push first"])
async def test_a_difference_is_found_whichever_came_first(
    sides: TwoSides,
    cls: str,
    rest_first: bool,  # noqa: FBT001 - a parameter
) -> None:
    """Energy, time, tag, socket beyond tolerance: a finding with both values, until they agree."""
    changes, store, emabler = DIFFERENCES[cls]
    told = stop(**changes)
    if not rest_first:
        await sides.push(told)
    sides.lists_finished(item())
    await sides.walk()
    if rest_first:
        await sides.push(told)
        await sides.walk()

    assert sides.open == {(cls, ABOUT)}
    (found,) = sides.findings.values()
    if store is not None:
        assert (found.store, found.emabler) == (store, emabler)

    sides.clock.advance(minutes=15)
    sides.lists_finished(
        item(
            timestamp_end=told.end,
            authorized_tag_id=told.tag,
            socket_id=told.socket,
            full_consumption_wh=int(told.energy_wh or 0),
        )
    )
    await sides.walk()
    assert sides.open == set()


async def test_a_tag_that_differs_is_never_told(sides: TwoSides) -> None:
    """A finding holds the keyed hash of each tag, and no tag."""
    await sides.push(stop(tag="SECRETTAG"))
    sides.lists_finished(item(authorized_tag_id="OTHERTAG"))

    await sides.walk()

    assert sides.open == {("tag_differs", ABOUT)}
    (found,) = sides.findings.values()
    assert "SECRETTAG" not in f"{found}"
    assert "OTHERTAG" not in f"{found}"
    assert found.store["tag"] != found.emabler["tag"]


@pytest.mark.parametrize(
    "told",
    [
        stop(energy_wh=12_099.0, end=END + timedelta(seconds=119), start=START),
        stop(energy_wh=None, socket=None, tag=None, start=None),
        stop(tag=normalise_tag("t 1")),
    ],
    ids=["within", "untold", "spelled"],
)
async def test_what_agrees_within_tolerance_or_is_untold_is_no_finding(
    sides: TwoSides, told: object
) -> None:
    """Sources conflict only in fields that both have, and beyond the tolerances."""
    await sides.push(told)  # type: ignore[arg-type] # a claim
    sides.lists_finished(item(authorized_tag_id="T-1"))

    await sides.walk()

    assert sides.open == set()


async def test_ends_that_differ_by_days_meet_all_the_same(sides: TwoSides) -> None:
    """REST says that it ended two days before: confirmed there, and no stop is called missing."""
    await sides.push(stop())
    sides.lists_finished(item(**EARLIER))

    worked = await sides.walk(Span(NOW - DAY, NOW))
    assert (sides.open, dict(worked.counts)) == (set(), {})
    await sides.walk(Span(NOW - 3 * DAY, NOW - DAY))
    assert sides.open == {("time_differs", ABOUT)}

    sides.clock.advance(days=3)
    await sides.walk(Span(NOW - DAY, NOW))
    assert sides.open == {("time_differs", ABOUT)}


async def test_a_stop_that_emabler_does_not_list_is_missing_after_the_grace_time(
    sides: TwoSides,
) -> None:
    """It is asked for by its id before anything is said, and is gone once eMabler lists it."""
    await sides.push(stop())
    await sides.walk()
    assert sides.open == set()
    sides.clock.advance(hours=23)
    sides.books.calls.clear()

    await sides.walk()

    assert sides.open == {("missing_at_emabler", ABOUT)}
    assert len(sides.books.calls) == 2
    sides.lists_finished(item())
    await sides.walk()
    assert sides.open == set()


async def test_many_stops_that_emabler_does_not_list_are_looked_up_some_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where eMabler lists nothing at all, the sessions of a page's ids are in memory at once."""
    sides, reads = TwoSides(), Counter[int]()

    async def reading(*where: Any) -> Stored:
        reads[len(sides.books.calls)] += 1
        return await read_session(*where)

    monkeypatch.setattr(window_work, "read_session", reading)
    async with sides.going(page_size=20):
        await sides.push(*(stop(transaction=str(n)) for n in range(1, 101)))
        sides.clock.advance(days=1)

        await sides.walk(Span(NOW - DAY / 4, NOW))

    assert reads.total() == len(sides.open) == 100
    assert max(reads.values()) == 20


async def test_a_stop_that_emabler_lists_elsewhere_is_confirmed_by_its_id(sides: TwoSides) -> None:
    """REST's end is in another year: asked for by its id it is found, written, and a difference."""
    await sides.push(stop())
    sides.lists_finished(
        item(timestamp_start="2025-11-01T10:00:00Z", timestamp_end="2025-11-01T12:00:00Z")
    )
    sides.clock.advance(days=1)

    worked = await sides.walk()

    assert dict(worked.counts) == {"confirmed": 1}
    assert sides.open == {("time_differs", ABOUT)}


async def test_one_id_on_two_chargers_confirms_nothing(sides: TwoSides) -> None:
    """Asked for by its id, eMabler lists another charger's session: this one is missing still."""
    await sides.push(stop())
    sides.lists_finished(
        item(charger_id="CH-2", timestamp_end=END - 30 * DAY, timestamp_start=START)
    )
    sides.clock.advance(days=1)

    await sides.walk()

    assert sides.open == {("missing_at_emabler", ABOUT)}


async def test_an_id_that_each_charger_has_costs_one_look_up() -> None:
    """Chargers count their transactions themselves: a lost session is asked for at its charger."""
    async with TwoSides().going(page_size=10) as sides:
        sides.lists_finished(
            *(item(n, charger_id=f"CH-{n}", timestamp_end=END - n * DAY) for n in range(10, 400))
        )
        await sides.push(stop())
        sides.clock.advance(days=1)

        await sides.walk(Span(NOW - 2 * HOUR, NOW))

        assert len(sides.books.calls) == 2
    assert sides.open == {("missing_at_emabler", ABOUT)}


async def test_an_item_that_moved_is_followed(sides: TwoSides) -> None:
    """REST's end changes to another window: the walk of the old one asks for it by REST's id."""
    sides.lists_finished(item())
    await sides.walk()
    sides.lists_finished(item(**EARLIER))
    sides.clock.advance(minutes=15)

    worked = await sides.walk(Span(NOW - DAY, NOW))

    assert dict(worked.counts) == {"changed": 1}
    assert sides.repaired["changed_at_emabler"] == 1  # type: ignore[index] # a StrEnum
    assert sides.open == set()
    (key,) = sides.index(END_ROWS)
    assert key.startswith("!end|2026-10-31")


async def test_an_item_that_vanished_is_missing_at_emabler(sides: TwoSides) -> None:
    """REST listed it, and lists it nowhere any more: a finding after the grace time."""
    sides.lists_finished(item())
    await sides.walk()
    sides.books.put("sessions", ())

    await sides.walk()
    assert sides.open == set()
    sides.clock.advance(days=1)
    await sides.walk()

    assert sides.open == {("missing_at_emabler", ABOUT)}


LATER = {"timestamp_end": END + HOUR / 2}


@pytest.mark.parametrize("deleted", [9, 10])
async def test_of_two_items_one_that_vanished_leaves_the_session_listed(
    sides: TwoSides, deleted: int
) -> None:
    """EMabler lists the session by its other item, in another window: it is never called missing.

    What the walks of the two windows say is the same, so that nothing is written each time.
    """
    await sides.push(start(), stop())
    items = item(9), item(10, **LATER)
    sides.lists_finished(*items)
    await sides.walk()
    sides.books.put("sessions", [each for each in items if each.id != deleted])
    sides.clock.advance(days=2)

    for span in (Span(NOW - 2 * DAY, END + HOUR / 4), Span(END + HOUR / 4, NOW)) * 2:
        await sides.walk(span)
        assert "missing_at_emabler" not in {cls for cls, _ in sides.open}
        sides.written.clear()
    await sides.walk(Span(NOW - 2 * DAY, END + HOUR / 4))
    await sides.walk(Span(END + HOUR / 4, NOW))

    assert sides.written == []


@pytest.mark.parametrize("apart", [True, False], ids=["windows apart", "one window"])
async def test_two_items_that_vanished_are_one_finding(
    sides: TwoSides,
    apart: bool,  # noqa: FBT001 - a parameter
) -> None:
    """The session is missing, by both ids whichever window is walked, and gone as one returns."""
    await sides.push(start(), stop())
    items = item(9), item(10, **LATER)
    sides.lists_finished(*items)
    await sides.walk()
    sides.books.put("sessions", ())
    sides.clock.advance(days=2)
    spans = [Span(NOW - 2 * DAY, END + HOUR / 4), Span(END + HOUR / 4, NOW)]
    spans = spans if apart else [Span(NOW - 2 * DAY, NOW)]

    for span in spans:
        await sides.walk(span)
    assert sides.open == {("missing_at_emabler", ABOUT)}
    (found,) = sides.findings.values()
    assert found.store == {"rest_id": "10,9"}
    sides.written.clear()
    for span in spans * 2:
        await sides.walk(span)
    assert sides.written == []

    sides.books.put("sessions", items[:1])
    for span in spans:
        await sides.walk(span)
    assert "missing_at_emabler" not in {cls for cls, _ in sides.open}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"total_cost_incl_vat": 6.0}, {"totalCostInclVat"}),
        ({"full_consumption_wh": 12_001, "full_consumption_k_wh": 12.001}, {"energy_wh"}),
        ({"user_name": "Somebody"}, set()),
    ],
    ids=["price", "energy", "nothing that is billed"],
)
async def test_a_changed_answer_is_told_with_both_values(
    sides: TwoSides, changes: dict[str, Any], told: set[str]
) -> None:
    """EMabler changes a session after a week: its new answer stands, and what changed is told."""
    sides.lists_finished(item())
    await sides.walk()
    sides.clock.advance(days=7)
    sides.lists_finished(item(**changes))

    worked = await sides.walk()

    assert dict(worked.counts) == {"changed": 1}
    assert {name for found in worked.repaired for name in found.emabler} == told
    assert {name for found in worked.repaired for name in found.store} == told


async def test_two_stops_that_contradict_each_other_are_a_conflict(sides: TwoSides) -> None:
    """The session's own finding is one of the report's as well."""
    await sides.push(stop(), stop(energy_wh=12_500.0, end=END + HOUR / 60))
    sides.lists_finished(item())

    await sides.walk()

    assert ("conflict", ABOUT) in sides.open


async def test_two_items_of_one_session_are_a_conflict(sides: TwoSides) -> None:
    """EMabler lists a session twice, also in windows apart: one finding, and nothing else of it."""
    await sides.push(stop(energy_wh=1.0))
    sides.lists_finished(item(), item(10, full_consumption_wh=5, **EARLIER))

    await sides.walk(Span(NOW - 3 * DAY, NOW - DAY))
    await sides.walk(Span(NOW - DAY, NOW))

    assert sides.open == {("rest_items_conflict", ABOUT)}
    await sides.walk(Span(NOW - 3 * DAY, NOW))
    assert sides.open == {("rest_items_conflict", ABOUT)}


async def test_an_item_under_another_id_is_told(sides: TwoSides) -> None:
    """REST's item has another transaction's id than before: what it was stays, and is a finding."""
    sides.lists_finished(item())
    await sides.walk()
    sides.lists_finished(item(evse_transaction_id="8"))
    sides.clock.advance(minutes=15)

    await sides.walk()
    await sides.walk()

    assert sides.open == {("changed_at_emabler", ABOUT)}
    (found,) = sides.findings.values()
    assert (found.store, found.emabler) == ({"session": ABOUT}, {"session": "CH-1|8"})


async def test_a_session_without_an_end_is_compared_where_it_is_listed(sides: TwoSides) -> None:
    """An end that cannot be is in the open-ended walks: written once, then as before."""
    sides.lists_finished(item(timestamp_end="0001-01-01T00:00:00Z"))
    before = Span(None, NOW - 365 * 12 * DAY)

    first = await sides.walk(before)
    with counted() as requests:
        second = await sides.walk(before)

    assert (dict(first.counts), dict(second.counts)) == ({"repaired": 1}, {"unchanged": 1})
    assert "sessions_write" not in requests.by_purpose
    assert (await sides.walk(Span(NOW, None))).counts == {"unchanged": 1}


async def test_a_dry_run_writes_nothing_and_tells_the_same(sides: TwoSides) -> None:
    """What would be confirmed, repaired or found is told, and no row is written."""
    await sides.push(stop(energy_wh=1.0), stop(transaction="-1"))
    sides.lists_finished(item(), item(10, evse_transaction_id="8"))
    before = sides.rows

    dry = await sides.walk(dry_run=True)

    assert sides.rows == before
    assert dict(dry.counts) == {"confirmed": 1, "repaired": 1}
    wet = await sides.walk()
    assert wet.counts == dry.counts
    assert [found.cls for found in wet.findings] == [found.cls for found in dry.findings]


async def test_a_window_that_cannot_be_looked_up_is_not_done(sides: TwoSides) -> None:
    """Where the budget ends before all was looked up, the window ends with it."""
    await sides.push(stop())
    sides.clock.advance(days=2)
    budget = Budget(sides.client.counts, requests=0)
    budget.came = 1

    with pytest.raises(BudgetSpentError):
        await sides.walk(budget=budget)
    assert sides.open == set()


async def test_a_later_equal_answer_keeps_a_sleeper_s_older_one_out(sides: TwoSides) -> None:
    """A, A, then a late older B: with raising B loses, since A was observed after it."""
    sides.lists_finished(item())
    await sides.walk()
    sleeping = sides.sessions
    sides.clock.advance(minutes=5)
    b = {"id": 9, "chargerId": "CH-1", "evseTransactionId": "7", "fullConsumptionWh": 1}
    session = read_finished_session(b)
    assert session is not None
    older = rest_claim(session, sides.clock.now)
    sides.clock.advance(minutes=5)

    async def taken_over(table: str, moment: str) -> None:
        if (table, moment) == (SESSIONS, "before_write"):
            sides.tables.pause = quiet
            await sides.walk(raising=True)

    quiet, sides.tables.pause = sides.tables.pause, taken_over
    await sleeping.write([older])

    summary = await sides.summary()
    assert summary["energy_wh"] == 12_000.0
    assert summary["rest_observed"] > "2026-11-02T12:09"


async def test_raising_is_no_change(sides: TwoSides) -> None:
    """Answers that are written again only for their instant are counted as unchanged."""
    await sides.push(stop())
    sides.lists_finished(item(), item(10, evse_transaction_id="8"))
    await sides.walk(began=NOW)
    sides.clock.advance(minutes=5)

    worked = await sides.walk(began=NOW, raising=True)

    assert (dict(worked.counts), worked.repaired) == ({"unchanged": 2}, [])
    observed = {row.columns["rest_observed"] for row in await sides.listed()}
    assert observed == {"2026-11-02T12:05:00.000000Z"}


async def test_stops_that_emabler_may_list_yet_cost_nothing(sides: TwoSides) -> None:
    """Within the grace time a stop without REST's word is neither read nor asked for."""
    await sides.push(stop())

    with counted() as requests:
        await sides.walk()

    assert requests.by_purpose == {"sessions_range": sides.buckets}
    assert len(sides.books.calls) == 1


async def test_without_raising_an_equal_answer_is_not_written_again(sides: TwoSides) -> None:
    """Only a run that took over from a sleeper pays for raising."""
    sides.lists_finished(item())
    await sides.walk()
    before = sides.rows
    sides.clock.advance(minutes=5)

    await sides.walk()

    assert sides.rows == before


async def test_an_erasure_takes_a_tag_out_of_what_stands_beside_rest_s_answer(
    sides: TwoSides,
) -> None:
    """Push told one tag and REST another: the row of REST's answer names neither once erased."""
    await sides.push(start(tag="CANARY"), stop(tag="CANARY"))
    sides.lists_finished(item(authorized_tag_id="OTHER"))
    await sides.walk()
    assert sides.open == {("tag_differs", ABOUT)}

    blobs = MemoryBlobs(*ALL_CONTAINERS)
    sides.nothing_is_under_way()
    search = Search(sides.tables, blobs, "CANARY", hash_keys=[HASH_KEY], buckets=sides.buckets)
    report = await Erasure(sides.tables, blobs, search, sides.clock).run("a test")

    assert not report.left
    assert "CANARY" not in str(sides.rows)
    assert "OTHER" in str(sides.rows)
    await sides.walk()
    assert sides.open == set()


async def test_a_stop_with_a_long_id_is_asked_for_as_any_other(sides: TwoSides) -> None:
    """A key holds a hash of such an id; eMabler is asked for the id, and lists it elsewhere."""
    told = "7" * 120
    await sides.push(stop(transaction=told))
    sides.lists_finished(
        item(
            evse_transaction_id=told,
            timestamp_end=END - 300 * DAY,
            timestamp_start=START - 300 * DAY,
        )
    )
    sides.clock.advance(days=1)

    await sides.walk()

    assert {cls for cls, _ in sides.open} == {"time_differs"}


async def test_a_stop_without_an_id_of_a_charger_with_a_long_one_is_asked_for(
    sides: TwoSides,
) -> None:
    """So is what eMabler lists of a charger whose key is a hash."""
    charger = "Ladesäule Süd / Parkhaus Ökologie" * 3
    await sides.push(stop(transaction="-1", charger=charger))
    sides.lists_finished(
        item(charger_id=charger, evse_transaction_id="77", timestamp_end=END - 300 * DAY)
    )
    sides.clock.advance(days=1)

    await sides.walk()

    assert {cls for cls, _ in sides.open} == {"time_differs"}


@pytest.mark.parametrize("told", ["a stop", "an item"])
async def test_a_window_beside_it_lets_no_finding_without_an_id_go(
    sides: TwoSides, told: str
) -> None:
    """Half a second from a cut it is in both windows' rows: only the one that holds it judges."""
    if told == "a stop":
        await sides.push(stop(transaction="-1"))
    else:
        sides.lists_finished(item(evse_transaction_id="-1"))
        await sides.walk()
        sides.books.put("sessions", ())
    sides.clock.advance(days=2)
    await sides.walk(Span(END - HOUR, END + HOUR))
    found = sides.open
    assert len(found) == 1
    sides.written.clear()

    half = timedelta(seconds=0.5)
    for _ in range(2):
        for span in (Span(END - HOUR, END - half), Span(END + half, END + HOUR)):
            await sides.walk(span)
            assert (sides.open, sides.written) == (found, [])


@pytest.mark.parametrize("transaction", ["7", "-1"])
async def test_a_look_up_that_lies_lets_no_session_be_listed_again(
    sides: TwoSides, transaction: str
) -> None:
    """The item vanished, which is a finding: of what was not answered nothing is known anew."""
    sides.lists_finished(item(evse_transaction_id=transaction))
    await sides.walk()
    sides.books.put("sessions", ())
    sides.clock.advance(days=2)
    await sides.walk()
    found = sides.open
    assert {cls for cls, _ in found} == {"missing_at_emabler"}

    sides.lies_of_ids = True
    worked = await sides.walk()

    assert (len(worked.lies), sides.open) == (1, found)
    sides.lies_of_ids = False
    sides.lists_finished(item(evse_transaction_id=transaction))
    await sides.walk()
    assert sides.open == set()
