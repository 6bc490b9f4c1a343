"""When each function last did its work, as far as the store knows: table `store`, partition `ran`.

Workers come and go and know nothing of each other; whoever looks from outside asks the store. It is
told beside the work, at most once a minute by each worker and function, and never at its cost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from datetime import datetime
from time import monotonic

from shared.instants import Clock, format_instant, parse_instant
from shared.storage.rows import SCHEMA, Row, Tables, Upsert
from shared.storage.tables import STORE
from shared.telemetry import LOGGER

EVERY_SECONDS = 60.0
AGAIN_SECONDS = 10.0
"""After a note that failed; a store that is away is not to be asked with each tap."""
RAN = "ran"
"""The partition of the table `store` that tells it. A worker writes it at any moment, also into a
store that is new: it is no data of the store's own."""


class LastRuns:
    """Notes that functions ran. `tables` opens the gateway of work that can wait."""

    def __init__(
        self,
        tables: Callable[[], Tables],
        clock: Clock,
        *,
        elapsed: Callable[[], float] = monotonic,
    ) -> None:
        self._tables = tables
        self._clock = clock
        self._elapsed = elapsed
        self._due: dict[str, float] = {}
        self._writing: dict[str, asyncio.Task[None]] = {}

    def note(self, function: str) -> None:
        """A function did its work. Never waits, never raises; the store is told soon."""
        now = self._elapsed()
        if function in self._writing or now < self._due.get(function, now):
            return
        self._due[function] = now + EVERY_SECONDS
        # A context of its own: its request is no invocation's.
        task = asyncio.get_running_loop().create_task(
            self._write(function, self._clock()), context=Context()
        )
        self._writing[function] = task
        task.add_done_callback(lambda _done: self._writing.pop(function, None))

    async def _write(self, function: str, instant: datetime) -> None:
        row = Row(RAN, function, {"schema": SCHEMA, "at": format_instant(instant)})
        try:
            await self._tables().write(STORE, [Upsert(row)])
        except Exception as error:  # noqa: BLE001 - nobody waits for it; texts may hold keys
            self._due[function] = self._elapsed() + AGAIN_SECONDS
            LOGGER.warning("last_run_not_noted: %s", type(error).__name__)

    async def written(self) -> None:
        """Wait until what was noted is written, or given up."""
        if self._writing:
            await asyncio.wait(self._writing.values())


async def read_last_runs(tables: Tables) -> dict[str, datetime]:
    """When each function last did its work, to a minute; functions that never did are not there.

    Raises:
        StoreUnavailableError: It cannot be read now.
    """
    found = {
        row.key: parse_instant(str(row.columns["at"])) async for row in tables.range(STORE, RAN)
    }
    return {function: instant for function, instant in found.items() if instant is not None}
