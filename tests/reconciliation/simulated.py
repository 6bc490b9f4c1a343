"""The simulated eMabler with its faults, and books that change between two requests.

Time passes with each request and each pause only, and what the list said at each instant is kept:
so that a picture can be held against the truth as of its instant.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, cast

import httpx
from aiohttp import web

from local.emabler.books import Books
from local.emabler.errors import RefusalError
from local.emabler.faults.faults import HUNG, SUFFERED, Faults
from local.emabler.faults.plan import Plan
from local.emabler.faults.rules import Rule
from local.emabler.habits import Habits
from local.emabler.operations import PlainReading
from local.emabler.records import FinishedSession, instant
from local.emabler.rest.transactions import transactions
from shared.emabler.calls import Options
from shared.emabler.client import EmablerClient
from shared.instants import format_instant
from shared.reconciliation.spans import Picture
from tests.emabler.rest import BASE, KEY, NOW, Time

SECONDS_A_REQUEST = 0.25


def finished(number: int, end: datetime | str) -> FinishedSession:
    text = format_instant(end) if isinstance(end, datetime) else end
    return FinishedSession(
        id=number,
        charger_id=f"CH-{number % 7}",
        socket_id=1,
        timestamp_start="2026-11-01T00:00:00Z",
        timestamp_end=text,
        evse_transaction_id=str(500 + number),
        full_consumption_wh=10_000,
    )


class Simulated:
    """The books, the faults, the time, and what the books said at each instant.

    `between` is called after each answer that was made, before the next request.
    """

    def __init__(self, sessions: Iterable[FinishedSession], habits: Habits | None = None) -> None:
        self.time = Time()
        self.books = Books()
        self.habits = habits or Habits()
        self.faults = Faults(clock=self.now)
        self._transactions = transactions("v3", self.habits)
        self.between: Callable[[], None] | None = None
        self.requests = 0
        self.said: list[tuple[datetime, dict[int, datetime]]] = []
        self.change(added=sessions)

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.time.seconds)

    def spoil(self, seed: int, *rules: Rule) -> None:
        self.faults.put(Plan(seed=seed).with_rules(rules))

    def change(
        self, added: Iterable[FinishedSession] = (), removed: Iterable[FinishedSession] = ()
    ) -> None:
        self.books.change("sessions", added=added, removed=removed)
        sessions: list[FinishedSession] = self.books.shelf("sessions")
        ends = {each.id: instant(each.timestamp_end) for each in sessions}
        self.said.append((self.now(), ends))

    def truth(self, as_of: datetime) -> dict[int, datetime]:
        """The ends of all sessions as the books had them at an instant."""
        return next(ends for since, ends in reversed(self.said) if since <= as_of)

    def missing(self, picture: Picture) -> set[int]:
        """Which sessions a picture lacks that were in its span at its instant."""
        span, truth = picture.span, self.truth(picture.as_of)
        inside = {
            number
            for number, end in truth.items()
            if (span.start is None or span.start <= end) and (span.end is None or end < span.end)
        }
        return inside - {int(session.rest_id) for session in picture.items}

    def invented(self, picture: Picture) -> set[int]:
        """Which sessions a picture has that the books did not have at its instant."""
        return {int(session.rest_id) for session in picture.items} - self.truth(
            picture.as_of
        ).keys()

    def is_late(self, number: int, rate: float) -> bool:
        return self.faults.plan.draw("late_sessions", number) < rate

    @asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[EmablerClient]:
        async with EmablerClient(
            BASE,
            KEY,
            options=Options(**{"requests_per_second": 1e9, "retry_seconds": 2} | options),
            around=self.time.around,
            transport=httpx.MockTransport(self._answer),
        ) as client:
            yield client

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        """An answer of the simulator; once it is made, the books may change."""
        self.requests += 1
        try:
            return await self._made(Asked(request))
        finally:
            self.time.seconds += SECONDS_A_REQUEST / 2
            if self.between is not None:
                self.between()
            self.time.seconds += SECONDS_A_REQUEST / 2

    async def _made(self, asked: Asked) -> httpx.Response:
        request = cast("web.Request", asked)
        read, plain = self._transactions, PlainReading(self.books)
        answer: web.StreamResponse
        try:
            answer = await self.faults.around(
                request, read, plain, lambda reading: read.answer(request, reading)
            )
        except RefusalError as error:
            answer = error.answer(request)
        except AttributeError:
            # Half an answer wants a connection to be written to.
            if "truncated" not in asked.get(SUFFERED, ()):
                raise
            raise httpx.ReadError("cut") from None
        if HUNG in asked.get(SUFFERED, ()):
            raise httpx.ReadTimeout("hung")
        assert isinstance(answer, web.Response)
        assert isinstance(answer.body, bytes)
        return httpx.Response(
            answer.status, headers=list(answer.headers.items()), content=answer.body
        )


class Asked(dict[Any, Any]):
    """As much of a request as the simulator's reads look at: a server would cost most of the time.

    That all of it is the same over HTTP, tests/local shows.
    """

    transport = None

    def __init__(self, request: httpx.Request, match_info: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.method, self.path, self._body = request.method, request.url.path, request.content
        self.query, self.match_info = request.url.params, match_info or {}

    async def read(self) -> bytes:
        return self._body


def a_day_of(number: int) -> list[FinishedSession]:
    """Sessions of a day, some within one second, some that end at times that cannot be."""
    ends: list[datetime | str] = [NOW - timedelta(seconds=2011 * n) for n in range(1, number)]
    ends += [NOW - timedelta(hours=3, microseconds=n) for n in range(13)]
    ends += ["1970-01-01T00:00:00Z"] * 7
    ends += ["0001-01-01T00:00:00Z", "2038-01-19T03:14:07Z", "9999-12-31T23:59:59Z"]
    return [finished(n, end) for n, end in enumerate(ends, 1)]
