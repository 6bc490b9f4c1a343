"""A fleet in step with the clock: what is due is booked, sent and asked, round by round."""

import asyncio
import contextlib
import logging
import time
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from local.emabler.books import Books
from local.emabler.fleet.booking import Bookkeeper, push_configuration
from local.emabler.fleet.day import SETTLED, Day, local_answer
from local.emabler.fleet.expected import Expected, expected
from local.emabler.fleet.order import Order, Transport
from local.emabler.fleet.sending import Asker, Sender, open_sender
from local.emabler.fleet.story import Tap
from local.emabler.fleet.truth import Answered
from local.errors import LocalError

_ROUND_SECONDS: Final = 0.1
_LIVING_ROUND_SECONDS: Final = 1.0

_log = logging.getLogger("local.emabler.fleet")

_ENDPOINTS: Final = {
    Transport.SERVICE_BUS: "AzureServiceBus",
    Transport.WEBHOOK: "Webhook",
    Transport.KAFKA: "Kafka",
}


class Stage(StrEnum):
    """How far a fleet has come."""

    PREPARED = "prepared"
    PLAYING = "playing"
    CALM = "calm"  # the day is over; what was late is being sent
    OVER = "over"
    STOPPED = "stopped"
    FAILED = "failed"


class Fleet:
    """One fleet over the books, as an order says. It is prepared first, and begun when told.

    Attributes:
        order: what it was told.
        day: the play.
        rates: of faults; they may be changed at any time.
        stage: how far it has come.
    """

    def __init__(self, order: Order, books: Books) -> None:
        """Prepare: chargers and tags are in the books from here on.

        Raises:
            LocalError: `usage_wrong`, the order cannot be carried out.
        """
        self.order = order
        self.rates = order.rates
        self.day = Day(order.plan, self.rates, remember=order.days is not None)
        self.stage = Stage.PREPARED
        self._keeper = Bookkeeper(books, self.day.network)
        endpoint = _ENDPOINTS[order.customer.transport]
        books.put("push_configurations", [push_configuration(endpoint)])
        self._task: asyncio.Task[None] | None = None
        self._at = order.begins
        self._error = ""
        self._counts = dict.fromkeys(("messages", "begun", "ended", "asked", "denied"), 0)

    @property
    def now(self) -> datetime:
        """Simulated time while it plays; when the day is over, the clock's, which goes on."""
        if self.stage in {Stage.PREPARED, Stage.PLAYING}:
            return self._at
        return max(self._at, datetime.now(UTC))

    def begin(self) -> None:
        """Begin to play, in the background.

        Raises:
            LocalError: `usage_wrong`, it was begun before.
        """
        if self.stage is not Stage.PREPARED:
            raise LocalError(
                "usage_wrong", f"the fleet is {self.stage}", "prepare another with PUT /_fleet"
            )
        self.stage = Stage.PLAYING
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop playing; what was sent stays sent."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self.stage in {Stage.PREPARED, Stage.PLAYING, Stage.CALM}:
            self.stage = Stage.STOPPED

    def progress(self) -> dict[str, Any]:
        """Tell how far it has come: stage, simulated time, counts."""
        plan = self.day.plan
        return {
            "stage": str(self.stage),
            "error": self._error,
            "seed": plan.seed,
            "chargers": plan.chargers,
            "begins": plan.begins,
            "ends": plan.ends,
            "at": self._at,
            **self._counts,
        }

    def expected(self) -> Expected:
        """Give what a right store holds of all that was told so far.

        Raises:
            LocalError: `usage_wrong`, the fleet goes on for ever and keeps no ledger.
        """
        if self.order.days is None:
            raise LocalError(
                "usage_wrong",
                "a fleet that goes on for ever keeps no ledger of what it told",
                "order a number of days",
            )
        return expected(self.day.truth, self.day.told)

    async def _run(self) -> None:
        try:
            async with (
                open_sender(self.order.customer) as sender,
                Asker.open(self.order.customer) as asker,
            ):
                await self._play(sender, asker)
            self.stage = Stage.OVER
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, who watches the fleet is to know
            self.stage = Stage.FAILED
            self._error = f"{type(error).__name__}: {error}"
            _log.exception("the fleet stopped playing")

    async def _play(self, sender: Sender, asker: Asker) -> None:
        began = time.monotonic()
        ends = self.day.plan.ends
        while ends is None or self._at < ends:
            self._at = self._now(time.monotonic() - began)
            await self._round(self._at, sender, asker)
            await asyncio.sleep(_ROUND_SECONDS if ends else _LIVING_ROUND_SECONDS)
        self.stage = Stage.CALM
        while not self.day.over:
            await self._round(ends + SETTLED, sender, asker)

    def _now(self, passed: float) -> datetime:
        """The simulated time after so many seconds of playing."""
        ends, speed = self.day.plan.ends, self.order.speed
        if ends is None:
            return max(self._at, datetime.now(UTC))
        if speed is None:
            return ends
        return min(ends, self.order.begins + timedelta(seconds=passed * speed))

    async def _round(self, until: datetime, sender: Sender, asker: Asker) -> None:
        """Do all that is due; what follows from an answer may be due as well."""
        while True:
            due = self.day.due(until)
            if due.changes:
                self._keeper.book(due.changes)
            if due.deliveries:
                await sender.send([delivery.body for delivery in due.deliveries])
            self._counts["messages"] += len(due.deliveries)
            self._counts["begun"] += len(due.changes.begun)
            self._counts["ended"] += len(due.changes.ended)
            if not due.taps:
                return
            for answered in await asyncio.gather(*(self._decide(tap, asker) for tap in due.taps)):
                self._counts["denied"] += not answered.allowed
                self.day.answer(answered)

    async def _decide(self, tap: Tap, asker: Asker) -> Answered:
        decided = local_answer(tap)
        if decided is not None:
            return decided
        self._counts["asked"] += 1
        return await asker.ask(tap)
