"""The store of a day: in memory, with its pauses in virtual time and the day's faults."""

from __future__ import annotations

import asyncio
from random import Random

from shared.errors import StoreUnavailableError
from shared.instants import Clock
from shared.storage.containers import ALL_CONTAINERS, BACKUPS
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.tables import ALL_TABLES, AUTHORIZATIONS, TAGS
from tests.monitoring.faults import Plan

_USUAL = (0.003, 0.009)
_SLOW = (0.95, 1.3)
_STALL = 30.0


class Tables(MemoryTables):
    """Tables that answer after a while once the day has begun (`timed`)."""

    def __init__(self, plan: Plan, random: Random, clock: Clock) -> None:
        super().__init__(*ALL_TABLES, pause=self._answers, clock=clock)
        self._plan = plan
        self._random = random
        self.timed = False

    async def _answers(self, table: str, moment: str) -> None:
        if not self.timed:
            return
        if table == AUTHORIZATIONS and self._has("audit_away"):
            message = f"table {table}: no answer"
            raise StoreUnavailableError(message)
        if table == TAGS and moment == "before_read" and self._has("stalled_tags"):
            await asyncio.sleep(_STALL)
        elif self._has("slow_store") and moment == "before_read":
            await asyncio.sleep(self._random.uniform(*_SLOW))
        else:
            await asyncio.sleep(self._random.uniform(*_USUAL))

    def _has(self, fault: str) -> bool:
        return self._plan.has(fault, self.clock())


class Containers(MemoryBlobs):
    """Containers, of which that of the backups may refuse what is written."""

    def __init__(self, plan: Plan, clock: Clock) -> None:
        super().__init__(*ALL_CONTAINERS, clock=clock)
        self._plan = plan

    async def put(self, container: str, name: str, content: bytes) -> str:
        """Write a blob; `replace` does it by this."""
        if container == BACKUPS and self._plan.has("no_backup", self.clock()):
            message = f"container {container}: 403, the identity may not write"
            raise StoreUnavailableError(message)
        return await super().put(container, name, content)
