"""Service Bus functions: receives messages, runs the function, settles them.

As in the Service Bus extension 5.x: a batch is completed when the function succeeded and abandoned
as a whole when it did not (also when the worker died meanwhile); the batches of one function run
one after another and their locks are not renewed. Single messages run side by side up to
`maxConcurrentCalls`, their locks renewed up to `maxAutoLockRenewalDuration`.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusReceiver
from azure.servicebus.exceptions import MessageLockLostError

from local.functions_host.functions import Function, ServiceBusTrigger
from local.functions_host.invocations import BY_NAME, Outcome
from local.functions_host.rpc import TypedData, protos
from local.functions_host.service_bus_client import (
    open_client,
    open_receiver,
    settle_promptly,
    what_to_do,
)
from local.functions_host.service_bus_metadata import (
    BodyError,
    batch_metadata,
    bodies_data,
    body_of,
    body_text,
    facts_of,
    one_message_metadata,
    with_body_members,
)
from local.functions_host.trigger_context import TriggerContext
from local.words import counted

Metadata = dict[str, TypedData]

_CATEGORY = "Host.Triggers.ServiceBus"
_RECEIVE_SECONDS = 60.0
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 5.0
_RENEW_BEFORE_SECONDS = 10.0
# One empty data section, AMQP 1.0 part 3, 3.2.6.
_EMPTY_MESSAGE = b"\x00\x53\x75\xa0\x00"


class ServiceBusFunction:
    """One Service Bus function and its receiver."""

    def __init__(
        self,
        function: Function,
        trigger: ServiceBusTrigger,
        context: TriggerContext,
    ) -> None:
        self._function = function
        self._trigger = trigger
        options = context.host_json.service_bus
        self._options = options
        self._settings = context.settings
        self._invocations = context.invocations
        self._console = context.console
        self._batch_size = trigger.max_batch_size or options.max_message_batch_size
        self._least = min(options.min_message_batch_size, self._batch_size) if trigger.many else 1
        self._auto_complete = (
            options.auto_complete_messages
            if trigger.auto_complete is None
            else trigger.auto_complete
        )
        self._stopping = asyncio.Event()
        self._problem: str | None = None
        # Renewals at the same time break the SDK's management link (azure-servicebus 7.15).
        self._renewing = asyncio.Lock()

    def stop(self) -> None:
        """Receive nothing more; what was received is still run and settled."""
        self._stopping.set()

    async def serve(self) -> None:
        """Receive and run until stopped, connecting again whenever the connection is lost."""
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                await self._connect_and_receive()
            except Exception as error:  # noqa: BLE001  # whatever it is, receiving must go on
                self._report_problem(error)
            if time.monotonic() - started > _LONGEST_PAUSE:
                pause = _FIRST_PAUSE
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def run_now(self, text: str) -> Outcome:
        """Run the function with one message that no queue holds, its body being `text`."""
        body = text.encode()
        empty = ServiceBusReceivedMessage.from_bytes(_EMPTY_MESSAGE)
        facts = facts_of(empty)
        if self._trigger.many:
            return await self._invoke(
                bodies_data([body], self._trigger.data_type), batch_metadata([facts]), BY_NAME
            )
        return await self._invoke(*self._one(body, one_message_metadata(facts)), BY_NAME)

    async def _connect_and_receive(self) -> None:
        at_once = self._batch_size if self._trigger.many else 1
        async with (
            open_client(self._trigger, self._settings) as client,
            open_receiver(
                client, self._trigger, prefetch=self._options.prefetch_count, at_once=at_once
            ) as receiver,
        ):
            self._report_connected()
            if self._trigger.many:
                await self._receive_batches(receiver)
            else:
                await self._receive_singles(receiver)

    async def _receive(
        self, receiver: ServiceBusReceiver, most: int, seconds: float
    ) -> list[ServiceBusReceivedMessage]:
        """Up to `most` messages; none when `seconds` pass without one, or on the way out."""
        receiving = asyncio.ensure_future(
            receiver.receive_messages(max_message_count=most, max_wait_time=seconds)
        )
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({receiving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return receiving.result() if receiving.done() else []
        finally:
            for task in (receiving, stopping):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task

    # Batches

    async def _receive_batches(self, receiver: ServiceBusReceiver) -> None:
        while not self._stopping.is_set():
            batch = await self._next_batch(receiver)
            if batch:
                await self._run_batch(receiver, batch)

    async def _next_batch(self, receiver: ServiceBusReceiver) -> list[ServiceBusReceivedMessage]:
        """The next batch, held back for `maxBatchWaitTime` while below `minMessageBatchSize`.

        The time runs since the first message came. On the way out it goes as it is.
        """
        batch = await self._receive(receiver, self._batch_size, _RECEIVE_SECONDS)
        deadline = time.monotonic() + self._options.max_batch_wait
        while batch and len(batch) < self._least and not self._stopping.is_set():
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                break
            batch += await self._receive(receiver, self._batch_size - len(batch), remaining)
        return batch

    async def _run_batch(
        self, receiver: ServiceBusReceiver, batch: Sequence[ServiceBusReceivedMessage]
    ) -> None:
        succeeded = False
        try:
            data = bodies_data([body_of(m) for m in batch], self._trigger.data_type)
            metadata = batch_metadata([facts_of(message) for message in batch])
            messages = counted(len(batch), "message")
            reason = f"{messages} from {self._trigger.as_written}"
            succeeded = (await self._invoke(data, metadata, reason)).succeeded
        except BodyError as error:
            self._console.error(_CATEGORY, f"{self._function.name}: {error}")
        await self._settle(receiver, batch, succeeded=succeeded)

    # Single messages

    async def _receive_singles(self, receiver: ServiceBusReceiver) -> None:
        places = asyncio.Semaphore(self._options.max_concurrent_calls)
        calls: set[asyncio.Task[None]] = set()
        try:
            while not self._stopping.is_set():
                await places.acquire()
                received = await self._receive(receiver, 1, _RECEIVE_SECONDS)
                if not received:
                    places.release()
                    continue
                call = asyncio.create_task(self._run_single(receiver, received[0]))
                calls.add(call)
                call.add_done_callback(calls.discard)
                call.add_done_callback(lambda _: places.release())
        finally:
            # The receiver must stay open for them to settle their messages.
            await asyncio.gather(*calls, return_exceptions=True)

    async def _run_single(
        self, receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage
    ) -> None:
        renewal = asyncio.create_task(self._keep_locked(receiver, message))
        succeeded = False
        try:
            facts = facts_of(message)
            data, metadata = self._one(body_of(message), one_message_metadata(facts))
            reason = (
                f"message {facts.sequence_number} of {self._trigger.as_written},"
                f" delivery {facts.delivery_count}"
            )
            succeeded = (await self._invoke(data, metadata, reason)).succeeded
        except BodyError as error:
            self._console.error(_CATEGORY, f"{self._function.name}: {error}")
        finally:
            renewal.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewal
        await self._settle(receiver, [message], succeeded=succeeded)

    async def _keep_locked(
        self, receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage
    ) -> None:
        """Renew the lock before it ends, for up to `maxAutoLockRenewalDuration`."""
        give_up = time.monotonic() + self._options.max_auto_lock_renewal
        while message.locked_until_utc is not None:
            left = (message.locked_until_utc - datetime.now(UTC)).total_seconds()
            await asyncio.sleep(max(left - min(_RENEW_BEFORE_SECONDS, left / 2), 0))
            if time.monotonic() >= give_up:
                return
            try:
                async with self._renewing:
                    await receiver.renew_message_lock(message)
            except Exception as error:  # noqa: BLE001  # the message is settled, or comes again
                self._console.warning(
                    _CATEGORY,
                    f"{self._function.name}: the lock of a message of {self._trigger.as_written}"
                    f" could not be renewed ({type(error).__name__}).",
                )
                return

    # Both

    def _one(self, body: bytes, metadata: Metadata) -> tuple[TypedData, Metadata]:
        if self._trigger.data_type == "binary":
            return protos.TypedData(bytes=body), metadata
        text = body_text(body)
        return protos.TypedData(string=text), with_body_members(metadata, text)

    async def _invoke(self, data: TypedData, metadata: Metadata, reason: str) -> Outcome:
        return await self._invocations.run(
            self._function, self._trigger.parameter, data, reason=reason, metadata=metadata
        )

    async def _settle(
        self,
        receiver: ServiceBusReceiver,
        messages: Sequence[ServiceBusReceivedMessage],
        *,
        succeeded: bool,
    ) -> None:
        """Complete the messages, or abandon them, all at the same time."""
        if succeeded and not self._auto_complete:
            return
        settle: Callable[[ServiceBusReceivedMessage], Awaitable[None]] = (
            receiver.complete_message if succeeded else receiver.abandon_message
        )
        settle_promptly(receiver)
        results = await asyncio.gather(*map(settle, messages), return_exceptions=True)
        errors = [result for result in results if isinstance(result, BaseException)]
        if errors:
            lost = sum(isinstance(error, MessageLockLostError) for error in errors)
            why = "their locks had ended" if lost == len(errors) else type(errors[-1]).__name__
            self._console.warning(
                _CATEGORY,
                f"{self._function.name}: {len(errors)} of {len(messages)} messages of"
                f" {self._trigger.as_written} could not be"
                f" {'completed' if succeeded else 'abandoned'} ({why}); they are delivered again.",
            )

    def _report_connected(self) -> None:
        text = f"{self._function.name} listens to {self._trigger.as_written}."
        if self._problem is not None:
            text = f"{self._function.name} listens to {self._trigger.as_written} again."
        self._problem = None
        if self._least > 1:
            seconds = f"{self._options.max_batch_wait:g} s"
            text += f" It gathers {self._least} messages, for {seconds} at most."
        self._console.information(_CATEGORY, text)

    def _report_problem(self, error: Exception) -> None:
        """Say once what is wrong, and again only when something else is."""
        problem = what_to_do(error, self._trigger)
        if problem != self._problem and not self._stopping.is_set():
            self._problem = problem
            self._console.error(
                _CATEGORY,
                f"{self._function.name} cannot receive from {self._trigger.as_written}: {problem}",
            )
