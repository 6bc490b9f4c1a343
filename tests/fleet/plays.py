"""A day played out at once, and the product in one process to hold against it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

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
from management.commands import chargers, events, parked, sessions
from shared.ingestion.messages import IncomingMessage
from shared.rooms import Rooms
from shared.sessions.summary import is_summary
from shared.storage.memory import MemoryTables
from shared.storage.tables import ALL_TABLES, CHARGERS, EVENTS, PARKED, SESSIONS
from shared.telemetry import WideEvent

BEGINS = datetime(2026, 3, 14, 4, 30, tzinfo=UTC)
_BATCH = 100
KEY = "k" * 40
SETTINGS = {
    "DataStorageConnection": "UseDevelopmentStorage=true",
    "ServiceBusConnection": "Endpoint=sb://127.0.0.1;SharedAccessKeyName=k;SharedAccessKey=eA==",
    "PUSH_QUEUE_NAME": "push-events",
    "TAG_HASH_KEY": KEY,
    "EMABLER_ENVIRONMENT": "test",
    "EMABLER_API_KEY": KEY,
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
        tables = MemoryTables(*ALL_TABLES)
        now = self.ends + timedelta(minutes=1)
        taken = self.bodies if bodies is None else bodies
        async with TestServer(make_app(self.books, KEY)) as emabler:
            settings = SETTINGS | {"EMABLER_BASE_URL": str(emabler.make_url(f"{BASE_PATH}/"))}
            rooms = Rooms(settings, tables=tables, clock=lambda: now)
            wide = WideEvent("ingest_push_events")
            for first in range(0, len(taken), _BATCH):
                batch = [IncomingMessage(body=body) for body in taken[first : first + _BATCH]]
                await rooms.ingest(batch, wide)
            await rooms.reconcile(WideEvent("reconcile"))
        return judge(
            self.expected,
            sessions=_rows(sessions, (r for r in tables.rows(SESSIONS) if is_summary(r))),
            sockets=_rows(chargers, tables.rows(CHARGERS)),
            events=_rows(events, tables.rows(EVENTS)),
            parked=_rows(parked, tables.rows(PARKED)),
        )


def _order(delivery: Delivery) -> tuple[datetime, str, bytes]:
    return delivery.due, delivery.name, delivery.body


def _rows(command: Any, rows: Iterable[Any]) -> list[dict[str, Any]]:
    """Rows as `manage.py … list --json` prints them."""
    return [command._fields(row) for row in rows]
