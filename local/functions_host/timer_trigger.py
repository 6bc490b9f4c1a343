"""Timer functions: run at their occurrences, never two at a time, in UTC."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from local.functions_host.functions import Function, TimerTrigger
from local.functions_host.invocations import BY_NAME, Outcome, RetryState
from local.functions_host.ncrontab import CronSchedule, Schedule, parse_schedule
from local.functions_host.retries import with_retries
from local.functions_host.rpc import TypedData, protos
from local.functions_host.schedule_status import (
    ScheduleStatus,
    status_after_run,
    status_at_start,
)
from local.functions_host.trigger_context import TriggerContext

_CATEGORY = "Host.Triggers.Timer"
# The wall clock can be set while a timer waits, so that it looks again now and then.
_LONGEST_SLEEP = 60.0


@dataclass(frozen=True, slots=True)
class Clock:
    """The wall clock in UTC and the wait for it, which tests replace."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class TimerFunction:
    """One timer function and its schedule."""

    def __init__(
        self,
        function: Function,
        trigger: TimerTrigger,
        context: TriggerContext,
        clock: Clock | None = None,
    ) -> None:
        """Read the schedule.

        Raises:
            ValueError: The schedule is none; the message says what one looks like.
        """
        self._function = function
        self._trigger = trigger
        self._schedule: Schedule = parse_schedule(trigger.schedule)
        self._invocations = context.invocations
        # As in Azure, a timer that is due more than once a minute keeps no status.
        self._monitored = trigger.use_monitor and not self._schedule.is_frequent
        self._store = context.statuses
        self._console = context.console
        self._clock = clock or Clock()
        self._one_at_a_time = asyncio.Lock()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Start no further occurrence."""
        self._stopping.set()

    async def serve(self) -> None:
        """Run the function at each occurrence, until stopped."""
        kept = self._store.get(self._function.name) if self._monitored else None
        status, past_due = status_at_start(self._schedule, kept, self._clock.now())
        if past_due:
            self._console.information(
                _CATEGORY, f"Timer {self._function.name} missed an occurrence; it runs now."
            )
            status = await self._occurrence(status, past_due=True, scheduled=False)
        elif self._trigger.run_on_startup:
            status = await self._occurrence(status, past_due=False, scheduled=False)
        elif self._monitored:
            self._store.put(self._function.name, status)
        while await self._comes(status.next):
            status = await self._occurrence(status, past_due=False, scheduled=True)

    async def run_now(self, _text: str) -> Outcome:
        """Run the function out of turn, after an occurrence that may be running."""
        status = self._store.get(self._function.name) if self._monitored else None
        return await self._run(status, past_due=False, reason=BY_NAME)

    async def _comes(self, instant: datetime) -> bool:
        """Wait for an instant: True once it is there, False when the timer stops first."""
        while (remaining := (instant - self._clock.now()).total_seconds()) > 0:
            if not await self._pause(min(remaining, _LONGEST_SLEEP)):
                return False
        return not self._stopping.is_set()

    async def _pause(self, seconds: float) -> bool:
        """Wait; False where the timer stops first."""
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({sleeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            stopping.cancel()
        return not self._stopping.is_set()

    async def _occurrence(
        self, status: ScheduleStatus, *, past_due: bool, scheduled: bool
    ) -> ScheduleStatus:
        invoked = self._clock.now()
        await self._run(
            status if self._monitored else None,
            past_due=past_due,
            reason=f"Timer fired at {invoked.isoformat()}",
        )
        after = status_after_run(self._schedule, status, invoked, scheduled=scheduled)
        if self._monitored:
            self._store.put(self._function.name, after)
        return after

    async def _run(self, status: ScheduleStatus | None, *, past_due: bool, reason: str) -> Outcome:
        data = protos.TypedData(json=json.dumps(self._timer_info(status, past_due=past_due)))
        async with self._one_at_a_time:
            return await with_retries(
                lambda retry: self._attempt(data, reason, retry), self._function.retry, self._pause
            )

    async def _attempt(
        self,
        data: TypedData,
        reason: str,
        retry: RetryState | None,
    ) -> Outcome:
        return await self._invocations.run(
            self._function, self._trigger.parameter, data, reason=reason, retry=retry
        )

    def _timer_info(self, status: ScheduleStatus | None, *, past_due: bool) -> dict[str, object]:
        """The timer extension's TimerInfo, as its JSON reads in the worker."""
        by_clock = isinstance(self._schedule, CronSchedule)
        return {
            "Schedule": {"AdjustForDST": by_clock},
            "ScheduleStatus": status.as_json() if status else None,
            "IsPastDue": past_due,
        }
