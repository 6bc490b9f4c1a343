"""Rules and a seed → which calls go wrong. Pure: no clock, no hash of Python's own.

What is drawn for a call depends on the seed, the fault's name and the call's number, and on
nothing else; what is drawn for a session on its id in the number's place. So a test can ask the
plan beforehand.
"""

from collections.abc import Iterable
from hashlib import blake2b

import msgspec

from local.emabler.faults.rules import FAULTS, OF_SESSIONS, FaultName, Rule
from local.emabler.habits import Permission
from local.emabler.operations import OperationName

_DRAWN_BYTES = 8


def drawn(seed: int, *subject: object) -> float:
    """Draw a number from 0 up to, not including, 1."""
    text = "|".join(map(str, (seed, *subject)))
    digest = blake2b(text.encode("utf-8", "replace"), digest_size=_DRAWN_BYTES).digest()
    # 53 bits are what a float holds: more could round up to 1.
    return (int.from_bytes(digest) >> 11) / 2**53


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan must know of a call.

    Attributes:
        number: which call since the rules were set, from 1.
        seconds: how long ago the rules were set.
        operation: the read.
        permission: the permission that it needs.
    """

    number: int
    seconds: float
    operation: OperationName
    permission: Permission


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Rules, one for each fault at most, and the seed they draw from."""

    seed: int = 0
    rules: dict[FaultName, Rule] = {}

    def with_rules(self, rules: Iterable[Rule]) -> "Plan":
        """Give a plan in which these rules take the place of those for the same faults."""
        return Plan(seed=self.seed, rules=self.rules | {rule.fault: rule for rule in rules})

    def without(self, fault: FaultName) -> "Plan":
        """Give a plan without the rule of one fault."""
        left = {name: rule for name, rule in self.rules.items() if name != fault}
        return Plan(seed=self.seed, rules=left)

    def wants(self, moment: Moment) -> dict[FaultName, Rule]:
        """Give the faults that want a call, in the order of `FAULTS`.

        A fault of sessions wants each call that its rule is for; its rate is drawn for sessions.
        """
        return {
            name: self.rules[name]
            for name in FAULTS
            if name in self.rules
            and _is_for(self.rules[name], moment)
            and (name in OF_SESSIONS or self.draw(name, moment.number) < self.rules[name].rate)
        }

    def draw(self, *subject: object) -> float:
        """Draw a number from 0 up to, not including, 1 for a subject."""
        return drawn(self.seed, *subject)

    def choose[T](self, among: tuple[T, ...], *subject: object) -> T:
        """Draw one of several for a subject."""
        return among[int(self.draw(*subject, "which") * len(among))]

    def numbers(self, fault: FaultName, most: int) -> list[int]:
        """Give the calls, up to a number, that a fault's rate chooses: for tests that plan."""
        rule = self.rules[fault]
        calls = range(1, most + 1)
        return [number for number in calls if self.draw(fault, number) < rule.rate]


def _is_for(rule: Rule, moment: Moment) -> bool:
    return (
        (not rule.on or moment.operation in rule.on)
        and (rule.permission is None or rule.permission == moment.permission)
        and _between(rule.after, moment.seconds, rule.until)
        and _between(rule.first, moment.number, rule.last)
    )


def _between(low: float | None, value: float, high: float | None) -> bool:
    return (low is None or low <= value) and (high is None or value <= high)
