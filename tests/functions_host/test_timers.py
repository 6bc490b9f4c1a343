from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from local.functions_host.app_settings import AppSettings
from local.functions_host.console import Console
from local.functions_host.functions import Function, RetryPolicy, TimerTrigger
from local.functions_host.host_json import HostJson
from local.functions_host.invocations import Invocations, Outcome
from local.functions_host.retries import retry_delay
from local.functions_host.schedule_status import MemoryStatusStore, ScheduleStatus
from local.functions_host.timer_trigger import Clock, TimerFunction
from local.functions_host.trigger_context import TriggerContext

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


class VirtualTime:
    """A clock that is moved by those who sleep on it."""

    def __init__(self) -> None:
        self.now = NOON

    async def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        await asyncio.sleep(0)


class FakeInvocations:
    """Keeps what would have been run; each run takes virtual seconds and may fail."""

    def __init__(self, time: VirtualTime, *, takes: float = 0, failures: int = 0) -> None:
        self.runs: list[tuple[datetime, dict[str, Any], int]] = []
        self.ran = asyncio.Condition()
        self.most_at_once = 0
        self._at_once = 0
        self._time = time
        self._takes = takes
        self._failures = failures

    async def run(self, *arguments: Any, retry: Any = None, **_: Any) -> Outcome:
        data = arguments[2]
        self.runs.append((self._time.now, json.loads(data.json), retry.count if retry else 0))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        self._time.now += timedelta(seconds=self._takes)
        await asyncio.sleep(0)
        self._at_once -= 1
        async with self.ran:
            self.ran.notify_all()
        failed = len(self.runs) <= self._failures
        return Outcome(str(len(self.runs)), error="failed" if failed else "")

    @property
    def instants(self) -> list[datetime]:
        return [instant for instant, _, _ in self.runs]


def _timer(
    schedule: str,
    time: VirtualTime,
    invocations: FakeInvocations,
    *,
    store: MemoryStatusStore | None = None,
    run_on_startup: bool = False,
    retry: RetryPolicy | None = None,
) -> TimerFunction:
    trigger = TimerTrigger("timer", schedule, schedule, run_on_startup, use_monitor=True)
    context = TriggerContext(
        AppSettings({}),
        HostJson(),
        cast("Invocations", invocations),
        store or MemoryStatusStore(),
        Console(quiet=True),
    )
    function = Function("tick", "1", [], trigger, retry=retry)
    return TimerFunction(function, trigger, context, Clock(lambda: time.now, time.sleep))


async def _serve(timer: TimerFunction, invocations: FakeInvocations, runs: int) -> None:
    task = asyncio.create_task(timer.serve())
    async with invocations.ran:
        await invocations.ran.wait_for(lambda: len(invocations.runs) >= runs)
    timer.stop()
    await task


async def test_a_timer_runs_at_each_occurrence() -> None:
    """Every five minutes on the minute, and not before."""
    time = VirtualTime()
    invocations = FakeInvocations(time)
    await _serve(_timer("0 */5 * * * *", time, invocations), invocations, 3)
    assert invocations.instants[:3] == [NOON + timedelta(minutes=5 * n) for n in (1, 2, 3)]
    assert not any(info["IsPastDue"] for _, info, _ in invocations.runs)


async def test_run_on_startup_runs_at_once_and_then_on_schedule() -> None:
    """The first run is out of turn; the next is an occurrence."""
    time = VirtualTime()
    invocations = FakeInvocations(time)
    await _serve(_timer("0 0 * * * *", time, invocations, run_on_startup=True), invocations, 2)
    assert invocations.instants[:2] == [NOON, NOON + timedelta(hours=1)]


async def test_a_missed_occurrence_runs_at_once_as_past_due() -> None:
    """The kept status says that an occurrence came while no host ran."""
    time = VirtualTime()
    store = MemoryStatusStore()
    due = NOON - timedelta(hours=1)
    store.put("tick", ScheduleStatus(due - timedelta(hours=1), due, due - timedelta(hours=1)))
    invocations = FakeInvocations(time)
    await _serve(_timer("0 0 * * * *", time, invocations, store=store), invocations, 1)
    _, info, _ = invocations.runs[0]
    assert info["IsPastDue"] is True
    assert info["ScheduleStatus"]["Next"] == due.isoformat()


async def test_a_long_run_delays_the_next_and_never_overlaps() -> None:
    """Seven minutes of work every five minutes: one at a time, the late one at once."""
    time = VirtualTime()
    invocations = FakeInvocations(time, takes=7 * 60)
    await _serve(_timer("0 */5 * * * *", time, invocations), invocations, 3)
    assert invocations.most_at_once == 1
    assert invocations.instants[1] - invocations.instants[0] == timedelta(minutes=7)


async def test_running_it_by_hand_waits_for_the_occurrence_that_runs() -> None:
    """Two calls at once are run one after the other."""
    time = VirtualTime()
    invocations = FakeInvocations(time)
    timer = _timer("0 */5 * * * *", time, invocations)
    outcomes = await asyncio.gather(timer.run_now(""), timer.run_now(""))
    assert [outcome.succeeded for outcome in outcomes] == [True, True]
    assert invocations.most_at_once == 1


async def test_a_failed_run_is_repeated_as_its_retry_policy_says() -> None:
    """Two failures, three attempts counted from 0, with the fixed delay between them."""
    time = VirtualTime()
    invocations = FakeInvocations(time, failures=2)
    retry = RetryPolicy(count=5, fixed=10, least=0, most=0)
    timer = _timer("0 0 * * * *", time, invocations, retry=retry)
    assert (await timer.run_now("")).succeeded
    assert [count for _, _, count in invocations.runs] == [0, 1, 2]
    assert invocations.instants[2] - invocations.instants[0] == timedelta(seconds=20)


async def test_retries_end() -> None:
    """After the last attempt the failure stands."""
    time = VirtualTime()
    invocations = FakeInvocations(time, failures=9)
    retry = RetryPolicy(count=2, fixed=1, least=0, most=0)
    assert not (await _timer("0 0 * * * *", time, invocations, retry=retry).run_now("")).succeeded
    assert len(invocations.runs) == 3


async def test_a_frequent_timer_has_no_status() -> None:
    """As in Azure, a timer that is due more than once a minute keeps none."""
    time = VirtualTime()
    invocations = FakeInvocations(time)
    store = MemoryStatusStore()
    await _serve(_timer("*/10 * * * * *", time, invocations, store=store), invocations, 1)
    assert invocations.runs[0][1]["ScheduleStatus"] is None
    assert store.get("tick") is None


def test_an_exponential_delay_grows_to_its_limit() -> None:
    """It doubles from the least to the most."""
    policy = RetryPolicy(count=-1, fixed=None, least=2, most=10)
    assert [retry_delay(policy, retries) for retries in range(5)] == [2, 4, 8, 10, 10]
