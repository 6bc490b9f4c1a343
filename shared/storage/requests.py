"""Counts what an invocation asked of the store, by purpose: the customer's bill, in the open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import perf_counter


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


@contextmanager
def request(table: str, what: str) -> Iterator[None]:
    """One request to a table, to be counted where somebody counts."""
    requests = _current.get()
    began = perf_counter()
    try:
        yield
    except StopAsyncIteration:
        # The end of a query's pages is known from the page before: nothing was asked.
        requests = None
        raise
    finally:
        if requests is not None:
            purpose = f"{table}_{what}"
            requests.by_purpose[purpose] = requests.by_purpose.get(purpose, 0) + 1
            requests.seconds += perf_counter() - began
