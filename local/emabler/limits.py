"""Limits of rate, by habit: so many calls of one read in a minute, then 429 with `Retry-After`."""

import math
from collections import deque
from collections.abc import Callable
from time import monotonic

from local.emabler.errors import ThrottledError
from local.emabler.habits import Habits
from local.emabler.operations import Operation

_MINUTE = 60.0


class RateLimits:
    """Counts the calls of the last minute, each version of transactions by itself."""

    def __init__(self, habits: Habits, clock: Callable[[], float] = monotonic) -> None:
        self._habits = habits
        self._clock = clock
        self._calls: dict[str, deque[float]] = {}

    def count(self, operation: Operation) -> None:
        """Count a call.

        Raises:
            ThrottledError: there were as many as the limit in the minute before.
        """
        most = {
            "/v2/transactions": self._habits.v2_calls_a_minute,
            "/v3/transactions": self._habits.v3_calls_a_minute,
        }.get(operation.path)
        if most is None:
            return
        now = self._clock()
        calls = self._calls.setdefault(operation.path, deque())
        while calls and calls[0] <= now - _MINUTE:
            calls.popleft()
        if len(calls) >= most:
            raise ThrottledError(math.ceil(calls[-most] + _MINUTE - now))
        calls.append(now)
