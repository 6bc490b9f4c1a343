"""An app as Microsoft's documentation writes it, end to end."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from local.functions_host.process import FunctionsHost
from local.service_bus import ServiceBusBroker
from tests.functions_host.support import Sender, copy_app, logged, settled


@pytest.fixture(scope="module")
async def host(
    broker: ServiceBusBroker, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[FunctionsHost]:
    """A host on the quickstart app."""
    settings = {
        "ServiceBusConnection": broker.connection_string,
        "SingleQueue": "quickstart-single",
        "BatchQueue": "quickstart-batch",
    }
    app = copy_app("quickstart", tmp_path_factory.mktemp("quickstart"))
    async with await FunctionsHost.start(app=app, settings=settings) as host:
        yield host


async def test_http_takes_the_name_from_query_or_body(host: FunctionsHost) -> None:
    """The quickstart's function answers as its documentation shows."""
    async with httpx.AsyncClient(base_url=host.url, trust_env=False) as http:
        by_query = await http.get("/api/HttpExample", params={"name": "Ada"})
        by_body = await http.post("/api/httpexample", json={"name": "Ada"})
        without = await http.get("/api/HttpExample")
    assert by_query.text == "Hello, Ada. This HTTP triggered function executed."
    assert by_body.text == by_query.text
    assert by_query.headers["content-type"] == "text/plain; charset=utf-8"
    assert (without.status_code, without.text) == (
        200,
        "Pass a name in the query string or in the body.",
    )
    console = await logged(host, "Executed 'Functions.http_example' (Succeeded", times=3)
    assert "Information Function.http_example.User (root): Python HTTP trigger" in console


async def test_a_function_asks_for_its_key_where_the_host_holds_one(tmp_path: Path) -> None:
    """A key in the header or in the address opens it; a wrong one or none is 401 without a word."""
    settings = {"ServiceBusConnection": "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=n"}
    app = copy_app("quickstart", tmp_path)
    async with (
        await FunctionsHost.start(
            app=app,
            settings={
                **settings,
                "AzureWebJobs.single_example.Disabled": "true",
                "AzureWebJobs.batch_example.Disabled": "true",
                "SingleQueue": "a",
                "BatchQueue": "b",
            },
            function_key="the key",
        ) as host,
        httpx.AsyncClient(base_url=host.url, trust_env=False) as http,
    ):
        address = "/api/HttpExample"
        answers = [
            await http.get(address),
            await http.get(address, params={"code": "another key"}),
            await http.get(address, headers={"x-functions-key": "the key "[:-2]}),
            await http.get(address, params={"code": "the key", "name": "Ada"}),
            await http.get(address, headers={"x-functions-key": "the key"}),
        ]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 200, 200]
    assert {answer.content for answer in answers[:3]} == {b""}
    assert "the key" not in host.log_text()


async def test_the_timer_runs_when_asked(host: FunctionsHost) -> None:
    """Run by name, it logs; host.json hides its start and end lines and shows its own."""
    await host.run_function("timer_example")
    console = await logged(host, "Python timer trigger function executed.")
    assert "Functions.timer_example" not in console


async def test_a_single_message_reaches_its_function(
    host: FunctionsHost, broker: ServiceBusBroker, sender: Sender
) -> None:
    """The message is processed once and completed."""
    await sender.send("quickstart-single", b"a message")
    await logged(host, "single processed a message: a message")
    await logged(host, "Executed 'Functions.single_example' (Succeeded")
    totals = (await settled(broker, "quickstart-single")).totals
    assert (totals.delivered, totals.completed) == (1, 1)


async def test_messages_reach_their_function_in_a_batch(
    host: FunctionsHost, broker: ServiceBusBroker, sender: Sender
) -> None:
    """What was sent together arrives together, no more at once than host.json says."""
    await sender.send("quickstart-batch", *(b"%d" % n for n in range(60)))
    console = await logged(host, "Executed 'Functions.batch_example' (Succeeded", times=2)
    assert "batch of 50: ['0', '1'," in console
    assert (await settled(broker, "quickstart-batch")).totals.completed == 60


async def test_the_console_lists_functions_and_keeps_settings_to_itself(
    host: FunctionsHost, broker: ServiceBusBroker
) -> None:
    """URLs and schedules are shown, references as they are written, values never."""
    console = host.log_text()
    assert f"http_example: [all methods] {host.url}/api/HttpExample" in console
    assert "timer_example: timerTrigger 0 */5 * * * *" in console
    assert "single_example: serviceBusTrigger on queue %SingleQueue%" in console
    assert "quickstart-single" not in console
    assert broker.connection_string not in console


async def test_one_line_tells_programs_that_the_host_is_ready(host: FunctionsHost) -> None:
    """URL, process ids and how long the start took."""
    ready = re.search(
        r"^functions_host_ready url=(\S+) pid=(\d+) workers=(\d+) milliseconds=\d+$",
        host.log_text(),
        re.MULTILINE,
    )
    assert ready is not None
    assert ready.groups() == (host.url, str(host.pid), str((await host.worker_pids())[0]))
