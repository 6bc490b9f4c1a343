"""What goes wrong on a day, and from when to when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault.

    Attributes:
        minutes: how long it lasts.
        raises: the alerts that it must raise, no others.
        hour: when on a day with many faults it begins.
        hours_before: for how long it has been there by then, where it takes long to be seen.
    """

    minutes: int
    raises: frozenset[str]
    hour: float
    hours_before: float = 0.0


def _fault(minutes: int, *raises: str, hour: float, hours_before: float = 0.0) -> Fault:
    return Fault(minutes, frozenset(raises), hour, hours_before)


FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        # Messages that nobody can read.
        "poison": _fault(5, "parked_messages", hour=6),
        # Nobody takes messages off the queue; reconciliation brings the sessions before push does.
        "backlog": _fault(40, "ingestion_age", "findings_new", hour=7),
        # The worker's process ends in the middle of each batch; likewise.
        "crashes": _fault(20, "invocations_failing", "ingestion_age", "findings_new", hour=8.5),
        # Each answer of the store takes long, within a tap's budget.
        "slow_store": _fault(35, "taps_slow", hour=16),
        # Reads of tags are not answered within a tap's budget.
        "stalled_tags": _fault(20, "taps_by_policy", "taps_slow", "invocations_failing", hour=17),
        # A rotation of the Authorization value that reached one side only.
        "wrong_value": _fault(15, "tokens_refused", hour=10),
        # Somebody at a charger tries tag after tag.
        "guesser": _fault(10, "unknown_tags", hour=11),
        # The table of the audit takes nothing.
        "audit_away": _fault(25, "audit_lost", hour=18),
        # eMabler's REST is away.
        "rest_away": _fault(50, "reconciliation_failing", hour=12),
        # REST has told wrong totals for two days: the front stands still, no day is proven again.
        "front_stands": _fault(60, "proof_old", hour=13.5, hours_before=48),
        # REST tells of more energy than push.
        "drift": _fault(20, "findings_new", hour=19.5),
        # eMabler has stopped pushing; REST goes on telling.
        "no_push": _fault(165, "push_silent", "findings_new", hour=20.5),
        # The timer has stopped.
        "no_timer": _fault(170, "function_silent", "reconciliation_failing", hour=1),
        # The container of backups takes nothing: they are begun, and none becomes whole.
        "no_backup": _fault(885, "backup_old", "function_silent", hour=1),
        # Something writes far too much into the workspace.
        "flood": _fault(120, "daily_cap", hour=4),
        # A secret of the vault ends in a month.
        "secret_ends": _fault(5, "secret_expiring", hour=23.4),
    }
)


@dataclass(frozen=True, slots=True)
class Plan:
    """When which fault begins; a fault that is not named does not happen."""

    begins: Mapping[str, datetime]

    def has(self, name: str, now: datetime) -> bool:
        """Whether a fault is on at an instant."""
        begin, since = self.begins.get(name), self.since(name)
        if begin is None or since is None:
            return False
        return since <= now < begin + timedelta(minutes=FAULTS[name].minutes)

    def since(self, name: str) -> datetime | None:
        """When a fault came, with the time before it could be seen; None: it does not come."""
        begin = self.begins.get(name)
        return begin and begin - timedelta(hours=FAULTS[name].hours_before)

    @property
    def raises(self) -> frozenset[str]:
        """The alerts that all of it must raise."""
        return frozenset().union(*(FAULTS[name].raises for name in self.begins))


CALM = Plan({})

ON_ONE_DAY = tuple(name for name in FAULTS if name not in {"no_timer", "flood"})
"""What goes wrong on the day with faults; the alerts of the others have to stay quiet."""


def day_of(midnight: datetime, names: Iterable[str]) -> Plan:
    """A day with some faults, each at its own hour."""
    return Plan({name: midnight + timedelta(hours=FAULTS[name].hour) for name in names})
