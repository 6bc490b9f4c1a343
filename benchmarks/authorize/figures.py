"""What the benchmark measures, and what comes of it: pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

NAMES = ("nothing", "bare", "ours")
ADDED_FLOOR, ADDED_GOAL = 2.0, 1.3
RATE_FLOOR, RATE_GOAL = 0.5, 0.7


@dataclass(frozen=True, slots=True)
class Latencies:
    """Times of calls in milliseconds, ascending, and calls per second."""

    milliseconds: tuple[float, ...]
    per_second: float

    def percentile(self, share: float) -> float:
        """The time that this share of the calls did not exceed."""
        return self.milliseconds[
            min(int(len(self.milliseconds) * share), len(self.milliseconds) - 1)
        ]


def joined(parts: Sequence[Latencies]) -> Latencies:
    """Calls of several rounds as one; the rate is the rounds' median."""
    times = sorted(time for part in parts for time in part.milliseconds)
    return Latencies(tuple(times), statistics.median(part.per_second for part in parts))


def added_ratio(nothing: Latencies, bare: Latencies, ours: Latencies) -> float:
    """What a tap adds to a function that does nothing, in bare range queries, at the median."""
    base = nothing.percentile(0.5)
    return (ours.percentile(0.5) - base) / (bare.percentile(0.5) - base)
