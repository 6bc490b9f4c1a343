"""The REST client's calls as they are sent, what they return, and where the key goes."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from local.emabler.process import EmablerServer
from shared.emabler.calls import (
    Call,
    FinishedSessionsQuery,
    OngoingSessionsQuery,
    Options,
)
from shared.emabler.client import EmablerClient
from shared.emabler.models.inventory import read_charger, read_tag
from shared.emabler.models.sessions import read_finished_session, read_ongoing_session
from shared.emabler.refusals import Hidden
from shared.errors import RestRefusedError, RestUnavailableError, SettingError
from tests.emabler.rest import BASE, KEY, NOW, TAG, Server, Time, client, page_of

START = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 11, 2, 8, 30, 0, 250_000, tzinfo=UTC)


async def test_every_filter_is_spelled_as_eMabler_spells_it() -> None:  # noqa: N802 - a name
    """The body has the documented names, capitals and types; instants are UTC."""
    server = Server([page_of()])
    query = FinishedSessionsQuery(
        started_from=START,
        started_to=END,
        ended_from=START,
        ended_to=END,
        chargers=["CH-1", "CH-2/1"],
        drivers=["d"],
        sites=["7"],
        tags=[TAG],
        rest_ids=[2**40],
        transactions=["9", "A"],
        sort_key="Id",
        descending=True,
    )

    async with client(server, page_size=150) as rest:
        await rest.finished_sessions(query, page=3)

    (request,) = server.requests
    assert (request.method, str(request.url)) == ("POST", f"{BASE}v3/transactions")
    assert json.loads(request.content) == {
        "startTime": "2026-11-01T00:00:00.000000Z",
        "startTimeSearchEnd": "2026-11-02T08:30:00.250000Z",
        "stopTimeSearchBegin": "2026-11-01T00:00:00.000000Z",
        "stopTime": "2026-11-02T08:30:00.250000Z",
        "chargerIDs": ["CH-1", "CH-2/1"],
        "driverIDs": ["d"],
        "siteIDs": ["7"],
        "rfidTags": [TAG],
        "transactionIds": [2**40],
        "evseTransactionIds": ["9", "A"],
        "sortKey": "Id",
        "sortDescending": True,
        "includeSanityFlags": True,
        "page": 3,
        "limit": 150,
    }


async def test_what_is_not_asked_for_is_not_sent() -> None:
    """No filter is no field: an empty list could mean nothing at all."""
    server = Server([page_of()])

    async with client(server) as rest:
        await rest.finished_sessions(FinishedSessionsQuery(sanity_flags=False), limit=7)

    assert json.loads(server.requests[0].content) == {"page": 1, "limit": 7}


async def pages[T](walk: AsyncIterator[T]) -> list[T]:
    return [page async for page in walk]


@pytest.mark.parametrize(
    ("ask", "path", "parameters"),
    [
        (
            lambda rest: rest.ongoing_sessions(
                OngoingSessionsQuery(since=START, until=END, chargers=["A", "B"], sockets=[1, 2])
            ),
            "v2/ongoing-transactions",
            {
                "from": "2026-11-01T00:00:00.000000Z",
                "to": "2026-11-02T08:30:00.250000Z",
                "chargerIds": "A,B",
                "socketIds": "1,2",
            },
        ),
        (lambda rest: rest.ongoing_sessions(), "v2/ongoing-transactions", {}),
        (lambda rest: rest.chargers(), "v2/chargers", {"sortKey": "ChargerId"}),
        (
            lambda rest: rest.chargers(site="7"),
            "v2/chargers",
            {"sortKey": "ChargerId", "siteId": "7"},
        ),
        (lambda rest: rest.tags(), "v2/tags", {"sortKey": "TagId"}),
        (lambda rest: rest.tags(driver="9"), "v2/tags", {"sortKey": "TagId", "driverId": "9"}),
    ],
)
async def test_lists_are_asked_for_with_parameters(
    ask: Callable[[EmablerClient], Any], path: str, parameters: dict[str, str]
) -> None:
    """Several values of one parameter are parted by commas; pages and limits are added."""
    server = Server([page_of({"id": 1}, more=True), page_of({"id": 2})])

    async with client(server, list_page_size=50) as rest:
        found = await pages(aiter(ask(rest)))

    assert [page.items for page in found] == [({"id": 1},), ({"id": 2},)]
    for number, request in enumerate(server.requests, start=1):
        assert (request.method, request.url.path) == ("GET", f"/api/v2/cpo/{path}")
        sent = dict(parse_qsl(request.url.query.decode()))
        assert sent == parameters | {"page": str(number), "limit": "50"}


async def test_version_paths_are_settings() -> None:
    """Each call goes where the options say."""
    server = Server([page_of()])
    options: dict[str, Any] = {
        "finished_sessions_path": "v9/a",
        "ongoing_sessions_path": "v9/b",
        "chargers_path": "v9/c",
        "tags_path": "v9/d",
        "push_configurations_path": "v9/e",
    }

    async with client(server, **options) as rest:
        for call in rest.options.all_calls:
            await rest.look(call)

    assert [str(request.url).partition("?")[0] for request in server.requests] == [
        f"{BASE}v9/{letter}" for letter in "abcde"
    ]


async def test_push_configurations_are_read_from_either_shape() -> None:
    """A page or a bare list, whose shape is not documented; ids are escaped in paths."""
    items = [{"id": "a/b", "name": "x"}, {"id": 7}, {"name": "no id"}]

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode()
        if path.endswith("/configurations"):
            return httpx.Response(200, json=items)
        kind = "endpointType" if path.endswith("endpoints") else "messageType"
        return page_of({"id": 1, kind: path})

    async with client(answer) as rest:
        found = await rest.push_configurations()
        endpoints = await rest.push_endpoints(found[0].id)
        messages = await rest.push_messages(found[1].id)

    base = "/api/v2/cpo/v2/push-integrations/configurations"
    assert [each.id for each in found] == ["a/b", "7"]
    assert [each.item for each in found] == items[:2]
    assert [each.kind for each in endpoints] == [f"{base}/a%2Fb/endpoints"]
    assert [each.kind for each in messages] == [f"{base}/7/messages"]
    assert rest.drift.told() == {"push_configuration.id required_missing": 1}


@pytest.mark.parametrize("place", ["/api/v2/cpo/", "/api/v2/", "/api/", "/"])
async def test_the_description_is_found_wherever_it_is(place: str) -> None:
    """Below the base address or beside any part of it; a page for people is not taken for it."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        assert request.url.host == "api.emabler.example"
        if request.url.path == f"{place}swagger.json":
            return httpx.Response(200, json={"openapi": "3.0.1", "paths": {"/v2/tags": {}}})
        if request.url.path == "/api/v2/swagger.json":
            return httpx.Response(200, content=b"<html>")
        return httpx.Response(404)

    async with client(answer) as rest:
        assert (await rest.description())["paths"] == {"/v2/tags": {}}
    assert asked[-1] == f"{place}swagger.json"


async def test_a_description_that_is_nowhere_is_told() -> None:
    """What the first place answered is the error; a server that is away ends the search."""
    async with client(Server([httpx.Response(404)])) as rest:
        with pytest.raises(RestRefusedError) as raised:
            await rest.description()
    away = Server([httpx.ConnectError("")])
    async with client(away, retry_seconds=0) as rest:
        with pytest.raises(RestUnavailableError):
            await rest.description()

    assert (raised.value.status, len(away.requests)) == (404, 1)


async def test_the_key_travels_in_its_header_only() -> None:
    """`x-api-key` and nowhere else in a request; no log line of the client's libraries tells it."""
    server = Server([page_of()])

    async with client(server) as rest:
        await rest.finished_sessions(FinishedSessionsQuery())
        await pages(aiter(rest.tags()))

    for request in server.requests:
        assert request.headers["x-api-key"] == KEY
        assert KEY not in str(request.url)
        assert KEY.encode() not in request.content


@pytest.mark.parametrize(
    "path",
    ["https://elsewhere.example/v2", "http://api.emabler.example/v2", f"{BASE[:27]}:8443/v2"],
)
async def test_a_path_cannot_lead_the_key_away(path: str) -> None:
    """Another host, or the same one in the open, is refused before anything is sent."""
    server = Server([page_of()])

    async with client(server, chargers_path=path) as rest:
        with pytest.raises(SettingError, match="leads to another host"):
            await pages(aiter(rest.chargers()))

    assert server.requests == []


@pytest.mark.parametrize("key", ["kéy-canary", "key-canary\r\nx: y", "key-canary\x00"])
def test_a_key_that_cannot_travel_is_refused(key: str) -> None:
    """The HTTP library's own error would tell the key."""
    with pytest.raises(SettingError) as raised:
        EmablerClient(BASE, key)

    assert "canary" not in str(raised.value)


def test_what_is_hidden_is_hidden_in_every_spelling() -> None:
    """Echoed in other case, percent-escaped or as JSON, longest first, and never in its repr."""
    hidden = Hidden("k+y/1", ['t"1', 't"12'])

    text = hidden.without('K+Y/1 k%2By%2F1 T"12 t\\"1 t%221 other')

    assert text == "(key) (key) (tag) (tag) (tag) other"
    assert "k+y" not in repr(hidden)
    assert Hidden("").without("as it is") == "as it is"


async def test_both_shapes_of_errors_tell_the_same_things() -> None:
    """Status, code, detail and what to do, whichever shape they came in."""
    problem = {"type": "t", "title": "Bad", "status": 400, "detail": "limit", "extensions": {}}
    older = {"errorCode": "BAD", "message": "limit", "errorNumber": 7, "helpLink": "h"}
    raised = []
    for fields in (problem, older, [problem], {"errorCode": 7, "detail": ""}):
        async with client(Server([httpx.Response(400, json=fields)])) as rest:
            with pytest.raises(RestRefusedError) as error:
                await rest.finished_sessions(FinishedSessionsQuery())
            raised.append(error.value)

    told = [(error.status, error.server_code, error.detail) for error in raised]
    assert told == [(400, None, "limit"), (400, "BAD", "limit"), *[(400, None, None)] * 2]
    for each, start in zip(raised, ("Bad: limit", "BAD: limit", "eM", "eM"), strict=True):
        assert str(each).startswith(f"POST v3/transactions: 400: {start}")
        assert each.advice is not None
        assert str(each).endswith(each.advice)


async def test_a_long_explanation_is_cut() -> None:
    """A page of HTML in a field does not flood the log, and lines stay lines."""
    answer = httpx.Response(400, content=json.dumps({"detail": "x\n\ud800" * 10_000}))
    async with client(Server([answer])) as rest:
        with pytest.raises(RestRefusedError) as error:
            await rest.finished_sessions(FinishedSessionsQuery())

    assert len(str(error.value)) < 500
    assert "\n" not in str(error.value)
    str(error.value).encode()


@pytest.mark.parametrize(
    ("name", "permission"),
    [
        ("finished_sessions", "ReadSessions"),
        ("ongoing_sessions", "ReadSessions"),
        ("chargers", "ReadChargers and ReadSites"),
        ("tags", "ReadTags"),
        ("push_configurations", "ReadIntegrations"),
    ],
)
async def test_a_missing_permission_is_named_for_its_call(name: str, permission: str) -> None:
    """403 says which permission may be missing for this very call."""
    async with client(Server([httpx.Response(403)])) as rest:
        call: Call = getattr(rest.options, name)
        with pytest.raises(RestRefusedError, match=f"{call.path}: 403: .* {permission}: grant"):
            await rest.look(call)


async def test_a_page_tells_when_its_answer_was_asked_for() -> None:
    """The instant before the request that was answered, not that of the first try."""
    time = Time()
    server = Server([httpx.Response(429, headers={"retry-after": "9"}), page_of()])

    async with client(server, time=time) as rest:
        page = await rest.finished_sessions(FinishedSessionsQuery())

    assert page.asked == NOW + timedelta(seconds=9.25)
    assert page.holds_all


@pytest.mark.parametrize(
    ("fields", "number", "whole"),
    [
        ({}, 1, True),
        ({}, 2, False),
        ({"more": True}, 1, False),
        ({"more": None}, 1, False),
        ({"totalRecords": 2}, 1, False),
        ({"totalRecords": None}, 1, False),
        ({"totalRecords": "1"}, 1, True),
    ],
)
async def test_one_page_that_holds_everything_says_so(
    fields: dict[str, Any],
    number: int,
    whole: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    """Only a first page without a next one, with as many rows as the total, is the whole."""
    async with client(Server([page_of({"id": 1}, **fields)])) as rest:
        page = await rest.finished_sessions(FinishedSessionsQuery(), page=number)

    assert page.holds_all is whole


async def test_requests_keep_to_our_own_rate() -> None:
    """A second's worth may go at once, then one after the other; the waiting is counted."""
    time = Time()

    async with client(Server([page_of()]), time=time, requests_per_second=2.0) as rest:
        for _ in range(6):
            await rest.finished_sessions(FinishedSessionsQuery())
        assert time.seconds == pytest.approx(2.0)
        time.seconds += 60
        before = rest.counts.seconds_waited
        await rest.finished_sessions(FinishedSessionsQuery())
        await rest.finished_sessions(FinishedSessionsQuery())
        assert rest.counts.seconds_waited == before == pytest.approx(2.0)


async def test_no_retry_goes_beyond_the_time_of_who_asks() -> None:
    """A run whose time is over gets one answer more, however long requests may be tried again."""
    time = Time()
    server = Server([httpx.Response(503)])
    async with client(server, time=time, retry_seconds=600) as rest:
        rest.end_within(20.0)
        with pytest.raises(RestUnavailableError):
            await rest.look(rest.options.chargers)
        assert time.seconds <= 20.0
        sent, time.seconds = len(server.requests), 30.0
        with pytest.raises(RestUnavailableError):
            await rest.look(rest.options.chargers)

    assert len(server.requests) == sent + 1
    assert time.seconds == 30.0


async def test_who_is_throttled_keeps_all_requests_back() -> None:
    """While eMabler asks for patience, the client's other requests wait as well."""
    time = Time()
    server = Server([httpx.Response(429, headers={"retry-after": "30"}), page_of()])

    async with client(server, time=time, retry_seconds=10) as rest:
        with pytest.raises(RestUnavailableError):
            await rest.finished_sessions(FinishedSessionsQuery())
        assert time.seconds == 0
        await rest.finished_sessions(FinishedSessionsQuery())

    assert time.seconds == pytest.approx(10)
    assert rest.counts.throttled == 1


async def test_nothing_is_logged_that_is_nobody_s_business(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With every library at its most talkative, neither the key nor a tag is told."""
    caplog.set_level(logging.DEBUG)
    echo = httpx.Response(400, json={"detail": f"{KEY} {TAG}"})

    async with client(Server([echo])) as rest:
        with pytest.raises(RestRefusedError):
            await rest.finished_sessions(FinishedSessionsQuery(tags=[TAG]))

    assert KEY not in caplog.text
    assert TAG not in caplog.text


async def test_a_cancelled_request_ends_at_once() -> None:
    """A run that is stopped does not wait for its pauses."""

    async def answer(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with client(answer) as rest:
        task = asyncio.create_task(rest.finished_sessions(FinishedSessionsQuery()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_options_of_nobody_are_the_documented_ones() -> None:
    """Without settings, the current version's paths and the largest pages that are documented."""
    options = Options()

    assert [(str(call), call.setting) for call in options.all_calls] == [
        ("POST v3/transactions", "EMABLER_TRANSACTIONS_PATH"),
        ("GET v2/ongoing-transactions", "EMABLER_ONGOING_PATH"),
        ("GET v2/chargers", "EMABLER_CHARGERS_PATH"),
        ("GET v2/tags", "EMABLER_TAGS_PATH"),
        ("GET v2/push-integrations/configurations", "EMABLER_PUSH_CONFIGURATIONS_PATH"),
    ]
    assert (options.page_size, options.list_page_size) == (200, 100)


async def test_the_client_reads_a_server_of_others(tmp_path: Path) -> None:
    """Against a process that was written without this client: lists, filters, pages, and 401."""
    session = {
        "id": 1,
        "chargerId": "CH-1",
        "socketId": 1,
        "evseTransactionId": "7",
        "timestampStart": "2026-11-01T08:00:00Z",
        "timestampEnd": "2026-11-01T09:00:00Z",
        "fullConsumptionWh": 100,
    }
    async with await EmablerServer.start(api_key=KEY, log=tmp_path / "log") as server:
        await server.put("sessions", [session | {"id": n} for n in range(1, 6)])
        await server.put("chargers", [{"id": 1, "chargerId": "CH-1"}])
        await server.put("tags", [{"id": 1, "idTag": TAG}])
        async with EmablerClient(
            server.base_url, KEY, options=Options(page_size=2, requests_per_second=1e9)
        ) as rest:
            walk = rest.walk_finished_sessions(FinishedSessionsQuery(ended_from=START))
            sessions = [
                read_finished_session(item, rest.drift)
                for page in await pages(aiter(walk))
                for item in page.items
            ]
            none = await rest.finished_sessions(FinishedSessionsQuery(ended_from=END))
            chargers = [
                read_charger(item)
                for page in await pages(aiter(rest.chargers()))
                for item in page.items
            ]
            tags = [
                read_tag(item) for page in await pages(aiter(rest.tags())) for item in page.items
            ]
            ongoing = [
                read_ongoing_session(item)
                for page in await pages(aiter(rest.ongoing_sessions()))
                for item in page.items
            ]
        async with client(None, base=server.base_url) as wrong:
            wrong._exchange._key._key = "another"
            with pytest.raises(RestRefusedError) as refused:
                await wrong.finished_sessions(FinishedSessionsQuery())

    assert walk.agrees
    assert [each and each.rest_id for each in sessions] == ["1", "2", "3", "4", "5"]
    assert (none.rows, none.holds_all, ongoing) == (0, True, [])
    assert [each and each.charger for each in chargers] == ["CH-1"]
    assert [each and each.tag for each in tags] == [TAG]
    assert refused.value.code == "rest_key_refused"
