"""Spans: nothing while they are off; below an invocation, with links, telling no key when on."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextvars import Context
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from shared import spans
from shared.emabler.calls import Call
from shared.emabler.exchange import Exchange
from shared.errors import (
    RestUnavailableError,
    RowExistsError,
    StoreUnavailableError,
    UnexpectedError,
)
from shared.instants import system_clock
from shared.otel_spans import OtelSpans
from shared.spans import System, call, called, sender_of, stamped
from shared.storage.memory import MemoryTables
from shared.storage.requests import attempted, request
from shared.storage.rows import Insert, Row
from shared.telemetry import invocation

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
CANARY = "04A22B7F5E6180"


@pytest.fixture
def made() -> Iterator[InMemorySpanExporter]:
    """Spans are on; what was ended is here."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans.turn_on(OtelSpans(provider.get_tracer("test")))
    yield exporter
    spans.turn_on(None)


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def facts(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_off_there_is_no_span() -> None:
    """By default a call has no span and a message stays as it is."""
    assert call(System.TABLES, "events", "write") is None
    with spans.invocation("reconcile") as span, called(System.REST, "eMabler", "x") as inner:
        assert (span, inner) == (None, None)
    assert stamped({"a": 1}, None) == {"a": 1}


async def test_requests_stand_below_their_invocation(made: InMemorySpanExporter) -> None:
    """Each request to a table is a span of its own below that of the function."""
    tables = MemoryTables("events")

    with invocation("ingest_push_events"):
        await tables.write("events", [Insert(Row(f"{CANARY}-p", CANARY, {"tag": CANARY}))])
        await tables.get("events", f"{CANARY}-p", CANARY)

    found = by_name(made)
    top, write, get = found["ingest_push_events"], found["events write"], found["events get"]
    assert {span.parent and span.parent.span_id for span in (write, get)} == {top.context.span_id}
    assert top.kind is SpanKind.INTERNAL
    assert write.kind is SpanKind.CLIENT
    assert facts(write) == {
        "db.system": "Azure table",
        "db.name": "events",
        "db.operation": "write",
    }
    assert facts(top) == {"emabler.outcome": "ok"}
    assert CANARY not in "".join(span.to_json() for span in found.values())


def test_an_invocation_stands_below_the_host_s_span(made: InMemorySpanExporter) -> None:
    """The runtime makes the host's span the current one: the trace goes on."""
    host = trace.NonRecordingSpan(
        trace.SpanContext(
            int(TRACE, 16), int(SPAN, 16), is_remote=True, trace_flags=trace.TraceFlags(1)
        )
    )

    with trace.use_span(host), invocation("push_webhook"):
        pass

    (span,) = made.get_finished_spans()
    assert f"{span.context.trace_id:032x}" == TRACE
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == SPAN


def test_a_batch_links_to_its_messages(made: InMemorySpanExporter) -> None:
    """Each message that names a span gives a link, whichever property it uses; others give none."""
    other = PARENT.replace(SPAN, "00f067aa0ba902b7")
    messages = [{"traceparent": PARENT}, None, {"Diagnostic-Id": other}, {"Diagnostic-Id": "|x."}]

    with invocation("ingest_push_events", messages=messages):
        pass

    (span,) = made.get_finished_spans()
    assert [f"{link.context.span_id:016x}" for link in span.links] == [SPAN, "00f067aa0ba902b7"]


def test_a_batch_links_to_no_more_than_are_shown(made: InMemorySpanExporter) -> None:
    """Application Insights keeps about a hundred links, in a text of bounded length."""
    with invocation("x", messages=({"traceparent": PARENT} for _ in range(1000))):
        pass

    (span,) = made.get_finished_spans()
    assert len(span.links) == 100


@pytest.mark.parametrize(
    ("told", "sender"),
    [
        (PARENT, (TRACE, SPAN)),
        (PARENT.replace("00-", "01-", 1) + "-more", (TRACE, SPAN)),
        (PARENT.upper(), None),
        (PARENT.replace("00-", "ff-", 1), None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        ("|7d4f2c1a.1.", None),
        ("", None),
        (7, None),
    ],
)
def test_a_sender_is_read_as_w3c_writes_it(told: object, sender: tuple[str, str] | None) -> None:
    """Anything else names nobody: the older format of Application Insights, zeros, no text."""
    assert sender_of({"traceparent": told}) == sender
    assert sender_of({"Diagnostic-Id": told}) == sender


def test_a_message_carries_its_span(made: InMemorySpanExporter) -> None:
    """Under both names that Microsoft's SDKs read; one that names a span already keeps it."""
    with invocation("push_webhook"), called(System.QUEUE, "push-events", "send") as span:
        told = stamped({"a": 1}, span)
        again = stamped({"Diagnostic-Id": PARENT}, span)

    sent = by_name(made)["push-events send"]
    assert sent.kind is SpanKind.PRODUCER
    assert told["traceparent"] == told["Diagnostic-Id"]
    assert sender_of(told) == (f"{sent.context.trace_id:032x}", f"{sent.context.span_id:016x}")
    assert again == {"Diagnostic-Id": PARENT}


async def test_a_call_of_rest_tells_its_name_and_status(made: InMemorySpanExporter) -> None:
    """Not its path, which may hold an id, nor its parameters; failed where no answer came."""

    def answer(asked: httpx.Request) -> httpx.Response:
        if "away" in asked.url.path:
            raise httpx.ConnectError(f"cannot reach {asked.url}")
        return httpx.Response(429)

    exchange = Exchange(
        "https://api.example/",
        "key",
        timeout=5,
        clock=system_clock,
        transport=httpx.MockTransport(answer),
    )
    found, away = Call("tags", "GET", f"v2/tags/{CANARY}"), Call("tags away", "GET", "v2/away")
    with invocation("reconcile"):
        await exchange.ask(found, parameters={"tag": CANARY})
        with pytest.raises(RestUnavailableError):
            await exchange.ask(away, parameters={"tag": CANARY})
    await exchange.close()

    ended = by_name(made)
    assert facts(ended["tags"])["emabler.status"] == 429
    assert ended["tags away"].status.status_code is StatusCode.ERROR
    assert ended["tags away"].status.description == "rest_away"
    told = "".join(span.to_json() for span in ended.values())
    assert CANARY not in told
    assert "api.example" not in told


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (StoreUnavailableError("busy", code="store_busy"), StatusCode.ERROR, "store_busy"),
        (RowExistsError("the row exists"), StatusCode.UNSET, "row_exists"),
        (ValueError(f"no key {CANARY}"), StatusCode.ERROR, None),
    ],
)
def test_what_went_wrong_is_told_by_its_code(
    made: InMemorySpanExporter, error: Exception, status: StatusCode, code: str | None
) -> None:
    """A row that was there first is an answer; of a foreign error only the kind is told."""
    with invocation("reconcile"), pytest.raises(type(error)), request("events", "write"):
        raise error

    span = by_name(made)["events write"]
    assert span.status.status_code is status
    assert facts(span).get("emabler.error_code") == code
    assert CANARY not in span.to_json()


def test_a_failed_invocation_tells_its_exception_without_foreign_texts(
    made: InMemorySpanExporter,
) -> None:
    """Kind, our own text and where it was raised, as the host tells it by default."""

    def failing() -> None:
        raise KeyError(CANARY)

    with pytest.raises(UnexpectedError), invocation("reconcile"):
        failing()

    (span,) = made.get_finished_spans()
    (event,) = span.events
    told = dict(event.attributes or {})
    assert told["exception.type"] == "UnexpectedError"
    assert "KeyError" in str(told["exception.message"])
    assert "in failing" in str(told["exception.stacktrace"])
    assert facts(span)["emabler.outcome"] == "failed"
    assert CANARY not in span.to_json()


def test_tries_again_are_told(made: InMemorySpanExporter) -> None:
    """A request that the SDK sent three times says so."""
    with invocation("reconcile"), request("events", "write"):
        for _ in range(3):
            attempted(object())

    assert facts(by_name(made)["events write"])["emabler.attempts"] == 3


def test_the_end_of_pages_is_no_span(made: InMemorySpanExporter) -> None:
    """The end of a query is known from the page before: nothing was asked, nothing is told."""
    with invocation("reconcile"), pytest.raises(StopAsyncIteration), request("events", "range"):
        raise StopAsyncIteration

    assert by_name(made).keys() == {"reconcile"}


def test_work_in_the_background_is_no_span(made: InMemorySpanExporter) -> None:
    """What runs in a context of its own belongs to no invocation, and begins no trace."""

    def audit() -> None:
        with request("authorizations", "write"):
            pass

    with invocation("push_webhook"):
        Context().run(audit)

    assert by_name(made).keys() == {"push_webhook"}


def test_the_exception_that_leaves_is_the_one_that_is_told(made: InMemorySpanExporter) -> None:
    """Spans change nothing of what an invocation raises."""
    with pytest.raises(StoreUnavailableError) as caught, invocation("reconcile"):
        raise StoreUnavailableError("table events: no answer")

    assert traceback.format_exception_only(caught.value)[0].endswith("no answer\n")
    assert len(made.get_finished_spans()) == 1
