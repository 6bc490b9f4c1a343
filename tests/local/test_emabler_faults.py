"""What goes wrong with the simulated eMabler's reads: each fault over HTTP, planned by a seed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer

from local.emabler import BASE_PATH
from local.emabler.books import SHELF_TYPES, Books
from local.emabler.faults.faults import Faults
from local.emabler.faults.plan import Plan, drawn
from local.emabler.faults.rules import FAULTS, PARTS, BadRuleError, Rule, read_rule
from local.emabler.faults.values import STATES
from local.emabler.habits import Habits
from local.emabler.process import EmablerServer
from local.emabler.rest.reads import all_reads
from local.emabler.server import make_app

CHECKOUT = Path(__file__).resolve().parents[2]
KEY = "the-key"
TRANSACTIONS = f"{BASE_PATH}/v2/transactions"
CHARGERS = f"{BASE_PATH}/v2/chargers"
TAGS = f"{BASE_PATH}/v2/tags"
NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)


class Clock:
    """An instant that a test moves."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


class Caller:
    """Asks the reads and moves the faults."""

    def __init__(self, client: TestClient[Any, Any]) -> None:
        self.client = client

    async def faults(self, *rules: str, seed: int = 0) -> None:
        answer = await self.client.put("/_faults", json={"seed": seed, "rules": rules})
        assert answer.status == 204, await answer.text()

    async def ask(self, **query: Any) -> Any:
        return await self.client.post(TRANSACTIONS, json=query)

    async def page(self, **query: Any) -> dict[str, Any]:
        answer = await self.ask(**query)
        assert answer.status == 200
        page: dict[str, Any] = await answer.json()
        return page

    async def ids(self, **query: Any) -> list[int]:
        return [item["id"] for item in (await self.page(**query))["items"]]

    async def chargers(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await (await self.client.get(CHARGERS)).json())["items"]
        return items

    async def walk(self, *, most: int = 50, **query: Any) -> list[list[int]]:
        """The ids of each page until there is no next one."""
        pages = []
        for number in range(1, most + 1):
            page = await self.page(page=number, **query)
            pages.append([item["id"] for item in page["items"]])
            if not page["hasNextPage"]:
                return pages
        pytest.fail("the walk did not end")

    async def happened(self) -> dict[str, int]:
        shown: dict[str, int] = (await (await self.client.get("/_faults")).json())["happened"]
        return shown


def session(number: int, **fields: Any) -> dict[str, Any]:
    """A session of one hour that ended `number` minutes before noon."""
    end = NOON - timedelta(minutes=number)
    return {
        "id": number,
        "chargerId": f"CH-{number % 4}",
        "socketId": 1,
        "evseTransactionId": str(500 + number),
        "timestampStart": (end - timedelta(hours=1)).isoformat(),
        "timestampEnd": end.isoformat(),
        "fullConsumptionWh": 10_000,
        "totalCostInclVat": 4.2,
    } | fields


def all_of(pages: list[list[int]]) -> list[int]:
    return [number for page in pages for number in page]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def books() -> Books:
    books = Books()
    records = [session(number) for number in range(1, 31)]
    books.put("sessions", msgspec.convert(records, SHELF_TYPES["sessions"]))
    return books


@pytest.fixture
async def caller(books: Books, clock: Clock) -> AsyncIterator[Caller]:
    server = TestServer(make_app(books, KEY, faults=Faults(clock=clock)))
    async with TestClient(server, headers={"x-api-key": KEY}) as client:
        yield Caller(client)


# The plan


def test_a_draw_is_the_same_everywhere() -> None:
    """A draw depends on the seed and its subject alone: another Python process draws the same."""
    code = (
        "from local.emabler.faults.plan import drawn; print([drawn(7, 'x', n) for n in range(9)])"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=CHECKOUT,
        env=os.environ | {"PYTHONHASHSEED": "123"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert json.loads(told) == [drawn(7, "x", number) for number in range(9)]
    assert drawn(8, "x", 0) != drawn(7, "x", 0)
    assert all(0 <= drawn(1, number) < 1 for number in range(1000))


def test_a_rate_is_met() -> None:
    """Rate 0 chooses no call, rate 1 each, a rate between about its share."""
    plan = Plan(seed=3).with_rules(map(read_rule, ("failing=0", "throttled=1", "truncated=0.3")))

    assert plan.numbers("failing", 500) == []
    assert plan.numbers("throttled", 500) == list(range(1, 501))
    assert 500 < len(plan.numbers("truncated", 2000)) < 700


@pytest.mark.parametrize(
    "line",
    [
        "throttled=0.1 on=transactions,chargers retry_after=2",
        "failing=1 after=60 until=90.5 status=503",
        "moving_pages=0.5 first=3 last=9 how=removed rows=2",
        "permission_missing=1 permission=ReadTags",
        "late_sessions=0.2 seconds=900",
    ],
)
def test_a_rule_is_a_line(line: str) -> None:
    """A rule reads and writes itself as a line; without a rate it is for every call."""
    assert str(read_rule(line)) == line
    assert read_rule(line.partition("=")[0]).rate == 1


@pytest.mark.parametrize(
    "said",
    [
        "",
        "nonsense=1",
        "throttled=2",
        "throttled=often",
        "throttled=1 status=503",
        "throttled=1 status",
        "failing=1 status=404",
        "failing=1 status=503 status=502",
        "moving_pages=1 how=left_out",
        "throttled=1 on=nowhere",
        {"fault": "throttled", "rate": "1"},
        {"rate": 1},
        ["throttled"],
        7,
    ],
)
async def test_a_rule_that_makes_no_sense_is_refused(caller: Caller, said: object) -> None:
    """A misspelt rule is told so, and what was in force stays."""
    with pytest.raises(BadRuleError):
        read_rule(said)
    await caller.faults("throttled=1")
    for answer in (
        await caller.client.post("/_faults", json=[said]),
        await caller.client.put("/_faults", json={"rules": [said]}),
    ):
        assert answer.status == 400
    assert (await caller.ask()).status == 429


async def test_the_plan_says_which_calls_go_wrong(caller: Caller) -> None:
    """The calls that are throttled are those that the plan names, in each run of a seed."""
    for seed in (1, 2, 1):
        await caller.faults("throttled=0.4", "wrong_total=0.5", seed=seed)
        planned = Plan(seed=seed).with_rules([read_rule("throttled=0.4")]).numbers("throttled", 30)
        seen = [n for n in range(1, 31) if (await caller.ask(limit=1)).status == 429]
        assert seen == planned
        assert 5 < len(seen) < 25


async def test_faults_are_switched_at_run_time(caller: Caller) -> None:
    """Rules are added, replaced and taken out while the server runs, and their effect counted."""
    client = caller.client
    assert (await client.post("/_faults", json="throttled")).status == 204
    assert (await caller.ask()).status == 429
    assert (await client.post("/_faults", json=[{"fault": "throttled", "rate": 0.0}])).status == 204
    assert (await caller.ask()).status == 200
    await client.post("/_faults", json=["failing=1 status=503", "throttled=0"])
    assert (await caller.ask()).status == 503
    shown = await (await client.get("/_faults")).json()
    assert shown == {
        "seed": 0,
        "rules": ["throttled=0", "failing=1 status=503"],
        "calls": 3,
        "happened": {"throttled": 1, "failing": 1},
    }
    assert (await client.delete("/_faults/failing")).status == 204
    assert (await client.delete("/_faults/nonsense")).status == 400
    assert (await caller.ask()).status == 200
    assert (await client.delete("/_faults")).status == 204
    assert (await (await client.get("/_faults")).json())["rules"] == []


async def test_a_rule_has_its_time_its_calls_and_its_reads(caller: Caller, clock: Clock) -> None:
    """A fault begins and ends in time or by the number of calls, and keeps to its reads."""
    await caller.faults("failing=1 after=60 until=120")
    statuses = []
    for seconds in (59, 60, 120, 121):
        clock.now = NOON + timedelta(seconds=seconds)
        statuses.append((await caller.ask()).status == 200)
    assert statuses == [True, False, False, True]

    await caller.faults("failing=1 first=2 last=3")
    assert [(await caller.ask()).status == 200 for _ in range(4)] == [True, False, False, True]

    await caller.faults("failing=1 on=chargers,tags")
    assert (await caller.ask()).status == 200
    assert (await caller.client.get(CHARGERS)).status >= 500


async def test_faults_follow_the_clock_of_a_fleet(books: Books) -> None:
    """With a fleet's own clock the delays of sessions and the seconds of rules are the fleet's."""
    long_ago = NOON - timedelta(days=30)
    faults = Faults(rules=[read_rule("failing=1 after=60"), read_rule("late_sessions=1")])
    faults.follow(lambda: long_ago)
    async with TestClient(
        TestServer(make_app(books, KEY, faults=faults)), headers={"x-api-key": KEY}
    ) as client:
        caller = Caller(client)
        assert await caller.ids() == []
        long_ago += timedelta(seconds=60)
        assert (await caller.ask()).status >= 500


# Calls that are refused, fail, hang or break off


async def test_throttled(caller: Caller) -> None:
    """429 comes with `Retry-After` or without, and never touches the other reads' books."""
    await caller.faults("throttled=1 retry_after=7")
    answer = await caller.ask()
    assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
    assert (await answer.json()).keys() == {"errorCode", "message", "errorNumber", "helpLink"}

    await caller.faults("throttled_without_hint=1")
    answer = await caller.ask()
    assert answer.status == 429
    assert "Retry-After" not in answer.headers


async def test_failing(caller: Caller) -> None:
    """A failing service answers 500 in the older shape, or 502, 503, 504 with no JSON at all."""
    await caller.faults("failing=1")
    answers = [await caller.ask() for _ in range(40)]

    assert {answer.status for answer in answers} == {500, 502, 503, 504}
    for answer in answers:
        text = await answer.text()
        if answer.status == 500:
            assert json.loads(text)["errorCode"] == "INTERNAL_ERROR"
        else:
            assert answer.content_type == "text/html"
            assert str(answer.status) in text


async def test_timing_out(caller: Caller) -> None:
    """A held call has no answer: the connection closes in the end, or when the fault goes off."""
    await caller.faults("timing_out=1 seconds=0.05")
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await caller.ask()

    await caller.faults("timing_out=1")
    with pytest.raises(TimeoutError):
        await caller.client.post(TRANSACTIONS, timeout=aiohttp.ClientTimeout(sock_read=0.2))
    await caller.faults()
    assert (await caller.ask()).status == 200
    calls = await (await caller.client.get("/_books/calls")).json()
    assert [call["status"] for call in calls] == [0, 0, 200]
    assert calls[0]["faults"] == ["timing_out"]


async def test_truncated(caller: Caller) -> None:
    """The headers promise the whole body, and half of it comes."""
    await caller.faults("truncated=1")
    answer = await caller.ask()

    assert answer.status == 200
    with pytest.raises(aiohttp.ClientPayloadError):
        await answer.read()


async def test_permission_missing(caller: Caller) -> None:
    """The reads that need the permission are refused, the others not."""
    await caller.faults("permission_missing=1 permission=ReadTags")

    refused = await caller.client.get(TAGS)
    assert (refused.status, (await refused.json())["errorCode"]) == (403, "FORBIDDEN")
    assert (await caller.ask()).status == 200


# Sessions that are late or change


async def test_late_sessions_appear_in_the_end(caller: Caller, books: Books, clock: Clock) -> None:
    """A late session is in no answer and no total until some time after its end."""
    await caller.faults("late_sessions=1 seconds=600")
    page = await caller.page()
    assert [item["id"] for item in page["items"]] == list(range(10, 31))
    assert page["totalRecords"] == 21

    clock.now = NOON + timedelta(minutes=5)
    assert await caller.ids() == list(range(5, 31))
    new = session(40, timestampEnd=(NOON + timedelta(minutes=4)).isoformat())
    books.add("sessions", msgspec.convert([new], SHELF_TYPES["sessions"]))
    assert 40 not in await caller.ids()

    await caller.faults("late_sessions=0.5 seconds=6000", seed=5)
    shown = await caller.ids()
    assert 8 < len(shown) < 24
    assert await caller.ids() == shown
    await caller.faults()
    assert len(await caller.ids()) == 31


async def test_changing_sessions_become_what_the_books_say(caller: Caller, clock: Clock) -> None:
    """Before it was listed a session is a draft; afterwards it is the one in the books."""
    truth = (await caller.page())["items"]
    await caller.faults("changing_sessions=1 seconds=60")
    drafts = (await caller.page())["items"]
    assert [item["id"] for item in drafts] == [item["id"] for item in truth]
    for draft, item in zip(drafts, truth, strict=True):
        assert draft["fullConsumptionWh"] == 9000
        assert draft["fullConsumptionKWh"] == 9
        assert draft["totalCostInclVat"] is None
        assert draft["timestampEnd"] <= item["timestampEnd"]
    moved = [
        draft["id"]
        for draft, item in zip(drafts, truth, strict=True)
        if datetime.fromisoformat(draft["timestampEnd"])
        != datetime.fromisoformat(item["timestampEnd"])
    ]
    assert 5 < len(moved) < 25

    assert (await caller.page())["items"] == drafts
    clock.now = NOON + timedelta(seconds=60)
    assert (await caller.page())["items"] == truth
    assert await caller.happened() == {"changing_sessions": 2}


async def test_a_window_is_that_of_the_draft(caller: Caller) -> None:
    """Filters see a draft's own end: a session can leave a window when it changes."""
    await caller.faults("changing_sessions=1")
    moved = [n for n in range(1, 31) if Plan().draw("draft", n) < 0.5]
    before = {"stopTime": (NOON - timedelta(minutes=10)).isoformat(), "sortKey": "Id"}

    first, second = await caller.ids(**before), await caller.ids(**before)

    assert 9 in moved, "the seed was chosen so"
    assert first[0] == 9
    assert second[0] == 10


async def test_a_poisoned_session_fails_each_page_that_it_stands_on(caller: Caller) -> None:
    """Whoever asks for it meets 500, however often; the pages beside it are as they are."""
    await caller.faults("poisoned_sessions=0.1", seed=2)
    poisoned = {n for n in range(1, 31) if drawn(2, "poisoned_sessions", n) < 0.1}
    assert 0 < len(poisoned) < 6, "the seed was chosen so"

    for _ in range(2):
        for number in range(1, 31):
            answer = await caller.ask(page=number, limit=1)
            assert answer.status == (500 if number in poisoned else 200)

    assert await caller.happened() == {"poisoned_sessions": 2 * len(poisoned)}


# Pages


async def test_short_and_empty_pages_lose_nothing_on_the_way(caller: Caller) -> None:
    """Who follows `hasNextPage` past short, repeating and empty pages meets every session."""
    whole = list(range(1, 31))
    assert await caller.walk(limit=7) == [whole[i : i + 7] for i in range(0, 30, 7)]
    for rule in ("short_page=1", "empty_page_with_more=0.4", "repeated_rows=1"):
        await caller.faults(rule, seed=2)
        pages = await caller.walk(limit=7)
        met = all_of(pages)
        assert list(dict.fromkeys(met)) == whole, rule
        assert len(pages) > 5
        assert (await caller.happened()).keys() == {rule.partition("=")[0]}


async def test_a_short_page_has_fewer_rows_and_a_next_one(caller: Caller) -> None:
    """A page is shorter than its limit though it is not the last; the last is never short."""
    await caller.faults("short_page=1 rows=2")
    pages = await caller.walk(limit=10)

    assert all(len(page) in {8, 9} for page in pages[:-1])
    assert sum(map(len, pages)) == 30


async def test_an_empty_page_says_that_there_is_more(caller: Caller) -> None:
    """At rate 1 every page is empty and has a next one: who believes it never ends."""
    await caller.faults("empty_page_with_more=1")
    for number in (1, 2, 100):
        page = await caller.page(page=number)
        assert (page["items"], page["hasNextPage"], page["totalRecords"]) == ([], True, 30)


async def test_repeated_rows(caller: Caller) -> None:
    """A page holds a row twice and is no longer than its limit."""
    await caller.faults("repeated_rows=1 rows=1")

    assert await caller.ids(limit=5) == [1, 2, 3, 4, 1]
    assert await caller.ids(limit=5, page=2) == [5, 6, 7, 8, 5]


async def test_rows_that_are_inserted_come_twice(caller: Caller) -> None:
    """Rows inserted before a page push the end of the former page onto it; the total grows."""
    await caller.faults("moving_pages=1 how=inserted rows=1 first=2 last=2")

    assert await caller.walk(limit=10) == [
        list(range(1, 11)),
        list(range(10, 20)),
        list(range(20, 30)),
        [30],
    ]
    assert (await caller.page(page=4, limit=10))["totalRecords"] == 31


async def test_rows_that_are_removed_make_others_be_skipped(caller: Caller) -> None:
    """Rows removed before a page pull its first rows onto the page before: nobody sees them."""
    await caller.faults("moving_pages=1 how=removed rows=1 first=2 last=2")

    assert await caller.walk(limit=10) == [
        list(range(1, 11)),
        list(range(12, 22)),
        list(range(22, 31)),
    ]
    await caller.faults()
    assert all_of(await caller.walk(limit=10)) == list(range(1, 31))


async def test_pages_that_move_either_way(caller: Caller) -> None:
    """Without a direction each page draws its own, the same for a seed."""
    await caller.faults("moving_pages=1", seed=4)
    pages = await caller.walk(limit=3)
    await caller.faults("moving_pages=1", seed=4)

    assert await caller.walk(limit=3) == pages
    met = all_of(pages)
    assert len(set(met)) < 30
    assert len(set(met)) < len(met)


async def test_a_page_that_is_asked_for_again_begins_where_it_did(caller: Caller) -> None:
    """A caller who asks once more, after a page broke off, loses and repeats nothing by it."""
    await caller.faults("short_page=1 rows=1", "truncated=1 first=2 last=2")
    first = await caller.ids(limit=10)
    with pytest.raises(aiohttp.ClientPayloadError):
        await (await caller.ask(limit=10, page=2)).read()

    assert first == list(range(1, 10))
    assert await caller.ids(limit=10, page=2) == list(range(10, 19))
    assert await caller.ids(limit=10, page=3) == list(range(19, 28))
    assert await caller.ids(limit=10, page=4) == [28, 29, 30]


async def test_rows_outside_the_window(caller: Caller) -> None:
    """A page holds rows that its filters exclude, and keeps its length; without filters none."""
    window: dict[str, Any] = {
        "stopTimeSearchBegin": (NOON - timedelta(minutes=20)).isoformat(),
        "stopTime": (NOON - timedelta(minutes=11)).isoformat(),
    }
    await caller.faults("outside_window=1 rows=1")

    pages = await caller.walk(limit=5, **window)
    met = all_of(pages)

    assert set(range(11, 21)) < set(met)
    assert set(met) - set(range(11, 21))
    assert all(len(page) <= 5 for page in pages)
    assert await caller.ids() == list(range(1, 31))


async def test_wrong_total(caller: Caller) -> None:
    """The total is another number than that of the rows; the rows are all there."""
    await caller.faults("wrong_total=1")
    totals = set()
    for _ in range(20):
        page = await caller.page()
        assert len(page["items"]) == 30
        totals.add(page["totalRecords"])

    assert totals == {0, 29, 31, 130}


# Values


@pytest.fixture
def fleet(books: Books) -> Books:
    """Books with a charger and a session that have what can look otherwise."""
    charger = {
        "id": 1,
        "chargerId": "CH-1",
        "state": "SuspendedCharger",
        "sockets": [{"id": 1, "status": "SuspendedCAR", "lastUpdated": "2026-03-14T11:00:00Z"}],
        "lastSeen": "2026-03-14T11:00:00.25Z",
    }
    books.put("chargers", msgspec.convert([charger], SHELF_TYPES["chargers"]))
    return books


async def test_enums_and_cases(caller: Caller, fleet: Books) -> None:
    """A state is a number of the older revision, or a name in another case."""
    await caller.faults("enums_as_numbers=1")
    [charger] = await caller.chargers()
    assert charger["state"] == STATES.index("SuspendedCharger") == 6

    await caller.faults("status_case=1")
    [charger] = await caller.chargers()
    assert charger["state"] == "SuspendedCHARGER"
    assert charger["sockets"][0]["status"] == "SuspendedCar"
    assert fleet.shelves.chargers[0].state == "SuspendedCharger"


@pytest.mark.usefixtures("fleet")
async def test_null_strings(caller: Caller) -> None:
    """An empty string is null, or left out, or now this and now that."""
    await caller.faults("null_strings=1 how=nulled")
    [charger] = await caller.chargers()
    assert charger["model"] is None
    await caller.faults("null_strings=1 how=left_out")
    [charger] = await caller.chargers()
    assert "model" not in charger
    assert charger["chargerId"] == "CH-1"
    await caller.faults("null_strings=1")
    [charger] = await caller.chargers()
    empty = {"name", "siteName", "model", "manufacturer", "firmware", "serial"}
    assert {charger[name] for name in empty & charger.keys()} == {None}
    assert not empty <= charger.keys()


@pytest.mark.usefixtures("fleet")
async def test_dates(caller: Caller) -> None:
    """Times that may be absent are the year 1; times have seven digits and stay the same."""
    await caller.faults("sentinel_dates=1")
    [charger] = await caller.chargers()
    assert charger["lastSeen"] == "0001-01-01T00:00:00Z"
    assert charger["sockets"][0]["lastUpdated"] == "0001-01-01T00:00:00Z"

    await caller.faults("long_fractions=1")
    [charger] = await caller.chargers()
    assert len(charger["lastSeen"]) == len("2026-03-14T11:00:00.2500001Z")
    assert charger["lastSeen"].startswith("2026-03-14T11:00:00.250000")
    assert charger["sockets"][0]["lastUpdated"][-2] in "123456789"
    item = (await caller.page(limit=1))["items"][0]
    assert datetime.fromisoformat(item["timestampEnd"]) == NOON - timedelta(minutes=1)


@pytest.mark.usefixtures("fleet")
async def test_unknown_fields(caller: Caller) -> None:
    """A row has a field that nobody documents."""
    known = (await caller.page())["items"][0].keys()
    await caller.faults("unknown_fields=1")

    assert (await caller.page())["items"][0].keys() - known == {"somethingNew"}
    assert "somethingNew" in (await caller.chargers())[0]


# All of it


async def test_the_truth_can_be_read_whatever_goes_wrong(caller: Caller) -> None:
    """With every fault on, the books are what they were, and calm brings the reads back."""
    truth = await (await caller.client.get("/_books/sessions")).json()
    calm = await caller.page()
    early = ("permission_missing", "throttled", "throttled_without_hint", "failing", "timing_out")
    rates = dict.fromkeys(early, 0.1) | {"poisoned_sessions": 0.05}
    rules = [f"{name}={rates.get(name, 0.3)}" for name in FAULTS]
    rules = [f"{rule} seconds=0" if "timing_out" in rule else rule for rule in rules]
    await caller.faults(*rules, seed=11)
    for number in range(120):
        try:
            await (await caller.ask(page=1 + number % 4, limit=10)).read()
        except aiohttp.ClientError:
            continue

    happened = await caller.happened()
    assert set(happened) >= set(FAULTS) - {
        "enums_as_numbers",  # of chargers only
        "status_case",
        "outside_window",  # needs a filter
    }
    assert await (await caller.client.get("/_books/sessions")).json() == truth
    await caller.faults()
    assert await caller.page() == calm


def section(title: str) -> list[tuple[str, ...]]:
    """The rows of a section's tables that begin with a name in code."""
    text = (CHECKOUT / "docs" / "local-azure.md").read_text("utf-8")
    lines = (
        text.partition(f"## {title}\n")[2].partition("\n## ")[0].partition("\n### ")[0].splitlines()
    )
    return [
        tuple(cell.strip() for cell in line.strip("| ").split(" | "))
        for line in lines
        if line.startswith("| `")
    ]


def test_faults_habits_and_reads_are_documented() -> None:
    """docs/local-azure.md has each of them, with what it does, and no other."""
    rows = section("REST faults")
    habits = section("What is not documented")
    reads = section("The simulated eMabler: its REST side")

    assert rows == [
        (f"`{name}`", what) for table in (FAULTS, PARTS) for name, what in table.items()
    ]
    assert list(PARTS) == [name for name in Rule.__struct_fields__ if name != "fault"]
    assert [row[0].strip("`") for row in habits] == list(Habits.__struct_fields__)
    assert [(row[0].strip("`"), row[2]) for row in reads] == [
        (f"{read.method} {read.path}", read.permission) for read in all_reads(Habits())
    ]


def test_help_tells_of_the_faults() -> None:
    """--help has each fault with what it does, and an example of a rule that is understood."""
    told = subprocess.run(
        [sys.executable, "-m", "local.emabler", "--help"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    for name, what in (*FAULTS.items(), *PARTS.items()):
        assert f"  {name} " in told
        assert what in told
    examples = re.findall(r"--rest-fault '?([a-z_]+=[^'\n]+)", told)
    assert len(examples) == 4
    assert all(read_rule(example) for example in examples)


async def test_faults_by_command_line(tmp_path: Path) -> None:
    """The program takes faults and habits as options, and its control routes change them."""
    options = (
        "--rest-fault",
        "throttled=1 retry_after=3",
        "--permissions",
        "ReadTags,ReadSessions",
    )
    async with (
        await EmablerServer.start(api_key=KEY, log=tmp_path / "log", rest=options) as server,
        httpx.AsyncClient(
            base_url=server.base_url, headers={"x-api-key": KEY}, trust_env=False
        ) as client,
    ):
        assert (await client.get("v2/tags")).headers["Retry-After"] == "3"
        await server.put_faults()
        assert (await client.get("v2/tags")).status_code == 200
        assert (await client.get("v2/chargers")).status_code == 403


@pytest.mark.parametrize("option", [("--rest-fault", "nonsense"), ("--permissions", "ReadAll")])
def test_a_bad_option_is_told(option: tuple[str, str]) -> None:
    """A misspelt fault or permission ends the program with a message that names it."""
    ended = subprocess.run(
        [sys.executable, "-m", "local.emabler", "--api-key", KEY, *option],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 2
    assert option[1] in ended.stderr
