"""A delivered batch, whatever befalls it: weather is outlasted, what fails alone is parked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import reduce
from time import monotonic

from shared.errors import RowConflictError, StoreUnavailableError, TransientError
from shared.ingestion.ingest import Ingested, Ingestion
from shared.ingestion.messages import IncomingMessage
from shared.ingestion.weather import Outlasted, outlast, patience
from shared.instants import Clock


class Delivery:
    """Takes a batch to its end: stored, parked, or failed as a whole to come again.

    `guard` is asked before each attempt; it raises a transient error where nothing may be written.
    """

    def __init__(
        self,
        ingestion: Ingestion,
        *,
        guard: Callable[[], Awaitable[None]],
        longest_wait: float,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        elapsed: Callable[[], float] = monotonic,
    ) -> None:
        self._ingestion = ingestion
        self._guard = guard
        self._longest_wait = longest_wait
        self._clock = clock
        self._sleep = sleep
        self._elapsed = elapsed

    async def take(self, batch: Sequence[IncomingMessage], told: Outlasted) -> Ingested:
        """Store what can be read, park what cannot; `told` is what it took.

        What is neither poison nor weather (an unexpected exception, a row that the store refuses)
        is narrowed down: a message that fails alone while others succeed is parked as
        `unexpected`, so that one message that meets a mistake of ours does not take its neighbours
        to the dead-letter queue.

        Raises:
            TransientError: The store stayed away for as long as this delivery may wait.
            Exception: Every message of the batch fails: the mistake is not one message's.
        """
        return await outlast(
            lambda: self._attempt(batch, again=told.attempts > 1),
            patience(batch, self._clock(), self._longest_wait),
            told,
            longest=self._longest_wait,
            sleep=self._sleep,
            elapsed=self._elapsed,
        )

    async def take_alone(self, message: IncomingMessage, told: Outlasted) -> Ingested:
        """Take a message that no queue holds: nothing would ever make a dead letter of it.

        So one that fails for another reason than weather is parked as `unexpected` at once.

        Raises:
            TransientError: The store stayed away for as long as this delivery may wait.
        """
        try:
            return await self.take([message], told)
        except TransientError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the bytes are kept
            return await self._ingestion.park_unexpected([(message, error)])

    async def _attempt(self, batch: Sequence[IncomingMessage], *, again: bool) -> Ingested:
        await self._guard()
        try:
            return await self._ingest(batch, again=again)
        except TransientError:
            raise
        except Exception:
            done, failed = await self._narrow(batch)
            if len(failed) == len(batch):
                raise
        return reduce(Ingested.__add__, done, await self._ingestion.park_unexpected(failed))

    async def _ingest(self, batch: Sequence[IncomingMessage], *, again: bool) -> Ingested:
        try:
            return await self._ingestion.ingest(batch, again=again)
        except RowConflictError as error:
            # Whoever decides on a conflict has done so by now. What is left of one (a 409 to an
            # upsert, a container that is being made) says nothing of the messages.
            message = f"the store contradicted itself: {error}"
            raise StoreUnavailableError(message, code="store_contended") from error

    async def _narrow(
        self, batch: Sequence[IncomingMessage]
    ) -> tuple[list[Ingested], list[tuple[IncomingMessage, Exception]]]:
        """Halve a failing batch until what fails fails alone."""
        try:
            return [await self._ingest(batch, again=True)], []
        except TransientError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is to be found out whose
            if len(batch) == 1:
                return [], [(batch[0], error)]
        half = len(batch) // 2
        done, failed = await self._narrow(batch[:half])
        more_done, more_failed = await self._narrow(batch[half:])
        return done + more_done, failed + more_failed
