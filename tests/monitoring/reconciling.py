"""What runs of reconciliation tell on a day: the fields of their wide events."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Any

from shared.instants import format_instant
from tests.monitoring.faults import Plan

_SETTLING = timedelta(minutes=12)
_RUNS_AN_HOUR = 4
_WALKED_AGAIN = timedelta(days=7, hours=3)


class Reconciling:
    """Counts what a run would find. `sessions` are those that began since the run before."""

    def __init__(self, plan: Plan, random: Random) -> None:
        self._plan = plan
        self._random = random
        self._runs = 0
        self._open = 2
        self._proven: datetime | None = None
        self.sessions = 0

    def run(self, now: datetime) -> dict[str, Any]:
        """The fields of one run that succeeds."""
        self._runs += 1
        stands = self._plan.has("front_stands", now)
        front = now - (timedelta(hours=60) if stands else _SETTLING)
        since = self._proven or front - timedelta(minutes=15)
        drift = self._plan.has("drift", now)
        no_push = self._plan.has("no_push", now)
        ended, self.sessions = self.sessions, 0
        repaired = ended if no_push else int(self._random.random() < 0.2)
        self._open += 2 * drift
        told = {
            "run": f"{now:%Y%m%d%H%M}-{self._runs:03}",
            "complete": True,
            "windows": 0 if stands else 1,
            "window_start": format_instant(since),
            "window_end": format_instant(front),
            "front": format_instant(front),
            "front_age_s": round((now - front).total_seconds(), 1),
            "pages": 1 + ended // 100,
            "rest_requests": 2 + ended // 100,
            "sessions": {
                name: count
                for name, count in {
                    "confirmed": max(ended - repaired, 0),
                    "repaired": repaired,
                    "unchanged": 3 * ended,
                }.items()
                if count
            },
            "findings_open": self._open,
            "push_silent": no_push,
        }
        if self._runs % _RUNS_AN_HOUR == 1:
            age = _WALKED_AGAIN - _SETTLING * self._random.random()
            told["oldest_proof_s"] = round(age.total_seconds())
        # As a run does: what is not the case is left out.
        if drift:
            told["findings"] = told["findings_new"] = {"energy_differs": 2}
        self._proven = front
        return told
