"""What reaches HTTP functions and what comes back, and the admin endpoints, end to end."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from local.functions_host.process import FunctionFailedError, FunctionsHost
from tests.functions_host.support import logged


@pytest.fixture(scope="module")
async def http(echo: FunctionsHost) -> AsyncIterator[httpx.AsyncClient]:
    """A client to that echo."""
    async with httpx.AsyncClient(base_url=echo.url, trust_env=False, timeout=30) as http:
        yield http


async def test_a_request_arrives_as_it_was_sent(
    echo: FunctionsHost, http: httpx.AsyncClient
) -> None:
    """Method, URL, headers, query and body, each as Azure's host hands it over."""
    body = gzip.compress(b"not unpacked")
    answer = await http.post(
        "/v1/request?a=1&a=2&b=%C3%A9+x&empty=",
        content=body,
        headers=[("X-One", "1"), ("x-one", "2"), ("Content-Encoding", "gzip")],
    )
    told = answer.json()
    assert told["method"] == "POST"
    assert told["url"] == f"{echo.url}/v1/request?a=1&a=2&b=%C3%A9+x&empty="
    assert told["headers"]["x-one"] == "1,2"
    assert told["headers"]["content-encoding"] == "gzip"
    assert told["params"] == {"a": "1,2", "b": "é x"}
    assert bytes.fromhex(told["body"]) == body


async def test_a_chunked_body_arrives_whole(http: httpx.AsyncClient) -> None:
    """A body without a length announced is read to its end."""

    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    told = (await http.post("/v1/request", content=parts())).json()
    assert bytes.fromhex(told["body"]) == b"onetwo"


async def test_a_client_that_asks_first_may_send_its_body(echo: FunctionsHost) -> None:
    """Expect: 100-continue is answered before the body comes."""
    port = int(echo.url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"POST /v1/bytes HTTP/1.1\r\nHost: x\r\nConnection: close\r\n")
        writer.write(b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        async with asyncio.timeout(10):
            assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
            writer.write(b"body")
            answer = await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()
    assert answer.lstrip().startswith(b"HTTP/1.1 201 Created\r\n")
    assert answer.endswith(b"\r\n\r\nbody")


async def test_route_parameters_reach_the_function(http: httpx.AsyncClient) -> None:
    """Constraints, optional parameters and catch-alls work as Azure writes them."""
    assert (await http.put("/v1/items/7")).json()["route"] == {"id": "7"}
    assert (await http.put("/v1/items/7/a%20b")).json()["route"] == {"id": "7", "part": "a b"}
    assert (await http.get("/v1/files/a/b.txt")).json()["route"] == {"path": "a/b.txt"}
    assert (await http.put("/v1/items/x")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/nothing"), ("GET", "/api/request"), ("DELETE", "/v1/request")],
)
async def test_what_no_function_takes_is_not_found(
    http: httpx.AsyncClient, method: str, path: str
) -> None:
    """Unknown routes, and known ones with a method they do not take (as in Azure, no 405)."""
    answer = await http.request(method, path)
    assert (answer.status_code, answer.content) == (404, b"")


async def test_bytes_status_headers_and_cookies_come_back(http: httpx.AsyncClient) -> None:
    """A response of any bytes, beyond what gRPC takes by default."""
    body = bytes(range(256)) * 24_000
    answer = await http.post("/v1/bytes", content=body)
    assert (answer.status_code, answer.content) == (201, body)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-length"] == str(len(body))
    assert answer.headers["set-cookie"].startswith("tap=1;")
    assert "HttpOnly" in answer.headers["set-cookie"]


async def test_a_returned_string_is_plain_text(http: httpx.AsyncClient) -> None:
    """A function may return text instead of a response."""
    answer = await http.get("/v1/text")
    assert answer.text == "é, nothing but text"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


async def test_an_exception_gives_an_empty_500(
    echo: FunctionsHost, http: httpx.AsyncClient
) -> None:
    """The caller learns nothing; the console has the traceback."""
    answer = await http.get("/v1/fails")
    assert (answer.status_code, answer.content) == (500, b"")
    console = await logged(echo, "ValueError: on purpose")
    assert "Error Function.fails: Executed 'Functions.fails' (Failed" in console
    assert 'raise ValueError("on purpose")' in console


async def test_the_app_sees_its_own_folder_and_settings(
    echo: FunctionsHost, http: httpx.AsyncClient
) -> None:
    """Its folder is first on the path and current; nothing of this repository is on it."""
    told = (await http.get("/v1/process")).json()
    assert Path(told["path"][0]) == Path(told["cwd"])
    assert Path(told["cwd"]).name == "echo"
    assert told["finds_local"] is False
    assert not any(Path(entry) == Path(__file__).parents[2] for entry in told["path"])
    address = echo.url.removeprefix("http://")
    assert told["settings"] == {
        "FromFile": "file",
        "FromBoth": "environment",
        "WEBSITE_HOSTNAME": address,
    }
    assert [told["pid"]] == await echo.worker_pids()
    await logged(echo, "printed by the app")


async def test_a_trace_is_continued(http: httpx.AsyncClient) -> None:
    """The invocation is a span below the caller's; without one it starts a trace."""
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    headers = {"traceparent": parent, "tracestate": "a=b"}
    told = (await http.get("/v1/process", headers=headers)).json()
    version, trace, span, flags = told["trace_parent"].split("-")
    assert (version, trace, flags) == ("00", "0af7651916cd43dd8448eb211c80319c", "00")
    assert span != "b7ad6b7169203331"
    assert told["trace_state"] == "a=b"
    alone = (await http.get("/v1/process", headers={"traceparent": "00-nonsense"})).json()
    assert alone["trace_parent"].split("-")[1] not in {trace, "nonsense"}


async def test_functions_in_error_are_named_and_the_others_run(
    echo: FunctionsHost, http: httpx.AsyncClient
) -> None:
    """Unsupported binding, missing setting, wrong schedule: each on a line with its reason."""
    console = echo.log_text()
    assert "function queued uses binding queue, which this host does not run" in console
    assert "function unset, binding message: the app setting NoSuchSetting" in console
    assert "function unscheduled, binding timer: the schedule every now and then" in console
    assert (await http.get("/v1/queued")).status_code == 404
    status = await echo.status()
    assert status["state"] == "Running"
    assert len(status["errors"]) == 3


async def test_a_disabled_function_is_not_served(
    echo: FunctionsHost, http: httpx.AsyncClient
) -> None:
    """It is listed as disabled, answers 404, and can still be run by its name."""
    assert (await http.get("/v1/off")).status_code == 404
    assert f"switched_off (disabled): [all methods] {echo.url}/v1/off" in echo.log_text()
    await echo.run_function("switched_off")


async def test_a_failed_run_by_name_tells_the_exception(echo: FunctionsHost) -> None:
    """The caller that waits gets the text of the exception."""
    with pytest.raises(FunctionFailedError) as caught:
        await echo.run_function("failing_timer")
    assert "RuntimeError: the timer fails" in caught.value.text


async def test_a_run_by_name_without_waiting_is_accepted(
    echo: FunctionsHost, http: httpx.AsyncClient
) -> None:
    """202 at once, as func answers; the run follows."""
    before = echo.log_text().count("Executed 'Functions.failing_timer'")
    answer = await http.post("/admin/functions/failing_timer", json={"input": ""})
    assert (answer.status_code, answer.content) == (202, b"")
    await logged(echo, "Executed 'Functions.failing_timer'", times=before + 1)


async def test_the_admin_endpoints_list_and_refuse(
    echo: FunctionsHost, http: httpx.AsyncClient
) -> None:
    """Functions with their bindings; 404 for what is unknown, 400 for what is no JSON."""
    listed = {f["name"]: f for f in (await http.get("/admin/functions")).json()}
    assert listed["items"]["invoke_url_template"] == f"{echo.url}/v1/items/{{id:int}}/{{part?}}"
    assert listed["switched_off"]["isDisabled"] is True
    assert listed["queued"]["errors"]
    assert (await http.get("/admin/functions/text")).json() == listed["text"]
    assert (await http.post("/admin/functions/none", json={})).status_code == 404
    assert (await http.post("/admin/functions/text", content=b"{")).status_code == 400
    assert (await http.get("/admin/elsewhere")).status_code == 404
    status = await echo.status()
    assert status["processUptime"] > 0
    assert status["id"].startswith("echo-")


async def test_a_startup_timer_runs_and_is_retried(echo: FunctionsHost) -> None:
    """RunOnStartup runs it once the host serves; its retry policy repeats the failed attempt."""
    console = await logged(echo, "timer past_due=False retries=1")
    assert "timer past_due=False retries=0" in console
    assert '"Next": "' in console


async def test_browsers_of_an_allowed_origin_may_call(http: httpx.AsyncClient) -> None:
    """Preflight and answer carry the origin that local.settings.json allows, and no other."""
    headers = {"Origin": "https://portal.example", "Access-Control-Request-Method": "POST"}
    preflight = await http.options("/v1/request", headers=headers)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "https://portal.example"
    other = await http.get("/v1/request", headers={"Origin": "https://other.example"})
    assert "access-control-allow-origin" not in other.headers


async def test_a_worker_that_exits_is_replaced(
    echo: FunctionsHost, http: httpx.AsyncClient
) -> None:
    """The invocation that was lost answers 500; the next one runs in the next worker."""
    (before,) = await echo.worker_pids()
    assert (await http.get("/v1/exits")).status_code == 500
    assert (await http.get("/v1/text")).status_code == 200
    (after,) = await echo.worker_pids()
    assert after != before
    await logged(echo, f"process {before} exited with code 3")
