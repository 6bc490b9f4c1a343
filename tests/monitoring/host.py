"""A Functions host in virtual time, which tells what it does in the local host's envelopes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from random import Random
from typing import Any
from unittest.mock import patch
from uuid import UUID

from local.app_insights.process import INSTRUMENTATION_KEY
from local.functions_host.insights_items import Ended, Items, Running, Sender
from local.functions_host.log_levels import LogLevel
from local.functions_host.trace_context import TraceContext
from local.functions_host.worker.protos import load_protos
from shared.telemetry import LOGGER, WideEvent, invocation

type Envelope = dict[str, Any]
type Work = Callable[[WideEvent], Awaitable[str | None]]
"""The function's work; what it gives is the HTTP status of the answer, if it is one."""

_LEVELS = {
    logging.DEBUG: LogLevel.DEBUG,
    logging.INFO: LogLevel.INFORMATION,
    logging.WARNING: LogLevel.WARNING,
    logging.ERROR: LogLevel.ERROR,
}


class WorkerStoppedError(BaseException):
    """The worker's process is gone in the middle of an invocation."""


class Host(logging.Handler):
    """Invokes functions and keeps the envelopes; `epoch` is the instant of virtual time 0."""

    def __init__(self, epoch: datetime, random: Random) -> None:
        super().__init__(logging.INFO)
        self.envelopes: list[Envelope] = []
        self._epoch = epoch
        self._random = random
        self._running: ContextVar[Running | None] = ContextVar("running", default=None)
        self._request = load_protos().InvocationRequest()
        self._items = Items(Sender(INSTRUMENTATION_KEY, "func-emabler", "host-1", "4.1000"))

    def clock(self) -> datetime:
        """Virtual time as an instant."""
        return self._epoch + timedelta(seconds=asyncio.get_running_loop().time())

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Take the product's lines, and give it virtual time where it measures."""
        elapsed = asyncio.get_running_loop().time
        LOGGER.addHandler(self)
        level = LOGGER.level
        LOGGER.setLevel(logging.INFO)
        try:
            with (
                patch("shared.telemetry.perf_counter", elapsed),
                patch("shared.storage.requests.perf_counter", elapsed),
                patch("shared.authorization.audit.monotonic", elapsed),
                patch("shared.authorization.facts.monotonic", elapsed),
            ):
                yield
        finally:
            LOGGER.removeHandler(self)
            LOGGER.setLevel(level)

    async def invoke(self, function: str, reason: str, work: Work) -> bool:
        """Invoke a function; whether it succeeded. Its failure is told, not raised."""
        running = Running(
            str(UUID(int=self._random.getrandbits(128))),
            function,
            reason,
            self.clock(),
            self._trace(),
            self._request,
        )
        token = self._running.set(running)
        status, error = "0", ""
        self._keep(self._items.executing(running))
        try:
            with invocation(function) as wide:
                try:
                    status = await work(wide) or "0"
                except WorkerStoppedError:
                    # Nobody is left to write the line.
                    setattr(wide, "emit", lambda _logger: None)  # noqa: B010 - no method to mypy
                    raise
        except (Exception, WorkerStoppedError) as failure:  # noqa: BLE001 - the host goes on
            error = f"{type(failure).__name__}: {failure}"
        finally:
            self._running.reset(token)
        ended = Ended(self.clock() - running.began, error, status)
        request = self._items.request(running, ended)
        for envelope in [*self._items.ended(running, ended), request]:
            self._keep(envelope, running.began if envelope is request else None)
        return not error

    def emit(self, record: logging.LogRecord) -> None:
        """A line of the product; outside of an invocation the host drops it."""
        running = self._running.get()
        if running is not None:
            text = record.getMessage()
            self._keep(self._items.line(running, _LEVELS[record.levelno], text))

    def _keep(self, envelope: Envelope, at: datetime | None = None) -> None:
        instant = (at or self.clock()).isoformat(timespec="microseconds")
        self.envelopes.append(envelope | {"time": instant.replace("+00:00", "Z")})

    def _trace(self) -> TraceContext:
        trace, span = self._random.getrandbits(128), self._random.getrandbits(64)
        return TraceContext(f"00-{trace:032x}-{span:016x}-01")
