"""The store as one worker meets it: late, busy, half-done, and gone when the worker is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

from shared.errors import RowConflictError, StoreUnavailableError
from shared.storage.memory import MemoryTables
from shared.storage.rows import Operation, Row

FROZEN_SECONDS = 400.0
"""How long a worker stands still that does: its locks end meanwhile, and it knows nothing of it."""


class WorkerStoppedError(BaseException):
    """The worker's process is gone: no line of it runs on, no handler of it catches this."""


@dataclass(slots=True)
class Faults:
    """How likely each fault of a call is; the rest goes well.

    `busy`: refused. `lost_answer`: done, and the caller is not told. `own_row`: the SDK sends it
    again by itself and meets its own row. `late`: given up by the caller, done up to 90 s later.
    `stop`: the worker's process is gone. `freeze`: it stands still for longer than its locks last.
    """

    busy: float = 0.03
    lost_answer: float = 0.02
    own_row: float = 0.02
    late: float = 0.02
    stop: float = 0.005
    freeze: float = 0.0005


CALM = Faults(busy=0, lost_answer=0, own_row=0, late=0, stop=0, freeze=0)


@dataclass(slots=True)
class Weather:
    """When the store is away for everybody, in virtual seconds."""

    outages: list[tuple[float, float]] = field(default_factory=list)

    def away(self, now: float) -> bool:
        return any(start <= now < end for start, end in self.outages)


class StoreOfOneWorker:
    """One worker's calls to the shared tables, each of which can go wrong in a way of its own."""

    def __init__(
        self, tables: MemoryTables, random: Random, faults: Faults, weather: Weather
    ) -> None:
        self._tables = tables
        self._random = random
        self._faults = faults
        self._weather = weather
        self._stopped = False
        self._late: set[asyncio.Task[None]] = set()

    async def get(self, table: str, partition: str, key: str) -> Row | None:
        await self._reach()
        row = await self._tables.get(table, partition, key)
        await self._answer()
        return row

    async def range(
        self,
        table: str,
        partition: str,
        start: str = "",
        end: str | None = None,
        *,
        columns: Sequence[str] | None = None,
    ) -> AsyncIterator[Row]:
        await self._reach()
        found = self._tables.range(table, partition, start, end, columns=columns)
        rows = [row async for row in found]
        await self._answer()
        for row in rows:
            yield row

    async def scan(
        self,
        table: str,
        start: str = "",
        end: str | None = None,
        *,
        keys_from: str = "",
        keys_to: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> AsyncIterator[Row]:
        await self._reach()
        found = self._tables.scan(
            table, start, end, keys_from=keys_from, keys_to=keys_to, columns=columns
        )
        rows = [row async for row in found]
        await self._answer()
        for row in rows:
            yield row

    async def write(self, table: str, operations: Sequence[Operation]) -> list[str | None]:
        await self._reach()
        fate = self._random.random()
        faults = self._faults
        if (fate := fate - faults.late) < 0:
            # The caller's time is over, and the request is under way all the same.
            self._later(table, list(operations))
            raise StoreUnavailableError("no answer in time")
        etags = await self._tables.write(table, operations)
        if (fate := fate - faults.lost_answer) < 0:
            raise StoreUnavailableError("the write was done and its answer was lost")
        if fate - faults.own_row < 0:
            # The SDK sent it again by itself, and met its own rows.
            await self._tables.write(table, operations)
        await self._answer()
        return etags

    async def create_table(self, table: str) -> bool:
        return await self._tables.create_table(table)

    async def now(self) -> datetime:
        await self._reach()
        date = await self._tables.now()
        await self._answer()
        return date

    async def close(self) -> None:
        await asyncio.gather(*self._late)

    def _later(self, table: str, operations: list[Operation]) -> None:
        async def arrive(after: float) -> None:
            await asyncio.sleep(after)
            with suppress(RowConflictError):
                await self._tables.write(table, operations)

        task = asyncio.create_task(arrive(self._random.uniform(0, 90)))
        self._late.add(task)

    async def _reach(self) -> None:
        self._live()
        await asyncio.sleep(self._random.uniform(0.001, 0.05))
        self._maybe_stop()
        if self._weather.away(asyncio.get_running_loop().time()):
            raise StoreUnavailableError("away")
        if self._random.random() < self._faults.busy:
            raise StoreUnavailableError("busy")

    async def _answer(self) -> None:
        await asyncio.sleep(self._random.uniform(0.001, 0.05))
        self._maybe_stop()
        if self._random.random() < self._faults.freeze:
            await asyncio.sleep(FROZEN_SECONDS)

    def _maybe_stop(self) -> None:
        if self._random.random() < self._faults.stop:
            self._stopped = True
        self._live()

    def _live(self) -> None:
        if self._stopped:
            raise WorkerStoppedError
