"""Asking for finished sessions: each part of a span is a whole picture, or told to be a lie."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx
import pytest

from shared.emabler.retries import MOST_TRIES
from shared.errors import BudgetSpentError, RestRefusedError, RestUnavailableError
from shared.instants import format_instant, parse_instant
from shared.reconciliation import asking
from shared.reconciliation.answers import Named
from shared.reconciliation.asking import LONGEST, ask_by_rest_ids, ask_by_transactions
from shared.reconciliation.asking_near import Near, ask_near
from shared.reconciliation.spans import LIES, Budget, Lie, Picture, Span
from tests.emabler.rest import Time, client

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
DAY = Span(NOW - timedelta(days=1), NOW)
MINUTES = Span(NOW - timedelta(minutes=15), NOW)
"""Too short to be cut where it lies."""

pictures = partial(asking.pictures, longest=timedelta.max)
"""As it is asked for a stretch that is short enough."""

type Spoil = Callable[[dict[str, Any], dict[str, Any]], Mapping[str, Any]]
"""Changes an answer, given the request's body and the answer as it should be."""


def item(number: int, end: datetime | str | None, **fields: Any) -> dict[str, Any]:
    return {
        "id": number,
        "chargerId": "CH-0042",
        "evseTransactionId": str(number),
        "timestampEnd": format_instant(end) if isinstance(end, datetime) else end,
    } | fields


class Finished:
    """eMabler's finished sessions behind their filters, in pages; `spoil` changes each answer."""

    def __init__(self, items: Iterable[dict[str, Any]], spoil: Spoil | None = None) -> None:
        self.items = list(items)
        self.asked: list[dict[str, Any]] = []
        self.spoil = spoil

    def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        self.asked.append(asked)
        found = [each for each in self.items if self._is_asked_for(each, asked)]
        first, limit = (asked["page"] - 1) * asked["limit"], asked["limit"]
        answer: Mapping[str, Any] = {
            "items": found[first : first + limit],
            "totalRecords": len(found),
            "hasNextPage": first + limit < len(found),
        }
        if self.spoil is not None:
            answer = {**answer, **self.spoil(asked, dict(answer))}
        if answer.get("status"):
            return httpx.Response(answer["status"])
        return httpx.Response(200, json=answer)

    def end_of(self, number: int) -> datetime | None:
        """When a session ended."""
        return parse_instant(next(e["timestampEnd"] for e in self.items if e["id"] == number))

    @staticmethod
    def _is_asked_for(each: dict[str, Any], asked: Mapping[str, Any]) -> bool:
        end = parse_instant(each["timestampEnd"] or "")
        since, until = (
            parse_instant(asked.get(name, "")) for name in ("stopTimeSearchBegin", "stopTime")
        )
        # What has no end is less than all that has one.
        end = datetime.min.replace(tzinfo=UTC) if end is None else end
        return (
            (since is None or since <= end)
            and (until is None or end <= until)
            and each["evseTransactionId"]
            in asked.get("evseTransactionIds", [each["evseTransactionId"]])
            and each["id"] in asked.get("transactionIds", [each["id"]])
            and each["chargerId"] in asked.get("chargerIDs", [each["chargerId"]])
        )


async def ask(
    books: Finished, span: Span = DAY, *, page_size: int = 10, tries: int = 3, **budget: Any
) -> list[Picture | Lie]:
    time = Time()
    async with client(books, time=time, page_size=page_size) as rest:
        limits = Budget(rest.counts, elapsed=lambda: time.seconds, **budget)
        return [each async for each in pictures(rest, span, tries=tries, budget=limits)]


async def test_what_fits_on_a_page_is_one_request() -> None:
    """The span is asked for with a second more at both ends; the answer is the picture."""
    books = Finished(item(n, NOW - timedelta(hours=n)) for n in range(1, 9))

    (found,) = await ask(books)

    assert isinstance(found, Picture)
    assert (found.span, found.pages, found.unidentified) == (DAY, 1, 0)
    assert [session.rest_id for session in found.items] == [str(n) for n in range(1, 9)]
    (asked,) = books.asked
    assert (asked["stopTimeSearchBegin"], asked["stopTime"], asked["page"], asked["limit"]) == (
        "2026-11-01T11:59:59.000000Z",
        "2026-11-02T12:00:01.000000Z",
        1,
        10,
    )


def named(numbers: Iterable[int], charger: str = "CH-0042") -> list[Named]:
    return [Named(charger, str(number)) for number in numbers]


async def test_ids_are_asked_for_in_batches() -> None:
    """Transactions and REST ids: each batch is one whole picture that names what it is about."""
    books = Finished(item(n, NOW) for n in range(1, 25))
    async with client(books, page_size=10) as rest:
        by_transactions = [each async for each in ask_by_transactions(rest, named(range(20, 30)))]
        by_rest_ids = [
            each async for each in ask_by_rest_ids(rest, ["3", "none", "9" * 9999, "", "4"])
        ]

    (found,) = by_transactions
    assert isinstance(found, Picture)
    assert found.ids == {f"CH-0042|{n}" for n in range(20, 30)}
    assert {session.transaction for session in found.items} == set(map(str, range(20, 25)))
    (found,) = by_rest_ids
    assert isinstance(found, Picture)
    assert {session.rest_id for session in found.items} == found.ids == {"3", "4"}


def ids_of(found: Iterable[Picture | Lie]) -> list[str]:
    return [s.rest_id for each in found if isinstance(each, Picture) for s in each.items]


def gapless(found: Iterable[Picture | Lie], span: Span) -> bool:
    """Whether the parts lie side by side from the span's start to its end."""
    parts = [each.span for each in found]
    starts, ends = [each.start for each in parts], [each.end for each in parts]
    return starts == [span.start, *ends[:-1]] and ends[-1] == span.end


async def test_a_day_of_many_pages_is_cut_into_pictures() -> None:
    """Each part is one whole answer, the parts have no gap, and few requests are for nothing."""
    books = Finished(item(n, NOW - timedelta(seconds=43 * n)) for n in range(2000))

    found = await ask(books, page_size=100)

    assert all(isinstance(each, Picture) and each.pages == 1 for each in found)
    assert gapless(found, DAY)
    assert set(ids_of(found)) == {str(n) for n in range(2000)}
    assert all(asked["page"] == 1 for asked in books.asked)
    assert len(books.asked) < 1.5 * 2000 / 100


async def test_a_session_at_a_cut_is_in_both_parts() -> None:
    """Which of two parts a bound belongs to is not known: both have it, so that none loses it."""
    books = Finished(item(n, NOW - timedelta(hours=12)) for n in range(10))
    books.items += [item(n, NOW - timedelta(hours=1)) for n in range(10, 12)]

    found = await ask(books, page_size=10)

    assert gapless(found, DAY)
    assert set(ids_of(found)) == {str(n) for n in range(12)}
    cut = [each for each in found if each.span.holds(NOW - timedelta(hours=12))]
    assert all(len(ids_of([each])) == 10 for each in cut)


async def test_what_no_span_parts_is_walked_until_two_walks_are_equal() -> None:
    """Sessions of one second that need pages: walked twice, as of before the second walk."""
    books = Finished(item(n, NOW - timedelta(hours=1)) for n in range(25))
    span = Span(NOW - timedelta(hours=1), NOW - timedelta(hours=1) + timedelta(seconds=1))
    time = Time()

    def tick(asked: dict[str, Any], _answer: dict[str, Any]) -> dict[str, Any]:
        time.seconds += 1
        return asked and {}

    books.spoil = tick
    async with client(books, time=time, page_size=10) as rest:
        (found,) = [each async for each in pictures(rest, span)]

    assert isinstance(found, Picture)
    assert sorted(map(int, ids_of([found]))) == list(range(25))
    assert [(asked["page"], asked["limit"]) for asked in books.asked] == [
        (1, 10),
        *((page, 10) for page in (1, 2, 3)),
        *((page, 8) for page in (1, 2, 3, 4)),
    ]
    assert found.as_of == NOW + timedelta(seconds=4)
    assert found.pages == 4


async def test_ends_that_cannot_be_are_in_the_open_ended_span_that_lists_them() -> None:
    """1970, 2038 and none at all: each is in a picture, and in no bounded one."""
    ends: dict[int, datetime | str | None] = {4: "0001-01-01T00:00:00Z", 5: "9999-12-31T23:59:59Z"}
    ends |= {
        6: NOW,
        1: datetime(1970, 1, 1, tzinfo=UTC),
        2: datetime(2038, 1, 19, tzinfo=UTC),
        3: None,
    }
    books = Finished(item(n, end) for n, end in sorted(ends.items()))
    before, after = Span(None, DAY.start), Span(NOW, None)

    found = {span: ids_of(await ask(books, span)) for span in (before, DAY, after)}

    assert found == {before: ["1", "3", "4"], DAY: ["6"], after: ["2", "5", "6"]}


async def test_an_open_ended_span_of_many_pages_is_cut_too() -> None:
    """Many sessions of clocks that were never set do not keep the others from being seen."""
    books = Finished(item(n, datetime(1970, 1, 1, 0, 0, n % 7, tzinfo=UTC)) for n in range(60))
    books.items += [item(n, datetime(2001, 1, n - 59, tzinfo=UTC)) for n in range(60, 75)]
    span = Span(None, datetime(2015, 1, 1, tzinfo=UTC))

    found = await ask(books, span, page_size=20)

    assert all(isinstance(each, Picture) for each in found)
    assert gapless(found, span)
    assert set(ids_of(found)) == {str(n) for n in range(75)}
    assert len(books.asked) < 120


async def test_rows_that_nothing_identifies_are_counted() -> None:
    """They belong to the total: the picture is whole, and says how many of its rows are none."""
    books = Finished([item(1, NOW), item(2, NOW, chargerId=None), item(3, NOW) | {"id": None}])

    (found,) = await ask(books)

    assert isinstance(found, Picture)
    assert (ids_of([found]), found.unidentified) == (["1"], 2)


SECOND = Span(NOW, NOW + timedelta(seconds=1))


def first_page(**fields: Any) -> Spoil:
    return lambda asked, _answer: fields if asked["page"] == 1 else {}


def fewer(asked: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    return asked and {"items": answer["items"][:-1]}


def twice(asked: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    return asked and {"items": [*answer["items"][:-1], answer["items"][0]]}


def stranger(asked: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    return asked and {"items": [*answer["items"][:-1], item(99, NOW + timedelta(seconds=3))]}


def poison(*numbers: int) -> Spoil:
    """The server fails over each answer that would have one of these sessions."""

    def spoil(asked: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        return asked and {"status": 500 * any(each["id"] in numbers for each in answer["items"])}

    return spoil


def same(asked: dict[str, Any], _answer: dict[str, Any]) -> dict[str, Any]:
    return {"items": [item(n, NOW) for n in range(asked["limit"])], "hasNextPage": True}


def all_new(asked: dict[str, Any], _answer: dict[str, Any]) -> dict[str, Any]:
    first = asked["page"] * 1000
    items = [item(first + n, NOW) for n in range(asked["limit"])]
    return {"items": items, "totalRecords": 10**9, "hasNextPage": True}


def boundless(asked: dict[str, Any], _answer: dict[str, Any]) -> dict[str, Any]:
    end = parse_instant(asked["stopTimeSearchBegin"])
    items = [item(n, end) for n in range(asked["limit"])]
    return {"items": items, "totalRecords": 10**9, "hasNextPage": True}


def endless(asked: dict[str, Any], _answer: dict[str, Any]) -> dict[str, Any]:
    page = asked["page"]
    return {
        "items": [item(2 * page, NOW), item(2 * page + 1, NOW)],
        "totalRecords": 12,
        "hasNextPage": True,
    }


class Flickering:
    """Says each time that another one of the sessions is there."""

    def __init__(self) -> None:
        self.walks = 0

    def __call__(self, asked: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        self.walks += asked["page"] == 1
        return {"items": [each | {"id": 100 * self.walks + each["id"]} for each in answer["items"]]}


LYING: list[tuple[str, int, Span, Spoil]] = [
    ("answer_short", 5, MINUTES, fewer),
    ("answer_short", 5, MINUTES, first_page(totalRecords=9)),
    ("total_wrong", 5, MINUTES, first_page(totalRecords=3)),
    ("total_missing", 5, MINUTES, first_page(totalRecords=None)),
    ("total_missing", 5, MINUTES, first_page(totalRecords="many")),
    ("empty_with_more", 5, MINUTES, first_page(items=[], hasNextPage=True)),
    ("answer_repeats", 5, MINUTES, twice),
    ("rows_outside", 5, MINUTES, stranger),
    ("rows_outside", 5, MINUTES, first_page(items=[item(1, None)], totalRecords=1)),
    ("total_never_falls", 25, DAY, boundless),
    ("walks_differ", 25, SECOND, Flickering()),
    ("walk_unsteady", 25, SECOND, first_page(totalRecords=26)),
    ("too_many_rows", 25, SECOND, all_new),
    ("pages_repeat", 25, SECOND, same),
    ("pages_endless", 25, SECOND, endless),
    ("answer_fails", 4, MINUTES, poison(2)),
    ("answer_fails", 25, SECOND, poison(14)),
]


@pytest.mark.parametrize(("code", "rows", "span", "spoil"), LYING)
async def test_an_answer_that_lies_is_asked_again_and_then_told(
    code: str, rows: int, span: Span, spoil: Spoil, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After as many tries as are given the lie is all that comes, and nothing is a picture."""
    monkeypatch.setattr(asking, "MOST_ROWS", 200)
    books = Finished((item(n, NOW) for n in range(rows)), spoil)

    for tries in (1, 3):
        books.asked.clear()
        found = await ask(books, span, tries=tries)

        lie = found[-1]
        assert isinstance(lie, Lie)
        assert lie.code == code
        assert ids_of(found) == []
        assert re.search(r"\d", lie.detail)
        if rows == 5:
            assert len(books.asked) == tries


def test_each_lie_has_its_answers() -> None:
    """The rows above bring forth each lie that there is."""
    assert {code for code, *_ in LYING} == LIES.keys()


async def walked_past(books: Finished, time: Time, **options: Any) -> list[Picture | Lie]:
    """The pictures of a day, and the lies between them, each walk from behind the one before."""
    found: list[Picture | Lie] = []
    async with client(books, time=time, page_size=20, **options) as rest:
        span = DAY
        while True:
            found += [each async for each in pictures(rest, span)]
            if not isinstance(found[-1], Lie) or found[-1].span.end in (None, DAY.end):
                return found
            span = Span(found[-1].span.end, DAY.end)


@pytest.mark.parametrize("poisoned", [(10,), (10, 80), (10, 11, 12)])
async def test_a_row_over_which_the_server_fails_is_cut_out(poisoned: tuple[int, ...]) -> None:
    """It is told with a quarter of an hour around it; all else is proven, though others fail."""
    books = Finished(item(n, NOW - timedelta(minutes=13 * n)) for n in range(1, 110))
    books.spoil = poison(*poisoned)
    time = Time()

    found = await walked_past(books, time)

    assert gapless(found, DAY)
    lies = [each for each in found if isinstance(each, Lie)]
    assert {each.code for each in lies} == {"answer_fails"}
    assert all(each.span.length == timedelta(minutes=15) for each in lies)
    hidden = {n for n in range(1, 110) for each in lies if each.span.holds(books.end_of(n))}
    assert set(poisoned) <= hidden
    assert len(hidden) <= 2 * len(poisoned)
    assert set(range(1, 110)) - hidden <= set(map(int, ids_of(found)))
    # One question at each place is tried for as long as is set, its parts for a moment.
    assert time.seconds < len(poisoned) * 90
    assert len(books.asked) < 40 + 60 * len(poisoned)


@pytest.mark.parametrize(
    "fails",
    [
        lambda: httpx.Response(500),
        lambda: httpx.Response(503, headers={"retry-after": "600"}),
        lambda: httpx.Response(429),
        lambda: httpx.Response(200, text="<html>closed</html>"),
    ],
)
async def test_a_server_that_fails_whatever_it_is_asked_is_away(
    fails: Callable[[], httpx.Response],
) -> None:
    """Nothing is cut, and one question more than its tries is sent: the error goes up as it is."""
    counts = []
    for longest in (DAY, MINUTES):
        answers: list[httpx.Request] = []

        def answer(request: httpx.Request, answers: list[httpx.Request] = answers) -> Any:
            answers.append(request)
            return fails()

        time = Time()
        async with client(answer, time=time) as rest:
            with pytest.raises(RestUnavailableError):
                [each async for each in pictures(rest, longest)]
        assert time.seconds <= 60
        counts.append(len(answers))

    assert counts[0] == counts[1] <= MOST_TRIES + 1


async def test_a_server_that_goes_away_while_a_place_is_cut_tells_no_lie() -> None:
    """What fails is a place only as long as another question is answered."""
    items = [item(n, NOW - timedelta(minutes=13 * n)) for n in range(1, 110)]
    whole = Finished(items, poison(50))
    assert isinstance((await ask(whole, page_size=20))[-1], Lie)
    # The last question is the one elsewhere, after which the place is told.
    for goes_at in range(1, len(whole.asked)):
        books = Finished(items, poison(50))

        def answer(
            request: httpx.Request, books: Finished = books, goes_at: int = goes_at
        ) -> httpx.Response:
            return books(request) if len(books.asked) < goes_at else httpx.Response(502)

        found: list[Picture | Lie] = []
        async with client(answer, page_size=20) as rest:
            with suppress(RestUnavailableError):
                async for each in pictures(rest, DAY):
                    found.append(each)  # noqa: PERF401 - what came before the error counts

        assert all(isinstance(each, Picture) for each in found)


async def test_an_id_over_which_the_server_fails_hides_no_other() -> None:
    """A batch that fails is halved until the one id is known; the others are answered."""
    books = Finished((item(n, NOW) for n in range(1, 17)), poison(5))
    time = Time()
    async with client(books, time=time, page_size=16) as rest:
        found = [each async for each in ask_by_rest_ids(rest, map(str, range(1, 17)))]

    (lie,) = (each for each in found if isinstance(each, Lie))
    assert (lie.code, lie.ids) == ("answer_fails", frozenset({"5"}))
    assert set(map(int, ids_of(found))) == set(range(1, 17)) - {5}
    assert time.seconds < 90


async def test_a_start_over_which_the_server_fails_is_not_answered() -> None:
    """Of what is asked for by charger and start nothing is known, and the others are found."""
    books = Finished([item(1, NOW), item(2, NOW, chargerId="CH-2")])
    starts = [Near("CH-0042", 1, NOW), Near("CH-2", 1, NOW)]

    def spoil(asked: dict[str, Any], _answer: dict[str, Any]) -> dict[str, Any]:
        mine = asked.get("chargerIDs") == ["CH-0042"]
        return {"status": 500} if mine else {"items": [], "totalRecords": 0, "hasNextPage": False}

    books.spoil = spoil
    async with client(books) as rest:
        found = await ask_near(rest, starts, Budget(rest.counts))

    assert (found.heard, found.unanswered) == ((), frozenset({starts[0]}))


async def test_a_lie_that_does_not_last_costs_a_request() -> None:
    """An answer that lies once is asked again; what comes then is the picture."""
    spoils = iter([fewer, first_page()])

    def first_wrong(asked: dict[str, Any], answer: dict[str, Any]) -> Mapping[str, Any]:
        return next(spoils)(asked, answer)

    books = Finished((item(n, NOW) for n in range(5)), first_wrong)

    (found,) = await ask(books)

    assert isinstance(found, Picture)
    assert len(ids_of([found])) == 5


async def test_pictures_before_a_lie_hold() -> None:
    """A lie ends the walk: it begins where the pictures before it end."""

    def from_noon(asked: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        late = parse_instant(asked["stopTime"]) > NOW - timedelta(hours=6)  # type: ignore[operator]
        return (
            {"totalRecords": answer["totalRecords"] + 1}
            if late and len(answer["items"]) < 10
            else {}
        )

    books = Finished((item(n, NOW - timedelta(minutes=30 * n)) for n in range(48)), from_noon)

    found = await ask(books, page_size=10)

    assert [type(each) for each in found] == [*[Picture] * (len(found) - 1), Lie]
    assert len(found) > 3
    assert gapless(found, Span(DAY.start, found[-1].span.end))


async def test_a_server_that_gives_fewer_rows_than_it_is_asked_for_is_believed() -> None:
    """A page size of its own costs smaller parts, and no lie."""

    def capped(asked: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        return asked and {"items": answer["items"][:4], "hasNextPage": len(answer["items"]) > 4}

    books = Finished((item(n, NOW - timedelta(minutes=n)) for n in range(60)), capped)

    found = await ask(books, page_size=10)

    assert gapless(found, DAY)
    assert set(ids_of(found)) == {str(n) for n in range(60)}


async def test_no_word_of_a_next_page_costs_two_walks() -> None:
    """Where `hasNextPage` is not told, pages that add up twice are the picture."""
    books = Finished((item(n, NOW) for n in range(5)), lambda *_: {"hasNextPage": None})

    (found,) = await ask(books)

    assert isinstance(found, Picture)
    assert len(ids_of([found])) == 5
    assert len(books.asked) == 3


@pytest.mark.parametrize(("limits", "requests"), [({"requests": 3}, 3), ({"seconds": 2.5}, 3)])
async def test_a_budget_that_is_used_up_ends_between_pictures(
    limits: dict[str, Any], requests: int
) -> None:
    """What came before holds; then it is told that requests or seconds are used up."""
    time = Time()

    def tick(asked: dict[str, Any], _answer: dict[str, Any]) -> dict[str, Any]:
        time.seconds += 1
        return asked and {}

    books = Finished((item(n, NOW - timedelta(hours=n)) for n in range(24)), tick)
    async with client(books, time=time, page_size=10) as rest:
        budget = Budget(rest.counts, elapsed=lambda: time.seconds, **limits)
        found = pictures(rest, DAY, budget=budget)
        came = [await anext(found), await anext(found)]
        with pytest.raises(BudgetSpentError, match=next(iter(limits))):
            await anext(found)

    assert gapless(came, Span(DAY.start, came[-1].span.end))
    assert len(books.asked) == requests


async def test_the_first_picture_comes_however_many_requests_it_takes() -> None:
    """A second of more sessions than a budget has requests for is not left out for ever."""
    books = Finished(item(n, NOW) for n in range(50))

    (found,) = await ask(books, SECOND, requests=1)

    assert len(ids_of([found])) == 50


async def test_the_next_picture_is_asked_for_while_the_caller_works() -> None:
    """One ahead, not more; when the caller stops, nothing is asked any more."""
    books = Finished(item(n, NOW - timedelta(minutes=n)) for n in range(100))
    async with client(books, page_size=10) as rest:
        found = pictures(rest, DAY)
        await anext(found)
        before = len(books.asked)
        for _ in range(20):
            await asyncio.sleep(0)
        ahead = len(books.asked)
        await anext(found)
        await found.aclose()
        after = len(books.asked)
        for _ in range(20):
            await asyncio.sleep(0)

    assert before < ahead <= before + 2
    assert len(books.asked) == after


async def test_weather_comes_through_after_what_came_before_it() -> None:
    """A picture that came holds, though the next request fails."""
    books = Finished(item(n, NOW - timedelta(minutes=n)) for n in range(100))
    async with client(
        lambda request: books(request) if len(books.asked) < 4 else httpx.Response(401),
        page_size=10,
    ) as rest:
        found = pictures(rest, DAY)
        came = [await anext(found)]
        with pytest.raises(RestRefusedError):
            came += [each async for each in found]

    assert gapless(came, Span(DAY.start, came[-1].span.end))


async def test_an_id_of_many_sessions_is_walked() -> None:
    """A charger may use its ids again: a batch is halved, and at last one id takes pages."""
    books = Finished(
        item(n, NOW - timedelta(minutes=n), evseTransactionId=str(n % 2 + 1)) for n in range(30)
    )
    async with client(books, page_size=10) as rest:
        found = [each async for each in ask_by_transactions(rest, named([1, 2, 3]))]

    assert len(set(ids_of(found))) == 30
    ids = frozenset().union(*(each.ids for each in found))
    assert ids == {"CH-0042|1", "CH-0042|2", "CH-0042|3"}


async def test_an_id_that_each_charger_has_is_asked_for_at_those_that_matter() -> None:
    """Chargers that count for themselves: 10 sessions of an id at 2,000 chargers are a request."""
    books = Finished(
        item(n, NOW - timedelta(days=n), evseTransactionId="7", chargerId=f"CH-{n}")
        for n in range(2_000)
    )
    async with client(books, page_size=10) as rest:
        asked = [Named(f"CH-{n}", "7") for n in range(1_995, 2_005)]
        (found,) = [each async for each in ask_by_transactions(rest, asked)]

    (body,) = books.asked
    assert body["evseTransactionIds"] == ["7"]
    assert body["chargerIDs"] == [f"CH-{n}" for n in range(1_995, 2_005)]
    assert sorted(ids_of([found])) == [str(n) for n in range(1_995, 2_000)]


async def test_ids_of_chargers_that_count_alike_take_few_requests() -> None:
    """Each of 40 chargers has each of 40 ids: of one id each nothing is missed, nor of another."""
    books = Finished(
        item(100 * charger + n, NOW, evseTransactionId=str(n), chargerId=f"CH-{charger}")
        for charger in range(1, 41)
        for n in range(1, 41)
    )
    async with client(books, page_size=10) as rest:
        asked = [Named(f"CH-{n}", str(n)) for n in range(1, 41)]
        found = [each async for each in ask_by_transactions(rest, asked)]

    assert sorted(map(int, ids_of(found))) == [101 * n for n in range(1, 41)]
    assert frozenset().union(*(each.ids for each in found)) == {each.session for each in asked}
    assert len(books.asked) <= 30


@pytest.mark.parametrize("charger", ["A,B", "Hall/1", "C" * 97, " CH-1"])
async def test_a_charger_that_the_api_would_read_otherwise_is_asked_for_by_the_id_alone(
    charger: str,
) -> None:
    """Its sessions are found all the same, beside those of another charger."""
    books = Finished(
        [item(1, NOW, chargerId=charger), item(2, NOW), item(3, NOW, evseTransactionId="1")]
    )
    async with client(books) as rest:
        asked = [Named(charger, "1"), Named("CH-0042", "2")]
        found = [each async for each in ask_by_transactions(rest, asked)]

    assert sorted(ids_of(found)) == ["1", "2"]
    assert [body.get("chargerIDs") for body in books.asked] == [["CH-0042"], None]
    assert [each.ids for each in found] == [{asked[1].session}, {asked[0].session}]


async def test_an_id_that_the_server_spells_otherwise_is_no_lie_and_no_item() -> None:
    """An id "007" may be 7 to a server; a session of another id is a lie."""
    found: dict[str, list[Picture | Lie]] = {}
    for told in ("7", "8"):
        books = Finished([], lambda *_, told=told: page(item(7, NOW, evseTransactionId=told)))
        async with client(books) as rest:
            asked = [Named("CH-0042", "007")]
            found[told] = [each async for each in ask_by_transactions(rest, asked)]

    (near,), (far,) = found.values()
    assert isinstance(near, Picture)
    assert near.items == ()
    assert isinstance(far, Lie)
    assert (far.code, set(far.ids)) == ("rows_outside", {"CH-0042|007"})


def page(*items: dict[str, Any]) -> dict[str, Any]:
    return {"items": list(items), "totalRecords": len(items), "hasNextPage": False}


async def test_what_is_asked_for_at_once_is_short_also_where_nothing_is_listed() -> None:
    """The store may hold much where eMabler lists nothing: four days come in four parts."""
    books = Finished([])
    async with client(books) as rest:
        found = [each async for each in asking.pictures(rest, Span(NOW - 4 * LONGEST, NOW))]

    assert [each.span.length for each in found] == [LONGEST] * 4
