"""A day of the app in virtual time: the product's own functions on a store in memory."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from unittest.mock import patch

from shared.backup_room import BackupRoom
from shared.ingestion.messages import IncomingMessage
from shared.reconciliation_room import client_options
from shared.rooms import Rooms
from shared.telemetry import WideEvent
from tests.emabler.rest import BASE, KEY
from tests.monitoring.emabler import Emabler
from tests.monitoring.faults import CALM, Plan
from tests.monitoring.fleet import HASH_KEY, Happening, story, tags
from tests.monitoring.host import Envelope, Host, WorkerStoppedError
from tests.monitoring.past import beginning, live_through, sessions_before
from tests.monitoring.played import Played
from tests.monitoring.store import Containers, Tables
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
    "EMABLER_BASE_URL": BASE,
    "EMABLER_API_KEY": KEY,
    "RECONCILE_SCHEDULE": "0 */15 * * * *",
}
_LOOKS_EVERY = 20.0
_RECONCILES_EVERY = 900.0
_RETAINS_EVERY = 900.0
_BACKS_UP_EVERY = 900.0
_MOST = 100


def play(began: datetime, lasting: timedelta, plan: Plan | None = None, seed: int = 1) -> Played:
    """Play a time; the same arguments give the same envelopes."""
    plan = plan or CALM
    random = Random(seed)
    with patch("shared.reconciliation.run.token_hex", lambda size: random.randbytes(size).hex()):
        envelopes = run(_played(began, lasting, plan, random))
    return Played(envelopes, began, began + lasting, plan)


async def _played(
    began: datetime, lasting: timedelta, plan: Plan, random: Random
) -> list[Envelope]:
    day = _Day(began, lasting, plan, random)
    await day.play()
    return day.host.envelopes


class _Day:
    def __init__(self, began: datetime, lasting: timedelta, plan: Plan, random: Random) -> None:
        self._began = began
        self._epoch = beginning(began)
        self._lasting = lasting
        self.plan = plan
        self._random = random
        self.host = Host(self._epoch, random)
        self._story = story(began, lasting, random)
        self._tables = Tables(plan, random, self.host.clock)
        self._rooms = Rooms(
            SETTINGS,
            tables=self._tables,
            blobs=Containers(plan, self.host.clock),
            clock=self.host.clock,
            elapsed=_elapsed,
            emabler=lambda: self._emabler.client(client_options(self._rooms.settings)),
        )
        self._backups = BackupRoom(self._rooms, clock=self.host.clock, elapsed=_elapsed)
        self._before = sessions_before(began)
        self._emabler = Emabler(
            [*self._before, *self._story.sessions], plan, random, clock=self.host.clock
        )
        self._queue = Queue(random)

    async def play(self) -> None:
        """Play all of it, and end what is still running."""
        # The webhook's queue is the day's own, and waiting is by virtual time.
        self._rooms.__dict__["queue"] = _Sending(self._queue)
        self._rooms.delivery._elapsed = _elapsed
        await put_tags(self._tables, tags(self._began), HASH_KEY.encode())
        await live_through(
            self._rooms,
            self._backups,
            self._before,
            began=self._began,
            plan=self.plan,
            clock=self.host.clock,
        )
        self._tables.timed = True
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

    async def _fleet(self) -> None:
        under_way: set[asyncio.Task[None]] = set()
        for each in self._story.happenings:
            await asyncio.sleep((each.at - self.host.clock()).total_seconds())
            if each.message and self._has("no_push"):
                continue
            if each.tag or each.by_webhook:
                task = asyncio.create_task(self._calls(each))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            else:
                self._queue.send(each.message)

    async def _calls(self, what: Happening) -> None:
        tap = {"charger_id": what.charger, "rfid_tag_id": what.tag}
        await self._call(json.dumps(tap).encode() if what.tag else what.message)

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
                        locked_until=self._epoch + timedelta(seconds=message.locked_until),
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
            await self._rooms.reconciliation.on_schedule(wide)

        while True:
            await self._until(_RECONCILES_EVERY)
            if not self._has("no_timer"):
                await self.host.invoke("reconcile", "Timer fired.", work)

    async def _retain(self) -> None:
        async def work(wide: WideEvent) -> None:
            await self._rooms.retain(wide)

        while True:
            await self._until(_RETAINS_EVERY)
            await self.host.invoke("retain", "Timer fired.", work)

    async def _back_up(self) -> None:
        async def work(wide: WideEvent) -> None:
            await self._backups.on_schedule(wide)

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


def _elapsed() -> float:
    return asyncio.get_running_loop().time()


class _Sending:
    """The queue as the webhook sees it."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    async def send(self, body: bytes, **_properties: Any) -> None:
        await asyncio.sleep(0.004)
        self._queue.send(body)

    async def close(self) -> None:
        return
