"""What a Kafka listener commits, skips and tries again, with a consumer of the test."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError

from local.functions_host.app_settings import AppSettings
from local.functions_host.console import Console
from local.functions_host.functions import Function, KafkaTrigger, RetryPolicy
from local.functions_host.host_json import HostJson, KafkaOptions
from local.functions_host.invocations import Invocations, Outcome, RetryState
from local.functions_host.kafka_metadata import KafkaMessage
from local.functions_host.kafka_trigger import KafkaFunction
from local.functions_host.schedule_status import MemoryStatusStore
from local.functions_host.trigger_context import TriggerContext

BATCH = [KafkaMessage("t", 0, 7, b"a"), KafkaMessage("t", 1, 3, b"b"), KafkaMessage("t", 0, 8, b"")]
BEHIND = {TopicPartition("t", 0): 9, TopicPartition("t", 1): 4}


class FakeConsumer:
    """Keeps what is committed; `refuses`: as after a rebalance."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.commits: list[dict[TopicPartition, int]] = []
        self._refuses = refuses

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        if self._refuses:
            raise CommitFailedError
        self.commits.append(offsets)


class FakeInvocations:
    """Fails so many times; keeps the retries that were told; may stop the listener meanwhile."""

    def __init__(self, failures: int) -> None:
        self.retries: list[int] = []
        self.stop_at: int | None = None
        self.listener: KafkaFunction | None = None
        self._failures = failures

    async def run(self, *_: object, retry: RetryState | None, **__: object) -> Outcome:
        self.retries.append(retry.count if retry else 0)
        if self.stop_at == len(self.retries) and self.listener:
            self.listener.stop()
        await asyncio.sleep(0)
        return Outcome("1", error="failed" if len(self.retries) <= self._failures else "")


def listener(
    invocations: FakeInvocations, options: KafkaOptions, retry: RetryPolicy | None = None
) -> KafkaFunction:
    trigger = KafkaTrigger(
        "k", "t", "b:1", "g", "plaintext", "notset", "", "", key_is_text=False,
        as_written="topic %T%", brokers_as_written="%B%",
    )  # fmt: skip
    context = TriggerContext(
        AppSettings({}),
        HostJson(kafka=options),
        cast("Invocations", invocations),
        MemoryStatusStore(),
        Console(),
    )
    made = KafkaFunction(Function("f", "1", [], trigger, retry=retry), trigger, context)
    invocations.listener = made
    return made


async def run(made: KafkaFunction, consumer: FakeConsumer, batch: Sequence[Any] = BATCH) -> None:
    await made._run_batch(cast("AIOKafkaConsumer", consumer), batch)


NO_END = KafkaOptions(commit_on_failure=False, max_retries=-1)


@pytest.mark.parametrize(
    ("options", "failures", "calls"),
    [
        (KafkaOptions(), 0, 1),
        (KafkaOptions(), 9, 1),
        (KafkaOptions(commit_on_failure=False, max_retries=2), 2, 3),
        (KafkaOptions(commit_on_failure=False, max_retries=2), 9, 3),
        (KafkaOptions(commit_on_failure=False, max_retries=0), 9, 1),
        (NO_END, 50, 51),
    ],
    ids=["success", "at most once", "retried", "skipped", "no retry", "without end"],
)
async def test_offsets_are_committed_as_the_options_say(
    options: KafkaOptions, failures: int, calls: int
) -> None:
    """Behind the last message of each partition, once; how often it is called before that."""
    invocations, consumer = FakeInvocations(failures), FakeConsumer()

    await run(listener(invocations, options), consumer)

    assert consumer.commits == [BEHIND]
    assert len(invocations.retries) == calls


async def test_the_retry_policy_comes_before_the_options() -> None:
    """Each round follows the policy anew, and tells the function how often it was tried."""
    invocations, consumer = FakeInvocations(failures=5), FakeConsumer()
    policy = RetryPolicy(count=2, fixed=0.0, least=0, most=0)

    await run(listener(invocations, NO_END, policy), consumer)

    assert invocations.retries == [0, 1, 2, 0, 1, 2]
    assert consumer.commits == [BEHIND]


async def test_a_batch_that_is_skipped_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """It is an error: nobody else will say that messages were left out."""
    options = KafkaOptions(commit_on_failure=False, max_retries=1)

    await run(listener(FakeInvocations(9), options), FakeConsumer())

    assert "f: 3 messages of topic %T% skipped after 1 retries" in capsys.readouterr().out


@pytest.mark.parametrize("options", [KafkaOptions(), NO_END])
async def test_what_failed_while_the_host_stops_is_not_committed(options: KafkaOptions) -> None:
    """Whatever the options are: the batch comes again. A success is committed all the same."""
    for failures, commits in ((9, []), (0, [BEHIND])):
        invocations, consumer = FakeInvocations(failures), FakeConsumer()
        invocations.stop_at = 1
        await run(listener(invocations, options), consumer)
        assert consumer.commits == commits


async def test_a_commit_that_is_refused_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """After a rebalance the partition is another's: its messages come again there."""
    await run(listener(FakeInvocations(0), NO_END), FakeConsumer(refuses=True), BATCH[:1])

    told = capsys.readouterr().out
    assert "f: 1 message of topic %T% could not be committed (CommitFailedError)" in told
