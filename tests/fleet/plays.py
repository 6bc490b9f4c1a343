"""A day played out at once, and the product in one process to hold against it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from aiohttp.test_utils import TestServer

from local.commands.playing.verdict import Verdict, judge
from local.emabler import BASE_PATH
from local.emabler.books import Books
from local.emabler.fleet.booking import Bookkeeper
from local.emabler.fleet.day import Day, Plan, decide_rightly
from local.emabler.fleet.expected import Expected, expected
from local.emabler.fleet.faults import Rates
from local.emabler.fleet.network import Generation
from local.emabler.fleet.posting import Delivery
from local.emabler.server import make_app
from shared.reconciliation.terms import Run
from shared.rooms import Rooms
from shared.telemetry import WideEvent
from tests.management.operator import Operator

BEGINS = datetime(2026, 3, 14, 4, 30, tzinfo=UTC)
_BATCH = 100
KEY = "k" * 40
SETTINGS = {
    "EMABLER_API_KEY": KEY,
    "EMABLER_REQUESTS_PER_SECOND": "1000",
    "RECONCILE_SCHEDULE": "0 */15 * * * *",
}


class Played:
    """A day that was played to its end: its messages as they fell due, and the books."""

    def __init__(
        self,
        seed: int,
        *,
        chargers: int = 8,
        faults: str = "off",
        days: int = 1,
        generation: Generation | None = None,
        step: timedelta = timedelta(days=10),
    ) -> None:
        plan = Plan(
            seed=seed,
            chargers=chargers,
            begins=BEGINS,
            days=days,
            meter_minutes=20,
            generation=generation,
        )
        self.day = Day(plan, Rates.read(faults))
        self.books = Books()
        self.deliveries: list[Delivery] = []
        self.run: Run | None = None
        keeper = Bookkeeper(self.books, self.day.network)
        until = BEGINS
        while not self.day.over:
            until += step
            while True:
                due = self.day.due(until)
                keeper.book(due.changes)
                self.deliveries += due.deliveries
                if not due.taps:
                    break
                for tap in due.taps:
                    self.day.answer(decide_rightly(tap))

    @property
    def ends(self) -> datetime:
        assert self.day.plan.ends is not None
        return self.day.plan.ends

    @property
    def expected(self) -> Expected:
        return expected(self.day.truth, self.day.told)

    @property
    def bodies(self) -> list[bytes]:
        """All messages, in an order that does not depend on how the day was cut into steps."""
        return [each.body for each in sorted(self.deliveries, key=_order)]

    async def judged_by_the_product(self, bodies: Sequence[bytes] | None = None) -> Verdict:
        """The verdict on the product's store when it took the messages and reconciled."""
        operator = Operator()
        # Who is installed before the day begins: what ended before would be history.
        await self._reconcile(operator, Books(), BEGINS)
        taken = self.bodies if bodies is None else bodies
        for first in range(0, len(taken), _BATCH):
            await operator.ingest(*taken[first : first + _BATCH])
        await self._reconcile(operator, self.books, self.ends + timedelta(minutes=20))
        sessions, sockets, events, parked = [
            (await operator.run(what, "list", "--json")).rows
            for what in ("sessions", "chargers", "events", "parked")
        ]
        return judge(
            self.expected, sessions=sessions, sockets=sockets, events=events, parked=parked
        )

    async def _reconcile(self, operator: Operator, books: Books, now: datetime) -> None:
        """One run of the timer."""
        operator.tables.clock = lambda: now
        async with TestServer(make_app(books, KEY)) as emabler:
            operator.settings |= SETTINGS
            operator.settings["EMABLER_BASE_URL"] = str(emabler.make_url(f"{BASE_PATH}/"))
            rooms = Rooms(operator.settings, tables=operator.tables, clock=lambda: now)
            self.run = await rooms.reconciliation.reconcile(WideEvent("reconcile"))


def _order(delivery: Delivery) -> tuple[datetime, str, bytes]:
    return delivery.due, delivery.name, delivery.body
