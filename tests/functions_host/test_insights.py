"""What the host tells Application Insights: lines, invocations, failures, in Azure's shapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from local.app_insights.process import AppInsights
from local.functions_host.host_json import parse_host_json
from local.functions_host.process import FunctionsHost
from local.processes import until
from local.service_bus import ServiceBusBroker
from tests.functions_host.support import copy_app, logged

SETTINGS = {"Schedule": "0 0 0 1 1 *", "FromFile": "x", "FromBoth": "x"}
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def captured(
    tmp_path: Path, *paths: str, requests: int, settings: dict[str, str] | None = None
) -> list[dict[str, Any]]:
    """What is captured of GETs to the echo app, once so many requests are."""
    app = copy_app("echo", tmp_path)
    async with await AppInsights.start(tmp_path) as insights:
        told = SETTINGS | {"APPLICATIONINSIGHTS_CONNECTION_STRING": insights.connection_string}
        async with (
            await FunctionsHost.start(app=app, settings=told | (settings or {})) as host,
            httpx.AsyncClient(base_url=f"{host.url}/v1/", trust_env=False) as client,
        ):
            for path in paths:
                await client.get(path, headers={"traceparent": PARENT})
        items = of_function(insights, paths[0].partition("/")[0])
        assert len(of(items, "RequestData")) == requests
        return items


def of_function(insights: AppInsights, name: str) -> list[dict[str, Any]]:
    """What is told of one function: the app has a timer that runs when it starts."""
    return [each for each in insights.envelopes() if each["tags"]["ai.operation.name"] == name]


def of(items: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [item["data"]["baseData"] for item in items if item["data"]["baseType"] == kind]


async def test_an_invocation_is_told_as_azure_tells_it(tmp_path: Path) -> None:
    """The request, what the function logged, that it began and ended, in the caller's trace."""
    items = await captured(tmp_path, "waits/0?secret=7", requests=1)

    (request,) = of(items, "RequestData")
    began, line, ended = of(items, "MessageData")
    tags = [item["tags"] for item in items]
    assert {each["ai.operation.id"] for each in tags} == {PARENT.split("-")[1]}
    parents = {item["data"]["baseType"]: item["tags"]["ai.operation.parentId"] for item in items}
    assert parents == {"RequestData": PARENT.split("-")[2], "MessageData": request["id"]}
    assert (request["name"], request["success"], request["responseCode"]) == ("waits", True, "200")
    assert request["url"].endswith("/v1/waits/0")
    assert request["properties"]["HttpPath"] == "/v1/waits/0"
    assert request["properties"]["Category"] == "Host.Results"
    assert line["message"] == "waiting as waits"
    assert line["properties"].keys() == {
        "Category",
        "LogLevel",
        "InvocationId",
        "HostInstanceId",
        "ProcessId",
    }
    assert line["properties"]["Category"] == "Function.waits.User"
    assert began["message"].startswith("Executing 'Functions.waits' (Reason='")
    assert ended["properties"]["prop__status"] == "Succeeded"
    assert ended["properties"]["EventName"] == "FunctionCompleted"


async def test_a_failure_is_told_with_its_exception(tmp_path: Path) -> None:
    """A function that raises leaves a failed request, an error line and the exception's text."""
    items = await captured(tmp_path, "fails", requests=1)

    (request,) = of(items, "RequestData")
    assert request["success"] is False
    exceptions = of(items, "ExceptionData")
    categories = {each["properties"]["Category"] for each in exceptions}
    assert categories == {"Host.Results", "Function.fails"}
    assert all("ValueError: on purpose" in each["exceptions"][1]["message"] for each in exceptions)
    assert [each["severityLevel"] for each in of(items, "MessageData")] == ["Information", "Error"]


async def test_levels_of_host_json_hold(tmp_path: Path) -> None:
    """A category that host.json silences is not sent; requests are the category Host.Results."""
    items = await captured(
        tmp_path,
        "waits/0",
        requests=0,
        settings={
            "AzureFunctionsJobHost__logging__logLevel__Function.waits.User": "Warning",
            "AzureFunctionsJobHost__logging__logLevel__Host.Results": "None",
        },
    )

    assert [each["message"].split()[0] for each in of(items, "MessageData")] == [
        "Executing",
        "Executed",
    ]


async def test_by_opentelemetry_lines_are_sent_once(tmp_path: Path) -> None:
    """Lines of functions are the host's to send, unless the worker says that it sends its own."""
    mode = {"AzureFunctionsJobHost__telemetryMode": "OpenTelemetry"}
    hosts = await captured(tmp_path / "a", "waits/0", requests=1, settings=mode)
    workers = await captured(
        tmp_path / "b",
        "waits/0",
        requests=1,
        settings=mode | {"PYTHON_ENABLE_OPENTELEMETRY": "true"},
    )

    assert len(of(hosts, "MessageData")) == 3
    assert of(workers, "MessageData") == []
    assert of(workers, "RequestData")[0]["properties"] == {}


async def test_a_batch_names_the_spans_of_its_messages(
    tmp_path: Path, broker: ServiceBusBroker
) -> None:
    """The request of a batch links to the span that each message names, by whichever property."""
    app = copy_app("batches", tmp_path)
    (tmp_path / "batch").touch()
    other = PARENT.replace("3331", "4442")
    properties: list[dict[str | bytes, Any]] = [
        {"Diagnostic-Id": PARENT},
        {"traceparent": other},
        {"Diagnostic-Id": "|not.w3c."},
        {},
    ]
    async with await AppInsights.start(tmp_path) as insights:
        settings = {
            "GATE": str(tmp_path),
            "BatchQueue": "batches",
            "ServiceBus": broker.connection_string,
            "APPLICATIONINSIGHTS_CONNECTION_STRING": insights.connection_string,
        }
        async with (
            ServiceBusClient.from_connection_string(broker.connection_string) as client,
            client.get_queue_sender("batches") as sender,
        ):
            await sender.send_messages(
                [ServiceBusMessage(b"x", application_properties=each) for each in properties]
            )
            async with await FunctionsHost.start(app=app, settings=settings) as host:
                await logged(host, "batch ends")
        (request,) = of(insights.envelopes(), "RequestData")

    links = json.loads(request["properties"]["_MS.links"])
    trace = PARENT.split("-")[1]
    assert links == [
        {"operation_Id": trace, "id": PARENT.split("-")[2]},
        {"operation_Id": trace, "id": other.split("-")[2]},
    ]


async def test_trouble_costs_no_item(tmp_path: Path) -> None:
    """What the endpoint does not take for now is sent again, once."""
    app = copy_app("echo", tmp_path)
    async with await AppInsights.start(tmp_path) as insights:
        told = SETTINGS | {"APPLICATIONINSIGHTS_CONNECTION_STRING": insights.connection_string}
        async with (
            await FunctionsHost.start(app=app, settings=told) as host,
            httpx.AsyncClient(base_url=f"{host.url}/v1/", trust_env=False) as client,
        ):
            await insights.put_trouble(503, times=2)
            await client.get("waits/0")

            async def there() -> bool:
                return len(of_function(insights, "waits")) >= 4

            await until(there, within=20, what="the request to be captured")
        assert len(of_function(insights, "waits")) == 4


async def test_nothing_leaves_this_machine(tmp_path: Path) -> None:
    """A connection string of a real component is not used, and the console says so."""
    app = copy_app("echo", tmp_path)
    told = {
        "APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=0;"
        "IngestionEndpoint=https://westeurope-5.in.applicationinsights.azure.com/"
    }
    async with await FunctionsHost.start(app=app, settings=SETTINGS | told) as host:
        await logged(host, "names no endpoint of this machine")


def test_telemetry_mode_is_read() -> None:
    """host.json's telemetryMode is read as Azure reads it, and an app setting overrides it."""
    plain = '{"version": "2.0"}'
    told = '{"version": "2.0", "telemetryMode": "openTelemetry"}'

    assert not parse_host_json(plain).opentelemetry
    assert parse_host_json(told).opentelemetry
    assert parse_host_json(plain, {("telemetrymode",): "OpenTelemetry"}).opentelemetry
