"""A day played out at once, and the product in one process to hold against it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from local.commands.playing.verdict import Verdict, judge
from local.emabler.books import Books
from local.emabler.fleet.booking import Bookkeeper
from local.emabler.fleet.day import Day, Plan, decide_rightly
from local.emabler.fleet.expected import Expected, expected
from local.emabler.fleet.faults import Rates
from local.emabler.fleet.network import Generation
from local.emabler.fleet.posting import Delivery
from management.commands import chargers, events, parked, sessions
from shared.emabler.models import read_finished_session
from shared.ingestion.ingest import Ingestion
from shared.ingestion.messages import IncomingMessage
from shared.reconciliation.reconcile import SETTLING
from shared.reconciliation.rest_claims import rest_claim
from shared.sessions.summary import is_summary
from shared.sessions.writer import SessionWriter
from shared.storage.memory import MemoryTables
from shared.storage.tables import ALL_TABLES, CHARGERS, EVENTS, PARKED, SESSIONS

BEGINS = datetime(2026, 3, 14, 4, 30, tzinfo=UTC)
_BATCH = 100


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
        writer = SessionWriter(tables, buckets=4, tag_hash_key=b"k" * 32)
        ingestion = Ingestion(tables, buckets=4, sessions=writer, clock=lambda: now)
        taken = self.bodies if bodies is None else bodies
        for first in range(0, len(taken), _BATCH):
            batch = [IncomingMessage(body=body) for body in taken[first : first + _BATCH]]
            await ingestion.ingest(batch)
        items = [msgspec.to_builtins(each) for each in self.books.shelves.sessions]
        finished = [session for item in items if (session := read_finished_session(item))]
        await writer.write(
            rest_claim(session, now)
            for session in finished
            if session.end and now - timedelta(hours=72) <= session.end <= now - SETTLING
        )
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
