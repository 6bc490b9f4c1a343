"""A rate of our own for requests: eMabler throttles, and does not say from which rate on."""

from __future__ import annotations

from shared.emabler.retries import Counts, Surroundings


class Rate:
    """A bucket of tokens that fills at the rate and holds at most one second's worth, or one."""

    def __init__(self, per_second: float, *, around: Surroundings, counts: Counts) -> None:
        self._seconds_each = 1.0 / per_second
        self._saved_seconds = max(1.0 - self._seconds_each, 0.0)
        self._free_at = float("-inf")
        self._around = around
        self._counts = counts

    async def take(self) -> None:
        """Wait for one's turn; who asks first goes first."""
        now = self._around.elapsed()
        turn = max(self._free_at, now - self._saved_seconds)
        self._free_at = turn + self._seconds_each
        if turn > now:
            self._counts.seconds_waited += turn - now
            await self._around.sleep(turn - now)

    def hold(self, seconds: float) -> None:
        """Let nobody who comes from now on have a turn before this time is over."""
        self._free_at = max(self._free_at, self._around.elapsed() + seconds)
