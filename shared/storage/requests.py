"""Counts what an invocation asked of the store, by purpose: the customer's bill, in the open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import perf_counter

from shared.spans import Span, System, call


@dataclass(slots=True)
class StoreRequests:
    """Requests by purpose (`events_write`, `sessions_range` …) and the seconds they took, summed.

    Requests that run side by side add their times, so the sum can exceed the invocation's.
    """

    by_purpose: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def total(self) -> int:
        """How many requests there were."""
        return sum(self.by_purpose.values())


@dataclass(slots=True)
class Attempts:
    """How often one request was sent: the SDK tries again by itself."""

    count: int = 0


_attempts: ContextVar[Attempts | None] = ContextVar("attempts", default=None)
_current: ContextVar[StoreRequests | None] = ContextVar("store_requests", default=None)


@contextmanager
def counted() -> Iterator[StoreRequests]:
    """Count the requests that are made within, also by tasks that are started within."""
    requests = StoreRequests()
    token = _current.set(requests)
    try:
        yield requests
    finally:
        _current.reset(token)


def attempted(_request: object) -> None:
    """Note that a request is sent: the SDK calls this each time (its `raw_request_hook`)."""
    if (attempts := _attempts.get()) is not None:
        attempts.count += 1


@contextmanager
def request(table: str, what: str, system: System = System.TABLES) -> Iterator[Attempts]:
    """One request to a table, to be counted where somebody counts, with each time it is sent."""
    requests = _current.get()
    attempts = Attempts()
    token = _attempts.set(attempts)
    span = call(system, table, what)
    began = perf_counter()
    try:
        yield attempts
    except StopAsyncIteration:
        # The end of a query's pages is known from the page before: nothing was asked.
        requests = span = None
        raise
    except BaseException as error:
        if span is not None:
            span.fail(error)
        raise
    finally:
        _attempts.reset(token)
        if requests is not None:
            purpose = f"{table}_{what}"
            sent = max(attempts.count, 1)
            requests.by_purpose[purpose] = requests.by_purpose.get(purpose, 0) + sent
            requests.seconds += perf_counter() - began
        if span is not None:
            _end(span, attempts)


def _end(span: Span, attempts: Attempts) -> None:
    if attempts.count > 1:
        span.tell({"emabler.attempts": attempts.count})
    span.end()
