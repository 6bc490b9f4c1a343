"""Spans by OpenTelemetry's API. Imported only where TELEMETRY says `opentelemetry`."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, Tracer

from shared.errors import EmablerFunctionsError, RowConflictError
from shared.spans import Facts, Sender, System
from shared.spans import Span as SpanOfOurs

_KINDS = {System.QUEUE: SpanKind.PRODUCER}
_MOST_LINKS = 100
"""Application Insights takes 102 links; a batch has 100 messages."""


class OtelSpan:
    """One span."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def tell(self, facts: Facts) -> None:
        """Add facts."""
        self._span.set_attributes(dict(facts))

    def fail(self, error: BaseException) -> None:
        """Note what went wrong.

        A row that somebody else wrote first is an answer, and no failure of the call.
        """
        if isinstance(error, EmablerFunctionsError):
            self._span.set_attribute("emabler.error_code", error.code)
            if isinstance(error, RowConflictError):
                return
            told = error.code
        else:
            told = type(error).__name__
        self._span.set_status(Status(StatusCode.ERROR, told))

    def raised(self, error: BaseException) -> None:
        """Tell the exception itself: its kind, our own text, and where; foreign texts hold keys."""
        ours = isinstance(error, EmablerFunctionsError)
        self._span.add_event(
            "exception",
            {
                "exception.type": type(error).__name__,
                "exception.message": str(error) if ours else type(error).__name__,
                "exception.stacktrace": "".join(traceback.format_tb(error.__traceback__)),
            },
        )

    def end(self) -> None:
        """End it."""
        self._span.end()

    def header(self) -> str:
        """The span as W3C's `traceparent`."""
        context = self._span.get_span_context()
        return (
            f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags) & 1:02x}"
        )


class OtelSpans:
    """Makes spans with a tracer."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    @contextmanager
    def invocation(self, function: str, senders: Iterable[Sender]) -> Iterator[SpanOfOurs]:
        """The span of an invocation, below the host's, with links to who sent its messages.

        The runtime makes the host's span the current one before it calls a function.
        """
        links = [
            Link(_context(sender)) for sender, _ in zip(senders, range(_MOST_LINKS), strict=False)
        ]
        with self._tracer.start_as_current_span(
            function,
            links=links,
            # Texts of foreign errors hold keys.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            told = OtelSpan(span)
            try:
                yield told
            except BaseException as error:
                told.fail(error)
                told.raised(error)
                raise

    def call(self, system: System, target: str, what: str) -> OtelSpan | None:
        """The span of a call, below the invocation's; None where there is none."""
        if not trace.get_current_span().get_span_context().is_valid:
            return None
        return OtelSpan(
            self._tracer.start_span(
                what if system is System.REST else f"{target} {what}",
                kind=_KINDS.get(system, SpanKind.CLIENT),
                attributes=_attributes(system, target, what),
            )
        )


def _attributes(system: System, target: str, what: str) -> dict[str, str]:
    """What Application Insights makes type, target and data of."""
    if system is System.QUEUE:
        return {"messaging.system": system, "messaging.destination": target}
    # Of a call with attributes of HTTP it makes a name of its own, from an address.
    return {"db.system": system, "db.name": target, "db.operation": what}


def _context(sender: Sender) -> SpanContext:
    trace_id, span_id = sender
    return SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags.get_default()
    )
