"""The REST client: pages walked as answers say, errors told with advice, the key kept at home."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest

from shared.emabler.client import EmablerClient
from shared.emabler.models import Page
from shared.errors import EmablerFunctionsError, RestRefusedError, RestUnavailableError

BASE = "https://api.emabler.example/api/v2/cpo/"
KEY = "key-4711-of-ours"

type Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler, base: str = BASE) -> EmablerClient:
    return EmablerClient(base, KEY, transport=httpx.MockTransport(handler))


async def walk(handler: Handler, body: Mapping[str, Any] | None = None) -> list[Page]:
    async with client(handler) as rest:
        return [page async for page in rest.pages("v3/transactions", body or {}, limit=2)]


async def failure(answer: httpx.Response) -> EmablerFunctionsError:
    with pytest.raises(EmablerFunctionsError) as error:
        await walk(lambda _request: answer)
    assert KEY not in str(error.value)
    return error.value


def page_of(*items: Any, more: bool = False, **fields: Any) -> httpx.Response:
    return httpx.Response(200, json={"items": list(items), "hasNextPage": more} | fields)


async def test_pages_are_walked_as_long_as_there_is_a_next_one() -> None:
    """`hasNextPage` alone decides, whatever the total says; each request names page and limit."""
    asked: list[tuple[str, str, dict[str, Any]]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        asked.append((request.method, str(request.url), body))
        return page_of({"id": body["page"]}, more=body["page"] < 3, totalRecords=1)

    async with client(answer) as rest:
        found = [page async for page in rest.pages("v3/transactions", {"a": 1}, limit=2)]
        assert rest.requests == 3

    assert [(page.number, page.items, page.has_next) for page in found] == [
        (1, ({"id": 1},), True),
        (2, ({"id": 2},), True),
        (3, ({"id": 3},), False),
    ]
    assert asked == [
        ("POST", f"{BASE}v3/transactions", {"a": 1, "page": n, "limit": 2}) for n in (1, 2, 3)
    ]


async def test_an_empty_page_ends_the_walk() -> None:
    """A page without items that promises another one would have us ask forever."""
    found = await walk(lambda _request: page_of(more=True))

    assert [page.items for page in found] == [()]


async def test_the_walk_begins_at_page_1_whatever_the_caller_says() -> None:
    """Page and limit are the walk's own; the caller's other fields are sent as they are."""
    bodies: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return page_of()

    await walk(answer, {"page": 7, "limit": 900, "includeSanityFlags": True})

    assert bodies == [{"page": 1, "limit": 2, "includeSanityFlags": True}]


async def test_the_key_is_sent_in_its_header() -> None:
    """The key travels as `x-api-key` and nowhere else in the request."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return page_of()

    await walk(answer)
    async with client(answer) as rest:
        await rest.get("v2/chargers", {"page": 1, "search": "a b"})

    assert [request.headers["x-api-key"] for request in requests] == [KEY, KEY]
    assert str(requests[1].url) == f"{BASE}v2/chargers?page=1&search=a+b"
    for request in requests:
        assert KEY not in str(request.url)
        assert KEY.encode() not in request.content


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    """The key is not carried to another host: one request, and the operator is told."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(status, headers={"location": "https://elsewhere.example/"})

    with pytest.raises(RestRefusedError, match="check EMABLER_BASE_URL") as error:
        await walk(answer)

    assert error.value.status == status
    assert asked == ["api.emabler.example"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            {
                "type": "https://emabler.example/errors/7",
                "title": "Bad request",
                "status": 400,
                "detail": "limit is too large",
                "instance": "/v3/transactions",
                "extensions": {},
            },
            "POST v3/transactions: 400: Bad request: limit is too large",
        ),
        (
            {
                "errorCode": "INVALID_LIMIT",
                "message": "limit is too large",
                "errorNumber": 7,
                "helpLink": "https://emabler.example",
            },
            "POST v3/transactions: 400: INVALID_LIMIT: limit is too large",
        ),
        ({"errorCode": 7, "message": None, "detail": ""}, "POST v3/transactions: 400"),
        (["limit"], "POST v3/transactions: 400"),
        ({}, "POST v3/transactions: 400"),
    ],
    ids=["problem details", "older shape", "other types", "a list", "nothing"],
)
async def test_both_shapes_of_errors_are_told(fields: object, told: str) -> None:
    """Status, code, title, message and detail reach the operator, whichever of them are there."""
    error = await failure(httpx.Response(400, json=fields))

    assert isinstance(error, RestRefusedError)
    assert (error.status, error.code, str(error)) == (400, "rest_refused", told)


async def test_a_long_explanation_is_cut() -> None:
    """A page of HTML in a field does not flood the log."""
    error = await failure(httpx.Response(400, json={"detail": "x" * 10_000}))

    assert len(str(error)) < 300


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "check EMABLER_API_KEY"),
        (403, "ReadSessions"),
        (404, "check EMABLER_ENVIRONMENT and EMABLER_BASE_URL"),
    ],
)
@pytest.mark.parametrize("content", [b"", b"<html>", b"\xff\xfe\x00", b"[" * 100_000])
async def test_what_only_the_operator_can_mend_comes_with_advice(
    status: int, advice: str, content: bytes
) -> None:
    """A wrong key, a missing permission or a wrong address says what to check, body or none."""
    error = await failure(httpx.Response(status, content=content))

    assert isinstance(error, RestRefusedError)
    assert error.status == status
    assert advice in str(error)
    assert f": {status}: " in str(error)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (408, "rest_throttled"),
        (429, "rest_throttled"),
        *((status, "rest_failing") for status in (500, 501, 502, 503, 504, 520, 522, 599)),
    ],
)
async def test_throttling_and_failures_are_transient(status: int, code: str) -> None:
    """What may go better next time is weather: every 5xx, those of proxies between us included."""
    error = await failure(httpx.Response(status, json={"errorCode": "X", "message": "later"}))

    assert isinstance(error, RestUnavailableError)
    assert error.code == code
    assert f": {status}: X: later" in str(error)


@pytest.mark.parametrize(
    "problem",
    [
        httpx.ConnectError("no route"),
        httpx.ConnectTimeout("slow"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut off"),
        httpx.ReadError("reset"),
    ],
    ids=lambda problem: type(problem).__name__,
)
async def test_no_answer_is_transient(problem: httpx.HTTPError) -> None:
    """A server that cannot be reached or breaks off is told by the kind of its failure only."""

    def answer(_request: httpx.Request) -> httpx.Response:
        raise problem

    with pytest.raises(RestUnavailableError) as error:
        await walk(answer)

    assert error.value.code == "rest_away"
    assert str(error.value) == f"POST v3/transactions: {type(problem).__name__}"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>Sign in</html>",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"[]",
        b"null",
        b"{}",
        b'{"items": {}}',
        b'{"items": null, "hasNextPage": false}',
        b'{"items": [1]}',
        b'{"items": [{"id": 1}, null]}',
    ],
    ids=range(11),
)
async def test_an_unreadable_answer_is_transient(content: bytes) -> None:
    """What is no page, such as a proxy's sign-in, says nothing of the sessions: try again."""
    error = await failure(httpx.Response(200, content=content))

    assert isinstance(error, RestUnavailableError)
    assert error.code == "rest_answer_unreadable"


async def test_an_empty_answer_is_transient() -> None:
    """204 has no page."""
    assert (await failure(httpx.Response(204))).code == "rest_answer_unreadable"


async def test_a_failure_in_the_middle_of_a_walk_ends_it() -> None:
    """Pages that came before a failure were yielded; the failure is told, not skipped."""

    def answer(request: httpx.Request) -> httpx.Response:
        number = json.loads(request.content)["page"]
        return page_of({"id": number}, more=True) if number < 3 else httpx.Response(503)

    async with client(answer) as rest:
        pages = rest.pages("v3/transactions", {}, limit=2)
        assert [(await anext(pages)).number, (await anext(pages)).number] == [1, 2]
        with pytest.raises(RestUnavailableError):
            await anext(pages)
        assert rest.requests == 3


@pytest.mark.parametrize("status", [400, 401, 429, 500])
async def test_a_server_that_echoes_the_key_does_not_spread_it(status: int) -> None:
    """An error's text goes to logs and terminals: the key is taken out of what eMabler says."""
    error = await failure(
        httpx.Response(
            status, json={"message": f"key {KEY} is not allowed", "detail": "x" * 190 + KEY}
        )
    )

    assert "is not allowed" in str(error)
    assert KEY[:8] not in str(error)


async def test_a_get_answers_what_came() -> None:
    """A call that is no list is handed over whole; its errors are those of all calls."""
    async with client(lambda _request: httpx.Response(200, json={"a": 1})) as rest:
        assert (await rest.get("v2/tags", {})).json() == {"a": 1}
    async with client(lambda _request: httpx.Response(403)) as rest:
        with pytest.raises(RestRefusedError):
            await rest.get("v2/tags", {})
