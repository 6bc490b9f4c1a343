"""Kafka functions: receives batches, runs the function, commits what may be committed.

As in the Kafka extension 4.3: a batch is what came within `subscriberIntervalInSeconds`, at most
`maxBatchSize`, of all partitions that this member has. When the function succeeded, the offsets
behind it are committed. When it failed, the function's retry policy is followed; after that
`commitOnFailure: true` commits all the same, and `false` calls again at once with the same batch,
up to `maxRetries` times before it is skipped. While a batch is tried again nothing else is
received. When the host stops meanwhile, nothing is committed: the batch comes again.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from local.functions_host.functions import Function, KafkaTrigger
from local.functions_host.invocations import BY_NAME, Outcome, RetryState
from local.functions_host.kafka_client import open_consumer, what_to_do
from local.functions_host.kafka_metadata import KafkaMessage, batch_metadata, values_data
from local.functions_host.retries import with_retries
from local.functions_host.trigger_context import TriggerContext
from local.words import counted

_CATEGORY = "Host.Triggers.Kafka"
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 5.0


class KafkaFunction:
    """One Kafka function and its consumer."""

    def __init__(self, function: Function, trigger: KafkaTrigger, context: TriggerContext) -> None:
        self._function = function
        self._trigger = trigger
        self._options = context.host_json.kafka
        self._invocations = context.invocations
        self._console = context.console
        self._stopping = asyncio.Event()
        self._problem: str | None = None

    def stop(self) -> None:
        """Receive nothing more; a batch that runs is still committed when it succeeds."""
        self._stopping.set()

    async def serve(self) -> None:
        """Receive and run until stopped, connecting again whenever that fails."""
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                await self._connect_and_receive()
            except Exception as error:  # noqa: BLE001  # whatever it is, receiving must go on
                self._report_problem(error)
            if time.monotonic() - started > _LONGEST_PAUSE:
                pause = _FIRST_PAUSE
            await self._pause(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def run_now(self, text: str) -> Outcome:
        """Run the function with one message that no topic holds, its value being `text`."""
        instant = round(time.time() * 1000)
        message = KafkaMessage(self._trigger.topic, 0, 0, text.encode(), instant=instant)
        return await self._invoke([message], BY_NAME)

    async def _connect_and_receive(self) -> None:
        consumer = open_consumer(self._trigger, self._options)
        try:
            await consumer.start()
            self._report_connected()
            while not self._stopping.is_set():
                batch = await self._next_batch(consumer)
                if batch:
                    await self._run_batch(consumer, batch)
        finally:
            await consumer.stop()

    async def _next_batch(self, consumer: AIOKafkaConsumer) -> list[KafkaMessage]:
        """What comes within the interval, up to the largest batch."""
        batch: list[KafkaMessage] = []
        deadline = time.monotonic() + self._options.subscriber_interval
        while len(batch) < self._options.max_batch_size and not self._stopping.is_set():
            left = deadline - time.monotonic()
            if left <= 0:
                break
            batch += await self._receive(consumer, self._options.max_batch_size - len(batch), left)
        return batch

    async def _receive(
        self, consumer: AIOKafkaConsumer, most: int, seconds: float
    ) -> list[KafkaMessage]:
        receiving = asyncio.ensure_future(
            consumer.getmany(timeout_ms=round(seconds * 1000), max_records=most)
        )
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({receiving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            records: dict[TopicPartition, list[Any]] = (
                receiving.result() if receiving.done() else {}
            )
        finally:
            for task in (receiving, stopping):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task
        return [_message(record) for partition in records.values() for record in partition]

    async def _run_batch(self, consumer: AIOKafkaConsumer, batch: Sequence[KafkaMessage]) -> None:
        retries = 0
        outcome = await self._attempts(batch)
        while not outcome.succeeded and not self._options.commit_on_failure:
            if self._stopping.is_set():
                break
            if 0 <= self._options.max_retries <= retries:
                self._console.error(
                    _CATEGORY,
                    f"{self._function.name}: {counted(len(batch), 'message')} of "
                    f"{self._trigger.as_written} skipped after {retries} retries (maxRetries).",
                )
                break
            retries += 1
            outcome = await self._attempts(batch)
        if outcome.succeeded or not self._stopping.is_set():
            await self._commit(consumer, batch)

    async def _attempts(self, batch: Sequence[KafkaMessage]) -> Outcome:
        """Run the function, and again as its retry policy says."""
        reason = f"{counted(len(batch), 'message')} of {self._trigger.as_written}"
        return await with_retries(
            lambda retry: self._invoke(batch, reason, retry), self._function.retry, self._pause
        )

    async def _invoke(
        self, batch: Sequence[KafkaMessage], reason: str, retry: RetryState | None = None
    ) -> Outcome:
        return await self._invocations.run(
            self._function,
            self._trigger.parameter,
            values_data(batch),
            reason=reason,
            metadata=batch_metadata(batch, key_is_text=self._trigger.key_is_text),
            retry=retry,
        )

    async def _commit(self, consumer: AIOKafkaConsumer, batch: Sequence[KafkaMessage]) -> None:
        """Commit the offset behind the last message of each partition."""
        offsets = {TopicPartition(each.topic, each.partition): each.offset + 1 for each in batch}
        try:
            await consumer.commit(offsets)
        except KafkaError as error:
            self._console.warning(
                _CATEGORY,
                f"{self._function.name}: {counted(len(batch), 'message')} of "
                f"{self._trigger.as_written} could not be committed ({type(error).__name__}) and "
                "will come again.",
            )

    async def _pause(self, seconds: float) -> bool:
        """Wait; False where the host stops first."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return not self._stopping.is_set()

    def _report_connected(self) -> None:
        again = "" if self._problem is None else " again"
        self._problem = None
        self._console.information(
            _CATEGORY, f"{self._function.name} listens to {self._trigger.as_written}{again}."
        )

    def _report_problem(self, error: Exception) -> None:
        """Say once what is wrong, and again only when something else is."""
        problem = what_to_do(error, self._trigger)
        if problem != self._problem and not self._stopping.is_set():
            self._problem = problem
            self._console.error(
                _CATEGORY,
                f"{self._function.name} cannot receive from {self._trigger.as_written}: {problem}",
            )


def _message(record: Any) -> KafkaMessage:  # noqa: ANN401 - aiokafka's record has no types
    return KafkaMessage(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        value=record.value,
        key=record.key,
        instant=record.timestamp,
        headers=record.headers,
    )
