"""How a Service Bus listener fills its batches and settles them, with a receiver of the test."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from azure.servicebus.aio import ServiceBusReceiver
from azure.servicebus.exceptions import MessageLockLostError

from local.functions_host.app_settings import AppSettings
from local.functions_host.console import Console
from local.functions_host.functions import Function, ServiceBusTrigger
from local.functions_host.host_json import HostJson, ServiceBusOptions
from local.functions_host.schedule_status import MemoryStatusStore
from local.functions_host.service_bus_trigger import ServiceBusFunction
from local.functions_host.trigger_context import TriggerContext
from tests.functions_host.support import until


class FakeReceiver:
    """Gives prepared messages call by call, and keeps how they were settled."""

    def __init__(self, *calls: list[str], lost: tuple[str, ...] = ()) -> None:
        self.calls = list(calls)
        self.asked: list[int] = []
        self.waited: list[float] = []
        self.completed: list[str] = []
        self.abandoned: list[str] = []
        self._lost = lost

    async def receive_messages(self, max_message_count: int, max_wait_time: float) -> list[str]:
        self.asked.append(max_message_count)
        self.waited.append(max_wait_time)
        if self.calls:
            return self.calls.pop(0)
        await asyncio.sleep(max_wait_time)
        return []

    async def complete_message(self, message: str) -> None:
        if message in self._lost:
            raise MessageLockLostError
        self.completed.append(message)

    async def abandon_message(self, message: str) -> None:
        self.abandoned.append(message)


def _listener(
    options: ServiceBusOptions, *, auto_complete: bool | None = None, many: bool = True
) -> Any:
    trigger = ServiceBusTrigger(
        "m", "events", None, None, "queue %Q%", "C", many=many, data_type="binary",
        auto_complete=auto_complete, max_batch_size=None,
    )  # fmt: skip
    context = TriggerContext(
        AppSettings({}),
        HostJson(service_bus=options),
        cast("Any", None),
        MemoryStatusStore(),
        Console(),
    )
    return ServiceBusFunction(Function("f", "1", []), trigger, context)


def _cast(receiver: FakeReceiver) -> ServiceBusReceiver:
    return cast("ServiceBusReceiver", receiver)


async def test_a_batch_waits_for_its_least_size() -> None:
    """Below minMessageBatchSize it asks for what is missing, up to the largest size."""
    receiver = FakeReceiver(["a"], ["b", "c"])
    listener = _listener(ServiceBusOptions(min_message_batch_size=3, max_message_batch_size=10))
    assert await listener._next_batch(_cast(receiver)) == ["a", "b", "c"]
    assert receiver.asked == [10, 9]


async def test_a_batch_below_its_least_size_goes_when_the_wait_is_over() -> None:
    """After maxBatchWaitTime the function gets what there is."""
    receiver = FakeReceiver(["a"])
    options = ServiceBusOptions(min_message_batch_size=3, max_batch_wait=0.01)
    assert await _listener(options)._next_batch(_cast(receiver)) == ["a"]


async def test_the_wait_runs_from_the_first_message() -> None:
    """What trickles in does not make it longer: the time that is left is asked for, and no more."""
    receiver = FakeReceiver(["a"], ["b"])
    options = ServiceBusOptions(min_message_batch_size=4, max_batch_wait=0.05)

    assert await _listener(options)._next_batch(_cast(receiver)) == ["a", "b"]

    quiet, *gathering = receiver.waited
    assert quiet == 60
    assert gathering == sorted(gathering, reverse=True)
    assert 0 < gathering[-1] < gathering[0] <= options.max_batch_wait


async def test_a_batch_that_is_gathered_goes_when_the_host_stops() -> None:
    """Nothing of it is left to a lock that has to end first."""
    receiver = FakeReceiver(["a"])
    listener = _listener(ServiceBusOptions(min_message_batch_size=3, max_batch_wait=60))
    batch = asyncio.create_task(listener._next_batch(_cast(receiver)))
    await until("the second receive", lambda: len(receiver.asked) == 2)

    listener.stop()

    assert await asyncio.wait_for(batch, 5) == ["a"]


def test_what_is_gathered_is_told_at_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever tries the settings sees them heeded; a function of single messages gathers none."""
    options = ServiceBusOptions(min_message_batch_size=20, max_batch_wait=5)

    _listener(options)._report_connected()
    _listener(options, many=False)._report_connected()
    _listener(ServiceBusOptions())._report_connected()

    first, *others = capsys.readouterr().out.splitlines()
    assert first.endswith("queue %Q%. It gathers 20 messages, for 5 s at most.")
    assert len(others) == 2
    assert all(line.endswith("queue %Q%.") for line in others)


@pytest.mark.parametrize(
    ("auto_complete", "succeeded", "completed", "abandoned"),
    [
        (None, True, ["a", "b"], []),
        (None, False, [], ["a", "b"]),
        (False, True, [], []),
        (False, False, [], ["a", "b"]),
    ],
)
async def test_messages_are_settled_as_the_outcome_says(
    *, auto_complete: bool | None, succeeded: bool, completed: list[str], abandoned: list[str]
) -> None:
    """Without autoCompleteMessages a success settles nothing; a failure abandons all the same."""
    receiver = FakeReceiver()
    listener = _listener(ServiceBusOptions(), auto_complete=auto_complete)
    await listener._settle(_cast(receiver), ["a", "b"], succeeded=succeeded)
    assert (receiver.completed, receiver.abandoned) == (completed, abandoned)


async def test_messages_whose_lock_is_lost_are_told_in_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """How many of the batch, that they come again, and the entity only as it is written."""
    receiver = FakeReceiver(lost=("a", "b"))
    await _listener(ServiceBusOptions())._settle(_cast(receiver), ["a", "b", "c"], succeeded=True)
    assert receiver.completed == ["c"]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert (
        "f: 2 of 3 messages of queue %Q% could not be completed (their locks had ended)"
        in (lines[0])
    )
