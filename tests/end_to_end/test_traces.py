"""What was captured of the whole app by OpenTelemetry: a trace of each thing, drawn."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from local.app_insights.process import AppInsights
from local.app_insights.traces import drawn, spans_of
from local.commands.playing.csv_tags import CsvTag, write_tags
from local.commands.playing.operator import Operator
from local.commands.playing.sender import Sender
from local.commands.playing.watching import until_drained
from local.processes import until
from local.stack import OPENTELEMETRY, QUEUE_NAME, LocalAzure, Part
from tests import payloads

CHECKOUT = Path(__file__).resolve().parents[2]
CHARGER, TAG = "HKI-JATKASAARI-12", "CANARY-TAG-1"
SENDER = "00-11111111111111111111111111111111-2222222222222222-01"


@dataclass(frozen=True, slots=True)
class Captured:
    """What the endpoint took, with the names of functions by trace."""

    envelopes: list[dict[str, Any]]

    def of(self, *functions: str) -> list[dict[str, Any]]:
        """The items of the traces in which these functions ran."""
        traces = {span.trace for span in spans_of(self.envelopes) if span.name in functions}
        return [each for each in self.envelopes if each["tags"].get("ai.operation.id") in traces]

    def lines(self) -> list[dict[str, Any]]:
        """The wide events, with the trace of each."""
        return [
            json.loads(each["data"]["baseData"]["message"])
            | {"trace": each["tags"]["ai.operation.id"]}
            for each in self.envelopes
            if each["data"]["baseType"] == "MessageData"
        ]


@pytest.fixture(scope="module")
async def captured(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Captured]:
    """An event by webhook, another straight to the queue, a tap, and a reconciliation."""
    folder = tmp_path_factory.mktemp("traces")
    async with LocalAzure(
        data=folder / "data",
        parts=tuple(Part),
        overrides=OPENTELEMETRY | {"AUTHORIZATION_BUDGET_MILLISECONDS": "60000"},
        before_host=lambda azure: Operator(azure.settings, folder).create_store(),
    ) as azure:
        operator = Operator(azure.settings, folder)
        known = write_tags(folder / "tags.csv", [CsvTag(TAG, type="TAG")])
        await operator.run("tags", "import", known)
        async with Sender(azure) as sender:
            await sender.tap(CHARGER, TAG)
            now = datetime.now(UTC)
            start = payloads.start_v2(
                chargerId=CHARGER,
                authorizedIdTag=TAG,
                receivedTimestamp=now.isoformat(),
                deviceTimeStamp=now.isoformat(),
            )
            await sender.to_webhook([start])
            await until_drained(azure, within=60)
        await send_as_somebody_else(azure, now + timedelta(minutes=1))
        await until_drained(azure, within=60)
        await azure.host.run_function("reconcile")
        await arrived(azure.insights, requests=5)
        await azure.host.stop()
        yield Captured(azure.insights.envelopes())


async def send_as_somebody_else(azure: LocalAzure, at: datetime) -> None:
    """A message whose sender traces, as Microsoft's SDKs write it."""
    state = payloads.state_v2(
        chargerId=CHARGER, receivedTimestamp=at.isoformat(), deviceTimeStamp=at.isoformat()
    )
    async with (
        ServiceBusClient.from_connection_string(azure.broker.connection_string) as client,
        client.get_queue_sender(QUEUE_NAME) as sender,
    ):
        properties: dict[str | bytes, Any] = {"Diagnostic-Id": SENDER}
        await sender.send_messages(ServiceBusMessage(state, application_properties=properties))


async def arrived(insights: AppInsights, *, requests: int) -> None:
    """Wait until the host's requests and the app's last spans are captured."""

    async def there() -> bool:
        spans = spans_of(insights.envelopes())
        names = [span.name for span in spans if span.kind == "request"]
        return len(names) == requests == len([s for s in spans if s.kind == "InProc"])

    await until(there, within=60, what="the capture")


def test_a_message_is_followed_from_the_webhook_to_its_tables(captured: Captured) -> None:
    """The call that took it, and by a link the batch that wrote it, down to each request."""
    message = captured.of("push-events send")
    (trace,) = {each["tags"]["ai.operation.id"] for each in message}
    batch = [
        span.trace
        for span in spans_of(captured.envelopes)
        if trace in {linked for linked, _ in span.links} and span.kind == "InProc"
    ]
    both = [e for e in captured.envelopes if e["tags"].get("ai.operation.id") in {trace, *batch}]

    assert drawn(both) == pictures()[0]


def test_a_sender_that_traces_is_linked_to(captured: Captured) -> None:
    """Whoever sends to the queue and names its span finds the batch that took its message."""
    links = {link for span in spans_of(captured.envelopes) for link in span.links}

    assert (SENDER.split("-")[1], SENDER.split("-")[2]) in links


def test_a_tap_is_one_trace(captured: Captured) -> None:
    """The call, and each request that its answer waited for."""
    (tap,) = {line["trace"] for line in captured.lines() if line.get("decision")}
    items = [e for e in captured.envelopes if e["tags"].get("ai.operation.id") == tap]

    assert drawn(items) == pictures()[1]


def test_a_reconciliation_is_one_trace(captured: Captured) -> None:
    """A run, with each call of REST and each request to the store below it."""
    picture, (line,) = pictures()[2], lines_of(captured, "reconcile")
    below = Counter(
        "rest" if span.kind == "HTTP" else "store"
        for span in spans_of(captured.of("reconcile"))
        if span.kind not in ("request", "InProc")
    )

    assert below["rest"] == line["rest_requests"] > 1
    assert below["store"] == sum(line["store_requests"].values()) > 1
    assert len({each["tags"]["ai.operation.id"] for each in captured.of("reconcile")}) == 1
    # What a run asks of the store changes with what there is: the picture holds in its shape.
    assert drawn(captured.of("reconcile")).splitlines()[:3] == picture.splitlines()[:3]
    assert "finished sessions, HTTP" in picture


def test_each_invocation_leaves_its_line_once(captured: Captured) -> None:
    """Host and app both know of each line; one of them sends it, in the invocation's trace."""
    lines = [line["function"] for line in captured.lines()]

    assert Counter(lines) == {"ingest_push_events": 2, "push_webhook": 2, "reconcile": 1}
    requests = {s.trace for s in spans_of(captured.envelopes) if s.kind == "request"}
    assert {line["trace"] for line in captured.lines()} == requests


def test_there_are_no_spans_but_ours(captured: Captured) -> None:
    """No instrumentation of Microsoft's clients, of httpx or of gRPC adds a span or a metric."""
    kinds = {each["data"]["baseType"] for each in captured.envelopes}
    types = {span.kind for span in spans_of(captured.envelopes)}
    properties = {
        name
        for each in captured.envelopes
        if each["data"]["baseType"] == "RemoteDependencyData"
        for name in each["data"]["baseData"].get("properties") or {}
    }

    assert kinds == {"RequestData", "RemoteDependencyData", "MessageData"}
    assert types == {
        "request",
        "InProc",
        "Azure table",
        "Queue Message | Azure Service Bus",
        "HTTP",
    }
    assert properties <= {
        "_MS.links",
        "emabler.attempts",
        "emabler.error_code",
        "emabler.outcome",
        "emabler.status",
    }


def lines_of(captured: Captured, function: str) -> list[dict[str, Any]]:
    """The wide events of a function."""
    return [line for line in captured.lines() if line["function"] == function]


def pictures() -> list[str]:
    """What docs/telemetry.md draws: a message, a tap, a reconciliation."""
    text = (CHECKOUT / "docs" / "telemetry.md").read_text(encoding="utf-8")
    return re.findall(r"```\n(trace .*?)\n```", text, re.DOTALL)
