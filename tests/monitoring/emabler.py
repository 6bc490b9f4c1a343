"""eMabler on a day: its books as the fleet fills them, and the simulated reads on them.

A request is answered in virtual time, without a server. What goes wrong are the simulator's own
faults, switched on and off by the day's plan.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable
from datetime import datetime
from random import Random
from typing import cast

import httpx
from aiohttp import web

from local.emabler.books import Books
from local.emabler.errors import RefusalError
from local.emabler.faults.faults import Faults
from local.emabler.faults.plan import Plan as FaultyAnswers
from local.emabler.faults.rules import Rule
from local.emabler.fleet.booking import push_configuration
from local.emabler.habits import Habits
from local.emabler.operations import PlainReading
from local.emabler.records import Charger, Socket
from local.emabler.rest.reads import all_reads
from shared.emabler.calls import Options
from shared.emabler.client import EmablerClient
from shared.emabler.retries import Surroundings
from shared.instants import Clock, parse_instant
from tests.emabler.rest import BASE, KEY
from tests.monitoring.faults import Plan
from tests.monitoring.fleet import SITE, Session, chargers
from tests.reconciliation.simulated import Asked

_ANSWERS_IN = (0.08, 0.4)
_DRIFTED_WH = 5_000
_BOUNDS = ("stopTimeSearchBegin", "stopTime")

_RULES = {
    # No answer but that of a gateway.
    "rest_away": Rule(fault="failing", status=503),
    # Totals that are not the number of rows, wherever one stretch is in it: that is no proof of it.
    "front_stands": Rule(fault="wrong_total", on=("transactions",)),
}
"""Faults of a day that are faults of answers."""


class Emabler(httpx.AsyncBaseTransport):
    """eMabler's side of a day. Sessions are in its books from their start on."""

    def __init__(
        self, sessions: Iterable[Session], plan: Plan, random: Random, *, clock: Clock
    ) -> None:
        self._plan = plan
        self._random = random
        self._clock = clock
        everything = list(sessions)
        self._starting = sorted(everything, key=lambda each: each.start, reverse=True)
        self._stopping = sorted(everything, key=lambda each: each.stop, reverse=True)
        self._faults = Faults(clock=clock)
        self._reads = [
            (each, re.compile(re.sub(r"\{id\}", r"(?P<id>\\d+)", each.path) + "$"))
            for each in all_reads(Habits())
        ]
        self._books = Books()
        self._books.put("chargers", map(_charger, chargers()))
        self._books.put("push_configurations", [push_configuration("ServiceBus")])

    def client(self, options: Options) -> EmablerClient:
        """A client of these answers, whose pauses are virtual."""
        around = Surroundings(
            clock=self._clock,
            elapsed=asyncio.get_running_loop().time,
            sleep=asyncio.sleep,
            chance=self._random.random,
        )
        return EmablerClient(BASE, KEY, options=options, around=around, transport=self)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as the books are now, in the way that the day's faults let it."""
        await asyncio.sleep(self._random.uniform(*_ANSWERS_IN))
        now = self._clock()
        self._keep_books()
        on = {name: rule for name, rule in _RULES.items() if self._plan.has(name, now)}
        if not _asks_for(self._plan.since("front_stands"), request):
            on.pop("front_stands", None)
        self._faults.change(FaultyAnswers().with_rules(on.values()))
        return await self._answer(request)

    def _keep_books(self) -> None:
        """Bring the books up to what began and ended by now."""
        now, books = self._clock(), self._books
        begun, ended = [], []
        while self._starting and self._starting[-1].start <= now:
            begun.append(self._starting.pop())
        while self._stopping and self._stopping[-1].stop <= now:
            ended.append(self._stopping.pop())
        books.change(
            "ongoing",
            added=[each.ongoing() for each in begun],
            removed=[each.ongoing() for each in ended],
        )
        books.change("sessions", added=[each.finished(self._drifted(each)) for each in ended])

    def _drifted(self, session: Session) -> int:
        """The energy that REST tells beyond what push tells, in Wh."""
        return _DRIFTED_WH if self._plan.has("drift", session.stop) else 0

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        for operation, path in self._reads:
            match = path.search(request.url.path)
            if match and operation.method == request.method:
                break
        else:
            return httpx.Response(404)
        asked = cast("web.Request", Asked(request, match.groupdict()))
        plain = PlainReading(self._books)
        try:
            answer = await self._faults.around(
                asked, operation, plain, lambda reading: operation.answer(asked, reading)
            )
        except RefusalError as error:
            answer = error.answer(asked)
        assert isinstance(answer, web.Response)
        content = answer.body if isinstance(answer.body, bytes) else answer.text
        return httpx.Response(answer.status, headers=list(answer.headers.items()), content=content)


def _asks_for(end: datetime | None, request: httpx.Request) -> bool:
    """Whether finished sessions are asked for that ended at an instant."""
    if end is None or not request.content:
        return False
    asked = json.loads(request.content)
    first, last = (parse_instant(asked.get(name) or "") for name in _BOUNDS)
    return (first is None or first <= end) and (last is None or end <= last)


def _charger(charger: str) -> Charger:
    number = int(charger.rpartition("-")[2])
    return Charger(
        id=10_000 + number,
        charger_id=charger,
        name=f"Charger {number}",
        site_id=SITE,
        site_name="Made-up yard",
        last_seen="0001-01-01T00:00:00Z",
        push_integration_enabled=True,
        sockets=[Socket(id=1, name=f"{number}-1")],
    )
