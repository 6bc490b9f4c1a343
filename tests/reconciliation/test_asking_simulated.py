"""Asking the simulated eMabler while its books change and its answers lie: every fault it has."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from random import Random
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.emabler.faults.rules import FaultName, Rule
from local.emabler.habits import BOUNDS, Bounds, Habits
from local.emabler.records import FinishedSession, instant
from shared.emabler.client import EmablerClient
from shared.errors import BudgetSpentError, RestRefusedError, RestUnavailableError
from shared.reconciliation.asking import pictures
from shared.reconciliation.spans import EVER, Budget, Lie, Picture, Span
from tests.emabler.rest import NOW
from tests.reconciliation.simulated import Simulated, a_day_of, finished

FAULTS: tuple[FaultName, ...] = get_args(FaultName.__value__)
SEEDS = range(20)
PAGE_SIZE = 5
MOST_REQUESTS = 200
RUNS = 18
"""After two thirds of so many runs nothing goes wrong any more: the span must come to its end."""


def rule(fault: FaultName, rate: float) -> Rule:
    """The fault at this rate, in times that suit the ones of these tests."""
    match fault:
        case "timing_out":
            return Rule(fault=fault, rate=rate, seconds=0)
        case "late_sessions":
            return Rule(fault=fault, rate=rate, seconds=7200)
        case "throttled":
            return Rule(fault=fault, rate=rate, retry_after=1)
    return Rule(fault=fault, rate=rate)


LAST_HOURS = Span(NOW - timedelta(hours=5), NOW + timedelta(seconds=1))


class Changes:
    """What happens to the books after each answer: a session comes, goes, or ends later."""

    def __init__(self, simulated: Simulated, what: Iterable[tuple[str, int, int]]) -> None:
        self._simulated = simulated
        self._what = iter(what)
        self._number = 1000

    def __call__(self) -> None:
        kind, which, seconds = next(self._what, ("", 0, 0))
        sessions: list[FinishedSession] = self._simulated.books.shelf("sessions")
        if not kind or not sessions:
            return
        chosen = sessions[which % len(sessions)]
        self._number += 1
        if kind == "comes":
            self._simulated.change([finished(self._number, NOW - timedelta(seconds=seconds))])
        elif kind == "goes":
            self._simulated.change(removed=[chosen])
        elif instant(chosen.timestamp_end) < NOW:
            later = instant(chosen.timestamp_end) + timedelta(seconds=seconds % 5000)
            self._simulated.change([finished(chosen.id, later)])


CHANGE = st.tuples(
    st.sampled_from(["", "", "comes", "goes", "ends later"]),
    st.integers(0, 100),
    # Many around the second of many sessions, where pages are walked.
    st.one_of(st.integers(0, 86_400), st.integers(3 * 3600 - 1, 3 * 3600 + 1)),
)


async def run(client: EmablerClient, span: Span, found: list[Picture | Lie]) -> bool:
    """One run as the timer would make it; whether it came to the end of the span."""
    budget = Budget(client.counts, requests=MOST_REQUESTS, elapsed=lambda: 0.0)
    try:
        async for each in pictures(client, span, tries=2, budget=budget):
            found.append(each)
            if isinstance(each, Lie):
                return False
    except (BudgetSpentError, RestUnavailableError, RestRefusedError):
        return False
    return True


async def walked(simulated: Simulated, span: Span) -> list[Picture | Lie]:
    """Runs, each from where the pictures of the ones before it end, until the span is done."""
    found: list[Picture | Lie] = []
    async with simulated.client(page_size=PAGE_SIZE) as client:
        for number in range(RUNS):
            if number > RUNS * 2 // 3:
                simulated.spoil(0)
                simulated.between = None
            ends = [each.span.end for each in found if isinstance(each, Picture)]
            front = Span(ends[-1] if ends else span.start, span.end)
            before = simulated.requests
            over = await run(client, front, found)
            # A budget ends between pictures, one of which may take some walks and their retries.
            assert simulated.requests - before < MOST_REQUESTS + 100
            if over:
                return found
    pytest.fail(f"{RUNS} runs did not come to the end")


def pictures_of(found: Iterable[Picture | Lie]) -> list[Picture]:
    return [each for each in found if isinstance(each, Picture)]


def check(simulated: Simulated, found: list[Picture | Lie], span: Span, strange: set[int]) -> None:
    """Each picture is complete as of its instant, and they lie side by side over the span.

    `strange` are sessions that eMabler itself lists late, or with another end at first.
    """
    parts = [each.span for each in pictures_of(found)]
    assert [part.start for part in parts] == [span.start, *(part.end for part in parts[:-1])]
    assert parts[-1].end == span.end
    for picture in pictures_of(found):
        assert simulated.missing(picture) <= strange, picture
        assert simulated.invented(picture) <= strange, picture


async def asked(
    faults: Iterable[FaultName],
    seed: int,
    rate: float,
    changes: Iterable[tuple[str, int, int]],
    *,
    span: Span = EVER,
    habits: Habits | None = None,
) -> None:
    simulated = Simulated(a_day_of(40), habits)
    simulated.spoil(seed, *(rule(fault, rate) for fault in faults))
    plan = simulated.faults.plan
    simulated.between = Changes(simulated, changes)
    first = dict(simulated.truth(NOW))

    found = await walked(simulated, span)

    drawn = {
        fault: {n for n in range(2000) if fault in faults and plan.draw(fault, n) < rate}
        for fault in ("late_sessions", "changing_sessions")
    }
    late, changing = drawn["late_sessions"], drawn["changing_sessions"]
    check(simulated, found, span, late | changing)
    # What was there from the beginning to the end, as it was, is in some picture.
    stayed = {n for n, end in first.items() if simulated.truth(simulated.now()).get(n) == end}
    seen = {int(s.rest_id) for picture in pictures_of(found) for s in picture.items}
    if span == EVER:
        assert stayed - late <= seen


def drawn_changes(seed: int) -> Iterable[tuple[str, int, int]]:
    random = Random(seed)
    for _ in range(400):
        kind = random.choice(["", "", "", "comes", "goes", "ends later"])
        near = random.choice([random.randrange(86_400), 3 * 3600])
        yield kind, random.randrange(100), near


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_alone(fault: FaultName) -> None:
    """Twenty seeds: no session missed, no walk without end, no picture that was not complete."""

    async def all_seeds() -> None:
        for seed in SEEDS:
            span = EVER if seed % 10 == 0 else LAST_HOURS
            rate = (0.2, 0.6, 1.0)[seed % 3]
            await asked([fault], seed, rate, drawn_changes(seed), span=span)

    asyncio.run(all_seeds())


@pytest.mark.parametrize("seed", SEEDS)
def test_all_faults_together(seed: int) -> None:
    """The same with everything wrong at once."""
    asyncio.run(asked(FAULTS, seed, (0.03, 0.1, 0.3)[seed % 3], drawn_changes(seed)))


OF_PAGES: tuple[FaultName, ...] = (
    *("moving_pages", "repeated_rows", "wrong_total", "short_page"),
    *("outside_window", "empty_page_with_more", "unknown_fields", "long_fractions"),
)


@pytest.mark.parametrize("fault", OF_PAGES)
async def test_walks_of_a_second_that_changes(fault: FaultName) -> None:
    """Many sessions of one second need pages: a walk that missed one or met one twice is none."""
    came = 0
    for seed in range(3 * len(SEEDS)):
        random = Random(seed)
        second = NOW - timedelta(hours=3)
        sessions = [finished(n, second) for n in range(1, random.randrange(8, 20))]
        simulated = Simulated([*sessions, finished(99, NOW - timedelta(days=1))])
        simulated.spoil(seed, rule(fault, random.choice([0.1, 0.3, 1.0])))
        calm = [("", 0, 0)] * random.choice([0, 2, 6, 20])
        change = [(random.choice(["comes", "goes", "ends later"]), random.randrange(20), 3 * 3600)]
        simulated.between = Changes(simulated, (calm + change) * 8)
        async with simulated.client(page_size=4) as client:
            for _ in range(3):
                found: list[Picture | Lie] = []
                await run(client, Span(second, second + timedelta(seconds=1)), found)
                for picture in pictures_of(found):
                    came += 1
                    assert simulated.missing(picture) == set(), (seed, picture)
                    assert simulated.invented(picture) == set(), (seed, picture)
                    assert len({s.rest_id for s in picture.items}) == len(picture.items)
    assert came > 20


@pytest.mark.parametrize("at", range(1, 12))
@pytest.mark.parametrize(("goes", "comes"), [(10, 99), (30, 1)])
async def test_an_exchange_that_leaves_the_total_alone(at: int, goes: int, comes: int) -> None:
    """One goes and another comes between two pages, so that a row is skipped, or comes twice."""
    second = NOW - timedelta(hours=3)
    simulated = Simulated(finished(n, second) for n in range(10, 31))
    answers = 0

    def exchange() -> None:
        nonlocal answers
        answers += 1
        if answers == at:
            simulated.change([finished(comes, second)], [finished(goes, second)])

    simulated.between = exchange
    found: list[Picture | Lie] = []
    async with simulated.client(page_size=8) as client:
        await run(client, Span(second, second + timedelta(seconds=1)), found)

    for picture in pictures_of(found):
        assert simulated.missing(picture) == set() == simulated.invented(picture)
        assert len({s.rest_id for s in picture.items}) == len(picture.items)


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("page_size", [1, 5, 7])
async def test_whichever_bounds_belong_to_a_range(bounds: Bounds, page_size: int) -> None:
    """Sessions on each second, so on each cut: all are in the pictures of their parts."""
    sessions = [finished(n, NOW - timedelta(seconds=n)) for n in range(1, 61)]
    simulated = Simulated(sessions, Habits(bounds=bounds))
    span = Span(NOW - timedelta(seconds=60), NOW)

    async with simulated.client(page_size=page_size) as client:
        found = [each async for each in pictures(client, span)]

    check(simulated, found, span, set())
    assert len(pictures_of(found)) == len(found) > 6


@settings(max_examples=40)
@given(
    changes=st.lists(CHANGE, max_size=60),
    bounds=st.sampled_from(BOUNDS),
    seconds=st.tuples(st.integers(0, 90_000), st.integers(0, 90_000)),
)
def test_books_that_change_between_requests(
    changes: list[tuple[str, int, int]], bounds: Bounds, seconds: tuple[int, int]
) -> None:
    """Whatever comes, goes or moves meanwhile, and whichever bounds belong to a range."""
    until, since = (NOW - timedelta(seconds=each) for each in sorted(seconds))
    span = Span(since, until + timedelta(seconds=1))

    asyncio.run(asked([], 0, 0, changes, span=span, habits=Habits(bounds=bounds)))


@settings(max_examples=25)
@given(
    changes=st.lists(CHANGE, max_size=60),
    faults=st.sets(st.sampled_from(FAULTS), min_size=1),
    rate=st.sampled_from([0.05, 0.2, 0.5]),
    seed=st.integers(0, 2**32),
)
def test_any_faults_over_changing_books(
    changes: list[tuple[str, int, int]], faults: set[FaultName], rate: float, seed: int
) -> None:
    """Any set of faults at any rate, over books that change in any way."""
    asyncio.run(asked(sorted(faults), seed, rate, changes))
