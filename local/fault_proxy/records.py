"""What was decided, and what came of it."""

from collections import Counter, deque
from dataclasses import dataclass, field

from local.fault_proxy.plan import RuleState
from local.fault_proxy.requests import Call
from local.fault_proxy.rules import FaultName

REMEMBERED = 50_000
"""How many decisions are kept, the latest; the counts go on beyond."""


@dataclass(slots=True)
class Decision:
    """One call that went wrong.

    Attributes:
        number: 1 for the first decision since the proxy started.
        at: seconds since the proxy started.
        rule: the number of the rule in the plan.
        nth: which of the rule's matching calls it was.
        fault: what was done to it.
        call: what it asked for.
        answered: the status that the caller was given; None for a reset, or not yet.
        stored: the status with which the storage answered; None when it was not asked, or not
            yet (`late_write`, `slow`).
    """

    number: int
    at: float
    rule: int
    nth: int
    fault: FaultName
    call: Call
    answered: int | None = None
    stored: int | None = None


@dataclass(frozen=True)
class Counts:
    """How many calls came, and what became of them.

    Attributes:
        calls: all that came.
        passed: handed on and answered as if there were no proxy.
        away: reset because the service was away (`absent`); connections that were refused are
            not seen.
        lost: reset because the storage itself did not answer.
        faults: fault → calls.
        held: calls and late writes that wait now.
        rules: the rules that are in force.
    """

    calls: int
    passed: int
    away: int
    lost: int
    faults: dict[str, int]
    held: int
    rules: list[RuleState]


@dataclass(slots=True)
class Record:
    """The running record of a proxy."""

    calls: int = 0
    passed: int = 0
    away: int = 0
    lost: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    decisions: deque[Decision] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
