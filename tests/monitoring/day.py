"""A day of the app in virtual time: the product's own functions on a store in memory."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from shared.errors import RestUnavailableError, StoreUnavailableError
from shared.ingestion.messages import IncomingMessage
from shared.rooms import Rooms
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.tables import ALL_TABLES, AUTHORIZATIONS, TAGS
from shared.telemetry import WideEvent
from tests.monitoring.backing_up import backup_told
from tests.monitoring.faults import CALM, Plan
from tests.monitoring.fleet import HASH_KEY, Happening, happenings, tags
from tests.monitoring.host import Host, WorkerStoppedError
from tests.monitoring.played import Played
from tests.monitoring.reconciling import Reconciling
from tests.simulation.queue import Queue
from tests.simulation.virtual_time import run
from tests.tagging import put_tags

AUTHORIZATION = "made up: value of the webhook, long enough"
SETTINGS = {
    "DataStorageConnection": "UseDevelopmentStorage=true",
    "ServiceBusConnection": "Endpoint=sb://made.up/;SharedAccessKeyName=a;SharedAccessKey=b",
    "PUSH_QUEUE_NAME": "push-events",
    "TAG_HASH_KEY": HASH_KEY,
    "WEBHOOK_AUTHORIZATION": AUTHORIZATION,
    "EMABLER_ENVIRONMENT": "test",
}
_LOOKS_EVERY = 20.0
_RECONCILES_EVERY = 900.0
_BACKS_UP_EVERY = 900.0
_MOST = 100
_SLOW = (0.95, 1.3)
_STALL = 30.0


def play(began: datetime, lasting: timedelta, plan: Plan | None = None, seed: int = 1) -> Played:
    """Play a time; the same arguments give the same envelopes."""
    day = _Day(began, lasting, plan or CALM, Random(seed))
    run(day.play())
    return Played(day.host.envelopes, began, began + lasting, day.plan)


class _Day:
    def __init__(self, began: datetime, lasting: timedelta, plan: Plan, random: Random) -> None:
        self._began = began
        self._lasting = lasting
        self.plan = plan
        self._random = random
        self.host = Host(began, random)
        self._tables = MemoryTables(*ALL_TABLES, pause=self._pause, clock=self.host.clock)
        self._rooms = Rooms(
            SETTINGS,
            tables=self._tables,
            blobs=MemoryBlobs(*ALL_CONTAINERS),
            clock=self.host.clock,
        )
        self._queue = Queue(random)
        self._reconciling = Reconciling(plan, random)
        self._prepared = False

    async def play(self) -> None:
        """Play all of it, and end what is still running."""
        # The webhook's queue is the day's own, and waiting is by virtual time.
        self._rooms.__dict__["queue"] = _Sending(self._queue)
        self._rooms.delivery._elapsed = asyncio.get_running_loop().time
        await put_tags(self._tables, tags(self._began), HASH_KEY.encode())
        self._prepared = True
        with self.host.telling():
            tasks = [
                asyncio.create_task(each)
                for each in (
                    self._fleet(),
                    self._ingest(),
                    self._reconcile(),
                    self._retain(),
                    self._back_up(),
                    self._strangers(),
                )
            ]
            await asyncio.sleep(self._lasting.total_seconds())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._rooms.close()

    def _has(self, fault: str) -> bool:
        return self.plan.has(fault, self.host.clock())

    async def _pause(self, table: str, moment: str) -> None:
        if not self._prepared:
            return
        if table == AUTHORIZATIONS and self._has("audit_away"):
            message = f"table {table}: no answer"
            raise StoreUnavailableError(message)
        if table == TAGS and moment == "before_read" and self._has("stalled_tags"):
            await asyncio.sleep(_STALL)
        elif self._has("slow_store") and moment == "before_read":
            await asyncio.sleep(self._random.uniform(*_SLOW))
        else:
            await asyncio.sleep(self._random.uniform(0.003, 0.009))

    async def _fleet(self) -> None:
        under_way: set[asyncio.Task[None]] = set()
        for each in happenings(self._began, self._lasting, self._random):
            await asyncio.sleep((each.at - self.host.clock()).total_seconds())
            if each.tag or each.by_webhook:
                task = asyncio.create_task(self._calls(each))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            else:
                self._queue.send(each.message)

    async def _calls(self, what: Happening) -> None:
        tap = {"charger_id": what.charger, "rfid_tag_id": what.tag}
        await self._call(json.dumps(tap).encode() if what.tag else what.message)
        if what.tag:
            self._reconciling.sessions += 1

    async def _call(self, body: bytes, authorization: str = AUTHORIZATION) -> None:
        async def work(wide: WideEvent) -> str:
            answer = await self._rooms.webhook.answer(
                method="POST",
                authorization=authorization,
                body=body,
                content_type="application/json",
                wide=wide,
            )
            return str(answer.status)

        await self.host.invoke("push_webhook", "This function was called by HTTP.", work)

    async def _ingest(self) -> None:
        while True:
            await asyncio.sleep(_LOOKS_EVERY)
            while not self._has("backlog"):
                taken = self._queue.receive(_MOST)
                if not taken:
                    break
                batch = [
                    IncomingMessage(
                        body=message.body,
                        delivery_count=message.deliveries,
                        locked_until=self._began + timedelta(seconds=message.locked_until),
                    )
                    for message, _ in taken
                ]
                done = await self._invoke_ingestion(batch)
                for message, lock in taken:
                    (self._queue.complete if done else self._queue.abandon)(message, lock)
                if not done:
                    break

    async def _invoke_ingestion(self, batch: list[IncomingMessage]) -> bool:
        async def work(wide: WideEvent) -> None:
            if self._has("crashes"):
                await asyncio.sleep(0.2)
                raise WorkerStoppedError
            await self._rooms.ingest(batch, wide)

        return await self.host.invoke("ingest_push_events", "New ServiceBus message.", work)

    async def _reconcile(self) -> None:
        async def work(wide: WideEvent) -> None:
            await asyncio.sleep(self._random.uniform(2, 9))
            if self._has("rest_away"):
                message = "POST v3/transactions: no answer"
                raise RestUnavailableError(message)
            wide.add(**self._reconciling.run(self.host.clock()))

        while True:
            await self._until(_RECONCILES_EVERY)
            if not self._has("no_timer"):
                await self.host.invoke("reconcile", "Timer fired.", work)

    async def _retain(self) -> None:
        async def work(wide: WideEvent) -> None:
            await self._rooms.retain(wide)

        while True:
            # At half past two, by RETENTION_SCHEDULE.
            now = self.host.clock()
            due = now.replace(hour=2, minute=30, second=0, microsecond=0)
            due += timedelta(days=due <= now)
            await asyncio.sleep((due - now).total_seconds())
            await self.host.invoke("retain", "Timer fired.", work)

    async def _back_up(self) -> None:
        async def work(wide: WideEvent) -> None:
            await asyncio.sleep(self._random.uniform(1, 4))
            wide.add(**backup_told(self.plan, self.host.clock()))

        while True:
            await self._until(_BACKS_UP_EVERY)
            await self.host.invoke("back_up", "Timer fired.", work)

    async def _strangers(self) -> None:
        """Who does what nobody should."""
        number = 0
        while True:
            await asyncio.sleep(20)
            number += 1
            if self._has("poison"):
                self._queue.send(f"this is no JSON: {number}".encode())
            if self._has("wrong_value"):
                await self._call(b'{"charger_id": "CH-0001", "rfid_tag_id": "CANARY"}', "a guess")
            if self._has("guesser"):
                tap = {"charger_id": "CH-0007", "rfid_tag_id": f"04CANARY77{number:04X}"}
                await self._call(json.dumps(tap).encode())

    async def _until(self, every: float) -> None:
        since_midnight = self.host.clock() - datetime.combine(
            self.host.clock().date(), datetime.min.time(), UTC
        )
        await asyncio.sleep(every - since_midnight.total_seconds() % every)


class _Sending:
    """The queue as the webhook sees it."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    async def send(self, body: bytes, **_properties: Any) -> None:
        await asyncio.sleep(0.004)
        self._queue.send(body)

    async def close(self) -> None:
        return
