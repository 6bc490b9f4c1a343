"""Findings: met again they are not doubled, an older look never wins, an operator's word holds."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.reconciliation.finding_book import Entry, FindingBook, FindingWrite, Kind, repaired
from shared.reconciliation.finding_reading import FindingFilter, read_findings, resolve
from shared.reconciliation.findings import (
    Finding,
    FindingClass,
    Known,
    State,
    known_from_row,
    known_row,
)
from shared.storage.memory import MemoryTables
from shared.storage.requests import counted
from shared.storage.rows import Row, Tables
from shared.storage.tables import RECONCILIATION
from tests.reconciliation.books import NOW, Clock
from tests.reconciliation.ledgers import DAY, HASH, HOUR, content, finding, open_keys, take
from tests.stores import Stores

ENERGY, TIME = FindingClass.ENERGY_DIFFERS, FindingClass.TIME_DIFFERS
MISSING = FindingClass.MISSING_AT_EMABLER
ALL = frozenset(FindingClass)


@pytest.fixture
async def tables(stores: Stores) -> Tables:
    (tables,) = await stores.fresh()
    return tables


def look(
    book: FindingBook,
    *findings: Finding,
    compared: Collection[str] = (),
    classes: Collection[FindingClass] = ALL,
    as_of: datetime = NOW,
) -> list[FindingWrite]:
    return book.seen(findings, compared=compared, classes=classes, as_of=as_of)


async def walk(
    tables: Tables,
    clock: Clock,
    *findings: Finding,
    compared: Collection[str] = (),
    as_of: datetime = NOW,
) -> list[FindingWrite]:
    """A run of its own: reads the book, compares, writes."""
    book = await FindingBook.read(tables)
    ledger = await take(tables, clock, "walk")
    writes = look(book, *findings, compared=compared, as_of=as_of)
    await ledger.commit(findings=writes)
    await ledger.release()
    return writes


async def all_known(tables: Tables) -> list[Known]:
    return [known async for known, _ in read_findings(tables, FindingFilter())]


async def test_a_finding_holds_both_values_and_its_days(tables: Tables, clock: Clock) -> None:
    """What each side says comes back as it was met, with the day of its meeting."""
    met = replace(
        finding(),
        store={"energy_wh": 900.0, "start": "2026-11-02T09:11:32Z", "socket": 1},
        emabler={"energy_wh": 800.5, "note": 'quotes " and \\ and ä and 🚗', "known": False},
    )
    await walk(tables, clock, met)

    (known,) = await all_known(tables)
    assert known == Known(met, State.OPEN, NOW.date(), NOW.date(), "walk")
    assert known.finding.digest == met.digest


async def test_a_second_run_on_the_same_day_writes_nothing(tables: Tables, clock: Clock) -> None:
    """Met again with the same values, an hour later, no row changes; on another day its last."""
    await walk(tables, clock, finding(), finding(2, TIME))
    before = [each for each in await content(tables) if each[0] != "!lease"]

    for hours in (0, 1, 11):
        later = NOW + hours * HOUR
        assert await walk(tables, clock, finding(observed=later), finding(2, TIME)) == []
    assert [each for each in await content(tables) if each[0] != "!lease"] == before

    (write,) = await walk(tables, clock, finding(observed=NOW + DAY))
    assert write.kind is Kind.AGAIN
    first = next(k for k in await all_known(tables) if k.finding.cls is ENERGY)
    assert (first.first, first.last) == (NOW.date(), (NOW + DAY).date())


async def test_a_value_that_changes_is_written_at_once(tables: Tables, clock: Clock) -> None:
    """Also on the same day; the day of the first meeting stays."""
    await walk(tables, clock, finding())
    await walk(tables, clock, finding(observed=NOW + DAY, wh=700))
    await walk(tables, clock, finding(observed=NOW + DAY + HOUR, wh=600))

    (known,) = await all_known(tables)
    assert known.finding.emabler == {"energy_wh": 600}
    assert (known.first, known.last) == (NOW.date(), (NOW + DAY).date())


async def test_an_older_look_never_wins(tables: Tables, clock: Clock) -> None:
    """What was observed before what is known changes no value, and lets nothing be gone."""
    await walk(tables, clock, finding(observed=NOW + HOUR))
    before = await all_known(tables)

    assert await walk(tables, clock, finding(observed=NOW, wh=1)) == []
    assert await walk(tables, clock, finding(observed=NOW - DAY, wh=1)) == []
    assert await walk(tables, clock, compared=["CH-1|1"], as_of=NOW) == []
    assert await all_known(tables) == before


async def test_what_is_so_no_more_is_gone(tables: Tables, clock: Clock) -> None:
    """Only what was compared, for its class, and was not met; its values stay readable."""
    await walk(tables, clock, finding(1), finding(2), finding(1, TIME))
    book = await FindingBook.read(tables)
    later = NOW + DAY
    ledger = await take(tables, clock, "later")

    writes = look(book, compared=["CH-1|1", "CH-3|3"], classes=[ENERGY], as_of=later)
    await ledger.commit(findings=writes)

    assert await open_keys(tables) == ["open|CH-1|1|time_differs", "open|CH-2|2|energy_differs"]
    (gone,) = [each for each in await all_known(tables) if each.state is State.GONE]
    assert gone == Known(finding(1), State.GONE, NOW.date(), NOW.date(), "later", at=later)
    assert book.open() == {ENERGY: 1, TIME: 1}


async def test_what_comes_back_is_open_again(tables: Tables, clock: Clock) -> None:
    """Gone and met once more, it is a finding of that day; the one before stays to be read."""
    await walk(tables, clock, finding())
    await walk(tables, clock, compared=["CH-1|1"], as_of=NOW + DAY)
    await walk(tables, clock, finding(observed=NOW + 2 * DAY))

    known = await all_known(tables)
    assert [(each.state, each.first) for each in known] == [
        (State.OPEN, (NOW + 2 * DAY).date()),
        (State.GONE, NOW.date()),
    ]
    assert len({each.id for each in known}) == 1


async def resolved(tables: Tables, clock: Clock) -> Known:
    (pair,) = [each async for each in read_findings(tables, FindingFilter(states=[State.OPEN]))]
    assert await resolve(tables, *pair, who="Ada", note="looked", clock=clock)
    (known,) = [
        each async for each, _ in read_findings(tables, FindingFilter(states=[State.RESOLVED]))
    ]
    return known


async def test_what_an_operator_resolved_stays_so_until_a_value_changes(
    tables: Tables, clock: Clock
) -> None:
    """Met again on other days with the same values it stays; with another one it is open again."""
    await walk(tables, clock, finding())
    known = await resolved(tables, clock)
    assert (known.who, known.note, known.at) == ("Ada", "looked", NOW)

    for days in (1, 40):
        assert await walk(tables, clock, finding(observed=NOW + days * DAY)) == []
    assert await walk(tables, clock, compared=["CH-1|1"], as_of=NOW + 50 * DAY) == []
    assert await all_known(tables) == [known]

    await walk(tables, clock, finding(observed=NOW + 60 * DAY, wh=1))
    (again,) = await all_known(tables)
    assert (again.state, again.first, again.who) == (State.OPEN, NOW.date(), None)


@pytest.mark.parametrize(
    "met",
    [
        Finding(FindingClass.PERMISSION_MISSING, None, NOW, subject="GET v2/tags"),
        finding(1, MISSING),
        finding(1, FindingClass.OPEN_NOT_AT_EMABLER),
    ],
    ids=lambda met: str(met.cls),
)
@pytest.mark.parametrize("late", [False, True], ids=["before", "while a run is under way"])
async def test_what_was_resolved_and_is_over_is_new_when_it_comes_again(
    tables: Tables,
    clock: Clock,
    met: Finding,
    late: bool,  # noqa: FBT001 - a parameter
) -> None:
    """It has the same values each time: it went, with the operator's word, and is a new one."""
    await walk(tables, clock, met)
    book = await FindingBook.read(tables)
    await resolved(tables, clock)
    book = book if late else await FindingBook.read(tables)
    ledger = await take(tables, clock, "over")
    assert look(book, compared=[met.about], as_of=NOW - HOUR) == []
    await ledger.commit(findings=look(book, compared=[met.about], as_of=NOW + DAY))
    await ledger.release()
    (gone,) = await all_known(tables)
    assert (gone.state, gone.who, gone.note) == (State.GONE, "Ada", "looked")

    (again,) = await walk(tables, clock, replace(met, observed=NOW + 2 * DAY))

    assert again.kind is Kind.NEW
    assert [each.state for each in await all_known(tables)] == [State.OPEN, State.GONE]


async def test_what_is_about_no_session_says_when_it_was_met_last_though_it_was_resolved(
    tables: Tables, clock: Clock
) -> None:
    """Once a day, so that nobody takes it for over; the operator's word and the first day stay."""
    met = Finding(FindingClass.CONTRACT_DRIFT, None, NOW, subject="charger.state unknown_value")
    await walk(tables, clock, met)
    known = await resolved(tables, clock)

    for hours in (25, 26, 30):
        writes = await walk(tables, clock, replace(met, observed=NOW + hours * HOUR))
        assert [write.kind for write in writes] == ([Kind.STILL] if hours == 25 else [])

    later = NOW + 25 * HOUR
    expected = replace(known, finding=replace(met, observed=later), last=later.date())
    assert await all_known(tables) == [expected]
    book = await FindingBook.read(tables)
    assert list(book.abouts(met.cls)) == list(book.known(met.cls)) == [met.about]
    assert look(book, compared=[met.about], as_of=NOW + 24 * HOUR) == []


@pytest.mark.parametrize("what", ["again", "gone", "changed"])
async def test_an_operator_may_resolve_while_a_run_is_under_way(
    tables: Tables, clock: Clock, what: str
) -> None:
    """The run read the finding as open: its commit goes through, and the operator's word holds."""
    await walk(tables, clock, finding(), finding(2))
    book = await FindingBook.read(tables)
    ledger = await take(tables, clock, "under way")
    wanted = FindingFilter(ids=[Known(finding(), State.OPEN, NOW.date(), NOW.date()).id])
    (pair,) = [each async for each in read_findings(tables, wanted)]
    assert await resolve(tables, *pair, who="Ada", note="looked", clock=clock)
    assert not await resolve(tables, *pair, who="Bob", note="too late", clock=clock)

    later = NOW + DAY
    first = finding(observed=later, wh=1 if what == "changed" else 800.0)
    met = [finding(2, observed=later)] if what == "gone" else [first, finding(2, observed=later)]
    writes = look(book, *met, compared=["CH-1|1", "CH-2|2"], as_of=later)
    assert len(writes) == 2
    await ledger.commit(findings=writes, front=NOW)

    known = await all_known(tables)
    assert [(k.state, k.last, k.who) for k in known] == [
        (State.OPEN, later.date(), None),
        (State.RESOLVED, NOW.date(), "Ada"),
    ]
    assert ledger.front == NOW
    if what == "changed":
        # The next run meets the operator's word and the other value: it is open again.
        await ledger.release()
        await walk(tables, clock, first)
        assert {k.state for k in await all_known(tables)} == {State.OPEN}


async def test_what_is_repaired_as_it_is_met_costs_no_look(tables: Tables, clock: Clock) -> None:
    """A hundred missing sessions are two requests, and are listed as repaired; twice as once."""
    ledger = await take(tables, clock)
    missing = [repaired(finding(n, FindingClass.MISSING_IN_STORE)) for n in range(100)]
    with counted() as requests:
        await ledger.commit(findings=missing)
    assert [*requests.by_purpose.values()] == [2]
    await ledger.commit(findings=missing)

    known = await all_known(tables)
    assert len(known) == 100
    assert {each.state for each in known} == {State.REPAIRED}
    assert (await FindingBook.read(tables)).open() == {}


async def test_a_finding_about_no_session_has_a_subject(tables: Tables, clock: Clock) -> None:
    """A call without permission, a field that drifted: listed by what they are about."""
    call = Finding(
        FindingClass.PERMISSION_MISSING,
        None,
        NOW,
        emabler={"permission": "ReadSessions"},
        subject="finished sessions",
    )
    drift = replace(call, cls=FindingClass.CONTRACT_DRIFT, subject="charger.id/type #?")
    await walk(tables, clock, call, drift)
    book = await FindingBook.read(tables)

    assert [each.finding for each in await all_known(tables)] == [drift, call]
    assert list(book.abouts(FindingClass.PERMISSION_MISSING)) == [call.about]
    writes = look(book, compared=[call.about], classes=[call.cls], as_of=NOW + DAY)
    assert [each.kind for each in writes] == [Kind.GONE]


@pytest.mark.parametrize(
    ("given_", "why"),
    [
        ({"session": None}, "about"),
        ({"subject": "x"}, "about"),
        ({"store": {"tag": "04A22B7F"}}, "no tags"),
        ({"emabler": {"tag": HASH[:16]}}, "no tags"),
    ],
)
def test_a_finding_is_about_one_thing_and_names_no_tag(given_: dict[str, object], why: str) -> None:
    """Half a subject, two of them, or a tag that is not hashed is a mistake in the code."""
    fields = {"session": "CH|1", "observed": NOW} | given_
    with pytest.raises(ValueError, match=why):
        Finding(FindingClass.TAG_DIFFERS, **fields)  # type: ignore[arg-type] # what is tested


@given(st.text(max_size=3000), st.text(max_size=30))
def test_any_text_fits_its_row(text: str, name: str) -> None:
    """What a server answers is cut to what a row holds, and reads back to the same digest."""
    met = replace(finding(), store={name: text, "tag": HASH}, emabler={"detail": text * 20})
    row = known_row(Known(met, State.OPEN, NOW.date(), NOW.date()))

    assert all(len(str(value)) < 30_000 for value in row.columns.values())
    assert known_from_row(row).finding.digest == met.digest


def held(book: FindingBook) -> set[tuple[str, Entry]]:
    return {(about, entry) for about, entries in book._entries.items() for entry in entries}


STEPS = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.integers(0, 3), st.sampled_from([ENERGY, MISSING]), st.integers(1, 3)),
            max_size=4,
            unique_by=lambda each: each[:2],
        ),
        st.sets(st.integers(0, 3)),
        st.integers(-30, 60),
        st.booleans(),
    ),
    max_size=8,
)


@given(STEPS)
async def test_the_book_is_what_the_store_holds(
    steps: list[tuple[list[tuple[int, FindingClass, int]], set[int], int, bool]],
) -> None:
    """After any looks, one book that was kept and one that is read anew decide the same."""
    tables, clock = MemoryTables(RECONCILIATION), Clock()
    book = await FindingBook.read(tables)
    ledger = await take(tables, clock, "all")
    for met, compared, hours, resolving in steps:
        as_of = NOW + timedelta(hours=hours)
        found = [finding(n, cls, observed=as_of, wh=wh) for n, cls, wh in met]
        about = {f"CH-{n}|{n}" for n in compared}
        await ledger.commit(findings=look(book, *found, compared=about, as_of=as_of))
        if resolving:
            async for pair in read_findings(tables, FindingFilter(states=[State.OPEN])):
                await resolve(tables, *pair, who="Ada", note="", clock=clock)
            book = await FindingBook.read(tables)
        anew = await FindingBook.read(tables)
        assert held(anew) == held(book)
        assert anew.open() == book.open()
        keys = [each.key for each in await all_known(tables) if each.state is not State.GONE]
        assert len({key.partition("|")[2] for key in keys}) == len(keys)


class Endless:
    """A store of so many open findings, which it makes as they are read."""

    def __init__(self, count: int) -> None:
        self._count = count

    async def range(
        self, _table: str, _partition: str, start: str = "", _end: str | None = None
    ) -> AsyncIterator[Row]:
        for row in self._rows() if start == "open|" else ():
            yield row

    def _rows(self) -> Iterable[Row]:
        for number in range(self._count):
            yield known_row(Known(finding(number), State.OPEN, NOW.date(), NOW.date()))


async def test_open_findings_take_little_memory() -> None:
    """10,000 of them take less than 6 MB, and each as much as any other: values are not held."""
    taken = []
    for count in (5_000, 10_000):
        tracemalloc.start()
        book = await FindingBook.read(Endless(count))  # type: ignore[arg-type] # only ranges are read
        size, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert book.open() == {ENERGY: count}
        assert peak < size * 1.5
        taken.append(size)

    assert taken[1] < 6_000_000
    assert taken[1] < 2.3 * taken[0]
