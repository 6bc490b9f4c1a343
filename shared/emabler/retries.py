"""When a request is tried again, and after which pause."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from time import monotonic

from shared.errors import RestUnavailableError
from shared.instants import Clock, http_date, system_clock

MOST_TRIES = 8
MOST_TRIES_OF_UNREADABLE = 3
"""An answer that was cut off is whole the next time; a page for people stays what it is."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
_NO_HELP = frozenset(("rest_answer_too_large", "rest_pages_repeat", "rest_pages_endless"))
_NEVER = frozenset((501, 505))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Time, sleep and chance, passed in so that tests hold them in their hands."""

    clock: Clock = system_clock
    elapsed: Callable[[], float] = monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = field(default_factory=lambda: Random().random)  # noqa: S311 - spreads pauses, guards nothing


@dataclass(slots=True)
class Counts:
    """What a client did so far: requests sent, those that were retries, times it was throttled.

    `seconds_waited` is time spent in pauses before retries and for our own rate.
    """

    requests: int = 0
    retries: int = 0
    throttled: int = 0
    seconds_waited: float = 0.0


def retry_after(value: str | None, date: str | None, now: datetime) -> float | None:
    """The seconds that a `Retry-After` header asks for; None when there is none that is one.

    It holds seconds or an HTTP date. A date is measured against the answer's own `Date`, since the
    machine's clock may be another one; without it against `now`.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isdecimal() and text.isascii():
        return float(text[:9])
    until = http_date(text)
    if until is None:
        return None
    return max((until - (http_date(date or "") or now)).total_seconds(), 0.0)


def may_help(error: RestUnavailableError, tries: int) -> bool:
    """Whether the same request may do better a moment later. All our requests only read."""
    most = MOST_TRIES_OF_UNREADABLE if error.code == "rest_answer_unreadable" else MOST_TRIES
    return tries < most and error.code not in _NO_HELP and error.status not in _NEVER


def pause_before(retry: int, asked: float | None, chance: float) -> float:
    """Seconds before the n-th retry: what the server asks for, else doubling from half a second.

    Chance spreads it, so that instances that were turned away together do not come back together:
    between half and all of our own pauses, and at most half a second after the server's.
    """
    if asked is not None:
        return asked + FIRST_PAUSE * chance
    return min(FIRST_PAUSE * 2.0 ** (retry - 1), LONGEST_PAUSE) * (0.5 + chance / 2)


async def tried[T](
    attempt: Callable[[], Awaitable[T]], *, within: float, around: Surroundings, counts: Counts
) -> T:
    """Try until it succeeds, cannot be helped, or the time for all tries would be over.

    A pause that the server asks for and that does not fit into the time is not begun.

    Raises:
        RestUnavailableError: The last try's; its `tries` says how many there were.
        RestRefusedError: The first try's that was refused.
    """
    began = around.elapsed()
    tries = 1
    while True:
        try:
            return await attempt()
        except RestUnavailableError as error:
            error.tries = tries
            pause = pause_before(tries, error.retry_after, around.chance())
            over = around.elapsed() - began + pause > within
            if over or not may_help(error, tries):
                raise
        counts.retries += 1
        counts.seconds_waited += pause
        await around.sleep(pause)
        tries += 1
