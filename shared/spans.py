"""Spans: what an invocation does, one below the other, as a trace shows it.

Off unless something turned them on (`shared.azure_monitor`, where TELEMETRY says `opentelemetry`):
then each function here asks one variable and is done. A span's name and facts are tables, kinds of
requests, names of calls, statuses and codes. No key, no tag, no address and no text of a foreign
error gets into one, so whoever adds a span gives it nothing of these.

A span that is no invocation's is none: the writes of the audit and other work in the background
are not told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import StrEnum
from typing import Protocol

type Sender = tuple[str, str]
"""A span of somebody else: its trace and its id, 32 and 16 hex digits."""

type Facts = Mapping[str, str | int]

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")
_NAMES = ("traceparent", "Diagnostic-Id")
"""How the SDKs of Service Bus name the property that tells a message's span."""


class System(StrEnum):
    """What is called; the value is what Application Insights shows as the dependency's type."""

    TABLES = "Azure table"
    BLOBS = "Azure blob"
    QUEUE = "Azure Service Bus"
    REST = "HTTP"


class Span(Protocol):
    """One span that was begun."""

    def tell(self, facts: Facts) -> None:
        """Add facts."""
        ...

    def fail(self, error: BaseException) -> None:
        """Note what went wrong: of our own errors code and text, of others only the kind."""
        ...

    def end(self) -> None:
        """End it. One that is never ended was never there."""
        ...

    def header(self) -> str:
        """What a message carries so that whoever takes it can link to this span."""
        ...


class Spans(Protocol):
    """What makes spans."""

    def invocation(self, function: str, senders: Iterable[Sender]) -> AbstractContextManager[Span]:
        """The span of an invocation, below the host's, with links to who sent its messages."""
        ...

    def call(self, system: System, target: str, what: str) -> Span | None:
        """The span of a call, below the invocation's; None where there is none."""
        ...


_on: Spans | None = None
_NONE: AbstractContextManager[None] = nullcontext()


def turn_on(spans: Spans | None) -> None:
    """Make spans from now on; None: none any more."""
    global _on  # noqa: PLW0603 - one switch for the process, asked at each request
    _on = spans


def invocation(
    function: str, messages: Iterable[Mapping[str, object] | None] = ()
) -> AbstractContextManager[Span | None]:
    """The span of an invocation; `messages` are the properties of those that it was given."""
    if _on is None:
        return _NONE
    return _on.invocation(function, filter(None, map(sender_of, messages)))


def call(system: System, target: str, what: str) -> Span | None:
    """Begin the span of a call to a table, container, queue or call of REST; None: there is none.

    Whoever begins it ends it; a call that was none after all is forgotten.
    """
    return None if _on is None else _on.call(system, target, what)


@contextmanager
def called(system: System, target: str, what: str) -> Iterator[Span | None]:
    """The span of a call that is made within."""
    span = call(system, target, what)
    try:
        yield span
    except BaseException as error:
        if span is not None:
            span.fail(error)
        raise
    finally:
        if span is not None:
            span.end()


def sender_of(properties: Mapping[str, object] | None) -> Sender | None:
    """The span that a message names as its own, in W3C's format; eMabler may name none."""
    for name in _NAMES:
        match = _TRACEPARENT.fullmatch(str((properties or {}).get(name, "")))
        if match and int(match[1], 16) and int(match[2], 16):
            return match[1], match[2]
    return None


def stamped(
    properties: Mapping[str, str | int | float | bool], span: Span | None
) -> dict[str, object]:
    """The properties of a message that is sent within a span, as the SDKs would write them.

    A message that is sent again keeps the span that it names already.
    """
    if span is None or sender_of(properties) is not None:
        return dict(properties)
    return {**properties, **dict.fromkeys(_NAMES, span.header())}
