"""The client against every fault of a REST API: what it returns or raises, and what that costs.

Each row is a fault by name. None ends in a loop, none in a page that is not the one asked for, and
no error tells the key or a tag of the request.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from shared.emabler import paging
from shared.emabler.calls import FinishedSessionsQuery
from shared.emabler.client import EmablerClient
from shared.emabler.exchange import MOST_BYTES
from shared.emabler.paging import Page, Walk
from shared.emabler.refusals import CODES
from shared.emabler.retries import MOST_TRIES, MOST_TRIES_OF_UNREADABLE
from shared.errors import EmablerFunctionsError, RestRefusedError, RestUnavailableError
from tests.emabler.rest import (
    KEY,
    TAG,
    WHOLE,
    Answer,
    Server,
    Time,
    client,
    http,
    page_of,
    raw_server,
)

QUERY = FinishedSessionsQuery(tags=[TAG])
WELL = page_of({"id": 1})
ECHO = {"title": f"key {KEY} of tag {TAG.lower()}", "detail": f"rfidTags: ['{TAG}']"}


def status(number: int, *, body: Any = ECHO, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(number, json=body, headers=named)


def text(content: bytes, kind: str = "application/json", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda: httpx.Response(
        200, stream=httpx.ByteStream(content), headers={"content-type": kind} | named
    )


@dataclass(frozen=True)
class Fault:
    """What a server answers, and what comes of it: a page, or an error with its code."""

    name: str
    answers: Sequence[Answer]
    code: str | None
    requests: int
    waited: float = 0.0
    told: str = ""


ALL_PAUSES = 0.75 * (0.5 + 1 + 2 + 4 + 8 + 15 + 15)
TWO_PAUSES = 0.75 * (0.5 + 1)
HTML = b"<html><body>Sign in</body></html>"

ONE_REQUEST = [
    Fault("nothing at all", [WELL], None, 1),
    Fault("throttled once", [status(429), WELL], None, 2, 0.375),
    Fault("throttled, seconds told", [status(429, retry_after="7"), WELL], None, 2, 7.25),
    Fault(
        "throttled, a date told",
        [
            status(
                429,
                retry_after="Mon, 02 Nov 2026 12:01:09 GMT",
                # The server's own clock counts, whatever ours says.
                date="Mon, 02 Nov 2026 12:01:00 GMT",
            ),
            WELL,
        ],
        None,
        2,
        9.25,
    ),
    Fault(
        "throttled, a date told without the server's own",
        [status(429, retry_after="Mon, 02 Nov 2026 12:00:05 GMT"), WELL],
        None,
        2,
        5.25,
    ),
    Fault("throttled, nonsense told", [status(429, retry_after="soon"), WELL], None, 2, 0.375),
    Fault(
        "throttled for longer than we wait",
        [status(429, retry_after="3600")],
        "rest_throttled",
        1,
        told="asks to wait 3600 s",
    ),
    Fault("throttled for ever", [status(429)], "rest_throttled", MOST_TRIES, ALL_PAUSES),
    *(
        Fault(f"{number} once", [status(number), WELL], None, 2, 0.375)
        for number in (408, 500, 502, 503, 504, 520)
    ),
    *(
        Fault(f"{number} for ever", [status(number)], "rest_failing", MOST_TRIES, ALL_PAUSES)
        for number in (500, 502, 503, 504)
    ),
    Fault("503 with a time", [status(503, retry_after="2"), WELL], None, 2, 2.25),
    Fault("501", [status(501)], "rest_failing", 1),
    Fault("key refused", [status(401)], "rest_key_refused", 1, told="check EMABLER_API_KEY"),
    Fault(
        "permission missing",
        [status(403)],
        "rest_permission_missing",
        1,
        told="probably ReadSessions",
    ),
    Fault("not found", [status(404)], "rest_not_found", 1, told="EMABLER_TRANSACTIONS_PATH"),
    Fault("bad request", [status(400)], "rest_refused", 1),
    Fault("refused after a failure", [status(503), status(401)], "rest_key_refused", 2, 0.375),
    *(
        Fault(
            f"redirect {number}",
            [httpx.Response(number, headers={"location": f"https://elsewhere.example/?k={KEY}"})],
            "rest_redirected",
            1,
            told="leads to elsewhere.example",
        )
        for number in (301, 302, 303, 307, 308)
    ),
    *(
        Fault(f"{type(error).__name__} once", [error, WELL], None, 2, 0.375)
        for error in (
            httpx.ConnectError(f"no route for {KEY}"),
            httpx.ConnectTimeout("slow"),
            httpx.ReadTimeout("slow"),
            httpx.WriteTimeout("slow"),
            httpx.PoolTimeout("slow"),
            httpx.ReadError("reset"),
            httpx.WriteError("reset"),
            httpx.RemoteProtocolError("cut off"),
            httpx.ProxyError("no proxy"),
            OSError("no such device"),
        )
    ),
    Fault(
        "no connection for ever",
        [httpx.ConnectError(f"no route for {KEY}")],
        "rest_away",
        MOST_TRIES,
        ALL_PAUSES,
        told="ConnectError",
    ),
    *(
        Fault(name, [answer], "rest_answer_unreadable", MOST_TRIES_OF_UNREADABLE, TWO_PAUSES, told)
        for name, answer, told in (
            ("HTML instead of JSON", text(HTML, "text/html; charset=utf-8"), "text/html"),
            ("HTML that says it is JSON", text(HTML), "no JSON"),
            ("nothing in the body", text(b""), "no JSON"),
            ("204", httpx.Response(204), "no JSON (content type not told)"),
            ("JSON cut off", text(WHOLE[:-20]), "no JSON"),
            ("bytes that are no text", text(b"\xff\xfe\x00"), "no JSON"),
            ("nested without end", text(b"[" * 100_000), "no JSON"),
            ("a list", text(b"[]"), "no page"),
            ("null", text(b"null"), "no page"),
            ("an object without items", text(b"{}"), "no page"),
            ("items that are no list", text(b'{"items": {}}'), "no page"),
            ("gzip that is none", text(WHOLE, content_encoding="gzip"), "badly compressed"),
            (
                "packed twice",
                text(WHOLE, content_encoding="gzip, gzip"),
                "compressed in another way",
            ),
        )
    ),
    Fault("JSON cut off once", [text(WHOLE[:-20]), WELL], None, 2, 0.375),
    Fault("JSON that says it is text", [text(WHOLE, "text/plain")], None, 1),
    Fault("gzip", [text(gzip.compress(WHOLE), content_encoding="gzip")], None, 1),
    Fault(
        "a huge body",
        [text(b" " * (MOST_BYTES + 1))],
        "rest_answer_too_large",
        1,
        told="more than 32 MiB",
    ),
    Fault(
        "a small body that unpacks to a huge one",
        [text(gzip.compress(b" " * (MOST_BYTES + 1)), content_encoding="gzip")],
        "rest_answer_too_large",
        1,
    ),
    Fault(
        "a failure with a huge body",
        [httpx.Response(503, content=b" " * (MOST_BYTES + 1)), WELL],
        None,
        2,
        0.375,
    ),
    Fault(
        "a failure badly compressed",
        [
            lambda: httpx.Response(
                429,
                stream=httpx.ByteStream(b"x"),
                headers={"content-encoding": "gzip", "retry-after": "1"},
            ),
            WELL,
        ],
        None,
        2,
        1.25,
    ),
]


def no_secrets(error: EmablerFunctionsError, rest: EmablerClient) -> None:
    told = [str(error), repr(error), repr(rest), repr(rest.__dict__), repr(QUERY)]
    told += [str(value) for value in vars(error).values()]
    for each in told:
        assert KEY not in each
        assert TAG.casefold() not in each.casefold()


@pytest.mark.parametrize("fault", ONE_REQUEST, ids=lambda fault: fault.name)
async def test_one_request(fault: Fault) -> None:
    """A page, or the error that tells what is wrong, after so many requests and so much waiting."""
    server, time = Server(fault.answers), Time()

    async with client(server, time=time) as rest:
        if fault.code is None:
            page = await rest.finished_sessions(QUERY)
            assert page.items == ({"id": 1},)
        else:
            with pytest.raises(EmablerFunctionsError) as raised:
                await rest.finished_sessions(QUERY)
            check(raised.value, fault)
            no_secrets(raised.value, rest)
        counts = rest.counts

    assert len(server.requests) == counts.requests == fault.requests
    assert counts.retries == fault.requests - 1
    assert sum(time.slept) == pytest.approx(fault.waited)
    assert counts.seconds_waited == pytest.approx(fault.waited)
    assert {request.url.host for request in server.requests} == {"api.emabler.example"}


def check(error: EmablerFunctionsError, fault: Fault) -> None:
    assert (error.code, str(error).partition(": ")[0]) == (fault.code, "POST v3/transactions")
    assert fault.told in str(error)
    kind = RestUnavailableError if transient(error.code) else RestRefusedError
    assert isinstance(error, kind)
    if fault.requests > 1 and isinstance(error, RestUnavailableError):
        assert f"(tried {fault.requests} times)" in str(error)


def transient(code: str) -> bool:
    refused = "key_refused permission_missing not_found redirected refused"
    return code not in {f"rest_{name}" for name in refused.split()}


def test_each_code_has_its_faults() -> None:
    """The tables of this page bring forth each way to fail that there is."""
    walks = {"rest_pages_repeat", "rest_pages_endless"}

    assert {fault.code for fault in ONE_REQUEST if fault.code} | walks == CODES.keys()
    assert {fault.code for fault in WALKS if fault.code} == walks
    for fault in ONE_REQUEST:
        if fault.code and not fault.told.startswith("asks to wait") and fault.name != "501":
            again = CODES[fault.code].tried_again
            assert again == (fault.answers[-1] is fault.answers[0] and fault.requests > 1)


RAW = [
    ("a body that breaks off", http(WHOLE[:9], f"content-length: {len(WHOLE)}"), "close", "away"),
    ("a body that is reset", http(WHOLE[:9], f"content-length: {len(WHOLE)}"), "reset", "away"),
    ("a chunk that breaks off", http(b"40\r\nab", "transfer-encoding: chunked"), "close", "away"),
    ("no length, cut off", http(WHOLE[:9], "connection: close"), "close", "answer_unreadable"),
    ("closed without a word", b"", "close", "away"),
    ("reset without a word", b"", "reset", "away"),
    ("no HTTP", b"SSH-2.0-OpenSSH_9.9\r\n", "close", "away"),
    ("silence", b"", "silence", "away"),
    ("silence within the headers", b"HTTP/1.1 200 OK\r\n", "silence", "away"),
    ("silence within the body", http(WHOLE[:9], "content-length: 99"), "silence", "away"),
    ("a drop at a time", http(b"", "content-length: 99999999"), "drip", "away"),
    (
        "an error that breaks off",
        http(b"{", "content-length: 9", status="503 Busy"),
        "reset",
        "failing",
    ),
]


@pytest.mark.parametrize(("name", "sent", "ending", "code"), RAW, ids=[row[0] for row in RAW])
async def test_on_the_wire(name: str, sent: bytes, ending: str, code: str) -> None:
    """What a connection can do to an answer is weather, and ends within the time-out."""
    timeout = 0.05 if ending in ("silence", "drip") else 10.0

    async with (
        raw_server(sent, ending) as base,
        client(None, base=base, timeout=timeout, retry_seconds=0) as rest,
    ):
        with pytest.raises(RestUnavailableError) as raised:
            await asyncio.wait_for(rest.finished_sessions(QUERY), 10)
        no_secrets(raised.value, rest)

    assert raised.value.code == f"rest_{code}", name
    # Of an answer that began and broke off it is known that eMabler answers.
    began = name.endswith("off") or name == "a body that is reset"
    assert (raised.value.status is not None) == began, name


async def test_a_body_without_end_is_not_read_to_its_end() -> None:
    """Beyond the largest answer nothing more is read, so that nothing more is kept."""
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1_000_000
            yield b" " * 1_000_000

    async with client(lambda _request: httpx.Response(200, content=endless())) as rest:
        with pytest.raises(RestUnavailableError) as raised:
            await rest.finished_sessions(QUERY)

    assert raised.value.code == "rest_answer_too_large"
    assert read <= MOST_BYTES + 1_000_000


async def test_a_proxy_of_the_environment_sees_no_key_in_the_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Plain http, which is for this machine, goes there directly: a proxy would read the key."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    async with (
        raw_server(http(WHOLE, f"content-length: {len(WHOLE)}"), "close") as base,
        client(None, base=base, retry_seconds=0) as rest,
    ):
        assert (await rest.finished_sessions(QUERY)).items == ({"id": 1},)


async def test_nobody_listens() -> None:
    """A refused connection is told by its kind, and with what to check."""
    async with raw_server(b"", "close") as base:
        pass

    async with client(None, base=base, retry_seconds=0) as rest:
        with pytest.raises(RestUnavailableError, match="ConnectError: check EMABLER_BASE_URL"):
            await rest.finished_sessions(QUERY)


def session(number: int) -> dict[str, Any]:
    return {"id": number, "chargerId": "CH-0042"}


@dataclass
class Turned:
    """A page as it should be, for a way of turning pages to spoil."""

    number: int
    items: list[Any]
    more: object
    total: object


def fresh(page: Turned, total: object = 7) -> Turned:
    rows = [session(2 * page.number), session(2 * page.number + 1)]
    return replace(page, items=rows, more=True, total=total)


FIRST, SECOND = [session(1), session(2)], [session(3), session(4)]
WAYS: dict[str, Callable[[Turned], Turned]] = {
    "the page is not turned": lambda page: replace(page, items=FIRST, more=True),
    "two pages in turns": lambda page: replace(
        page, items=SECOND if page.number % 2 else FIRST, more=True
    ),
    "for ever, all new": fresh,
    "a total that grows": lambda page: fresh(page, 2 * page.number + 3),
    "for ever, without a total": lambda page: fresh(page, None),
    "empty with a promise": lambda page: replace(
        page, items=page.items if page.number < 3 else [], more=True
    ),
    "a wrong total": lambda page: replace(page, total=3),
    "a total that is a text": lambda page: replace(page, total=str(page.total)),
    "no word of a next page": lambda page: replace(page, more=None),
    "a next page as text": lambda page: replace(page, more=str(page.more)),
    "rows that are none": lambda page: replace(page, items=[*page.items[:1], None]),
}


class Lists:
    """A list on a server that turns its pages in a way of its own. Two rows a page."""

    def __init__(self, way: str) -> None:
        self._way = way
        self.rows = [session(n) for n in range(1, 8)]
        self.asked: list[int] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        number = json.loads(request.content)["page"]
        self.asked.append(number)
        rows, total = self.rows, len(self.rows)
        page = Turned(number, rows[2 * number - 2 : 2 * number], 2 * number < total, total)
        if number == 1 and self._way == "a row comes before the others":
            self.rows = [session(100), *rows]
        elif number == 1 and self._way == "a row goes":
            self.rows = rows[1:]
        if self._way in WAYS:
            page = WAYS[self._way](page)
        return page_of(*page.items, more=page.more, totalRecords=page.total)


@dataclass(frozen=True)
class Walked:
    """A list on a server of its own kind, and what comes of a walk over it."""

    way: str
    code: str | None
    pages: int
    ids: Sequence[int]
    agrees: bool = False


async def walk_to_the_end(walk: Walk, seen: list[Page]) -> RestUnavailableError | None:
    try:
        async for page in walk:
            seen.append(page)  # noqa: PERF401 - what came before an error counts
    except RestUnavailableError as error:
        return error
    return None


WALKS = [
    Walked("as it should be", None, 4, range(1, 8), agrees=True),
    Walked("a row comes before the others", None, 4, [1, 2, 2, 3, 4, 5, 6, 7]),
    Walked("a row goes", None, 3, [1, 2, 4, 5, 6, 7]),
    Walked("the page is not turned", "rest_pages_repeat", 2, [1, 2]),
    Walked("two pages in turns", "rest_pages_repeat", 3, [3, 4, 1, 2]),
    Walked("for ever, all new", "rest_pages_endless", 26, range(2, 52)),
    Walked("a total that grows", "rest_pages_endless", 24, range(2, 48)),
    Walked("for ever, without a total", "rest_pages_endless", 100, range(2, 200)),
    Walked("empty with a promise", None, 3, [1, 2, 3, 4]),
    Walked("a wrong total", None, 4, range(1, 8)),
    Walked("a total that is a text", None, 4, range(1, 8), agrees=True),
    Walked("no word of a next page", None, 4, range(1, 8), agrees=True),
    Walked("a next page as text", None, 4, range(1, 8), agrees=True),
    Walked("rows that are none", None, 4, [1, 3, 5, 7]),
]


@pytest.mark.parametrize("walked", WALKS, ids=lambda walked: walked.way)
async def test_walks(walked: Walked, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came is yielded, what cannot end is ended, and only a walk that adds up agrees."""
    monkeypatch.setattr(paging, "MOST_PAGES", 100)
    server = Lists(walked.way)
    pages: list[Page] = []

    async with client(server, page_size=2) as rest:
        walk = rest.walk_finished_sessions(FinishedSessionsQuery())
        error = await walk_to_the_end(walk, pages)

    assert (error and error.code) == walked.code
    assert error is None or str(error).startswith("POST v3/transactions: ")
    assert [item["id"] for page in pages for item in page.items] == list(walked.ids)
    assert server.asked == list(range(1, walked.pages + 1))
    assert walk.agrees is walked.agrees
    assert walk.unreadable == (4 if walked.way == "rows that are none" else 0)


async def test_a_failure_in_the_middle_of_a_walk_ends_it() -> None:
    """Pages that came before a failure were yielded; the failure is told, not skipped."""

    def answer(request: httpx.Request) -> httpx.Response:
        number = json.loads(request.content)["page"]
        return page_of(session(number), more=True) if number < 3 else httpx.Response(503)

    seen: list[Page] = []
    async with client(answer) as rest:
        walk = rest.walk_finished_sessions(FinishedSessionsQuery())
        error = await walk_to_the_end(walk, seen)

    assert [page.number for page in seen] == [1, 2]
    assert error is not None
    assert error.status == 503
    assert not walk.agrees


async def test_a_page_is_asked_for_again_and_a_walk_goes_on() -> None:
    """A fault at each page costs tries, and no row."""
    lists = Lists("as it should be")
    failing = True

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal failing
        failing = not failing
        return lists(request) if failing else httpx.Response(502)

    async with client(answer, page_size=2) as rest:
        walk = rest.walk_finished_sessions(FinishedSessionsQuery())
        ids = [item["id"] async for page in walk for item in page.items]

    assert ids == list(range(1, 8))
    assert walk.agrees
    assert (rest.counts.requests, rest.counts.retries) == (8, 4)
