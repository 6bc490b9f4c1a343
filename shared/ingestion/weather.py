"""Weather: how long an invocation waits for a store that is busy or away, and what it does then.

A failed invocation abandons its batch at once, and the next delivery follows immediately: a store
that is away for a minute would use up all deliveries of good messages in seconds. So the
invocation itself waits, longer at each delivery, and fails only then. How this adds up with the
queue's lock and delivery limit is in docs/decisions/0008-outages.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random
from time import monotonic

from shared.errors import TransientError
from shared.ingestion.messages import IncomingMessage

_FIRST_SHARE = 24
"""The first delivery waits two parts in 24 of the longest wait: 10 s of 120 s."""

LOCK_MARGIN_SECONDS = 60.0
"""What is left of the locks when the last attempt begins: enough to write a batch and settle it."""

_FIRST_PAUSE, _LONGEST_PAUSE = 1 / 240, 1 / 8
"""Of the longest wait: from half a second to 15 s of 120 s, so that one setting scales it all."""


def patience(batch: Sequence[IncomingMessage], now: datetime, longest: float) -> float:
    """How long this delivery may wait in all, in seconds.

    It is min(5·2^deliveries, 120) by the highest delivery count in the batch (where the longest
    wait is 120 s), and never past the earliest lock less a margin.
    """
    deliveries = max((message.delivery_count for message in batch), default=1)
    wait = min(longest / _FIRST_SHARE * 2.0 ** min(deliveries, 30), longest)
    locks = [m.locked_until for m in batch if m.locked_until is not None]
    if locks:
        wait = min(wait, (min(locks) - now).total_seconds() - LOCK_MARGIN_SECONDS)
    return max(wait, 0.0)


@dataclass(slots=True)
class Outlasted:
    """What outlasting took: attempts, and seconds spent waiting."""

    attempts: int = 0
    waited: float = 0.0


async def outlast[T](
    attempt: Callable[[], Awaitable[T]],
    seconds: float,
    told: Outlasted,
    *,
    longest: float = 120.0,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    elapsed: Callable[[], float] = monotonic,
    random: Random | None = None,
) -> T:
    """Try again and again while what fails is weather and there is time; then let it fail.

    Pauses double from half a second to 15 s (where the longest wait is 120 s), each by chance
    between half and all of that, so that instances that met the same storm do not come back
    together. The last one is cut short, so that the last attempt begins when the time is used up.

    Raises:
        TransientError: The last attempt's, when the time is used up.
    """
    chance = random or Random()  # noqa: S311 - spreads pauses, guards nothing
    began = elapsed()
    pause = longest * _FIRST_PAUSE
    while True:
        told.attempts += 1
        try:
            return await attempt()
        except TransientError:
            left = seconds - (elapsed() - began)
            if left <= 0:
                raise
            wait = min(pause * (0.5 + chance.random() / 2), left)
            told.waited += wait
            await sleep(wait)
            pause = min(2 * pause, longest * _LONGEST_PAUSE)
