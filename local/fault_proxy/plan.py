"""A plan: rules in order and a seed → which calls go wrong. Pure, and without a clock.

Each rule draws from a stream of its own, made from the seed and the rule's number, one draw for
each call that it matches. So what a rule decides for its n-th call depends on nothing else: not
on calls that it does not match, not on the other rules, not on time.
"""

import random
from dataclasses import dataclass, field

from local.errors import LocalError
from local.fault_proxy.requests import Call
from local.fault_proxy.rules import Rule, check, parse_rule


@dataclass(frozen=True, slots=True)
class Choice:
    """A rule's decision that a call goes wrong.

    Attributes:
        number: the rule's number in the plan, from 1.
        nth: which of the rule's matching calls this is, from 1.
        rule: the rule.
    """

    number: int
    nth: int
    rule: Rule


@dataclass(frozen=True, slots=True)
class RuleState:
    """A rule in the plan and how far it has come.

    Attributes:
        number: the rule's number in the plan, from 1.
        rule: the rule as a line.
        matched: how many calls it matched.
        happened: how many of them went wrong by it.
    """

    number: int
    rule: str
    matched: int
    happened: int


@dataclass(slots=True)
class _Entry:
    rule: Rule
    stream: random.Random
    matched: int = field(default=0)
    happened: int = field(default=0)

    def wants(self, call: Call) -> bool:
        """Look at a call; each matching one is counted, and drawn for, exactly once."""
        if not self.rule.matches(call):
            return False
        self.matched += 1
        drawn = self.rule.rate == 1 or self.stream.random() < self.rule.rate
        chosen = drawn and (not self.rule.nth or self.matched in self.rule.nth)
        return chosen and (self.rule.count is None or self.happened < self.rule.count)


class Plan:
    """Rules in the order in which they were added; the first that wants a call has it."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._entries: dict[int, _Entry] = {}
        self._added = 0

    def add(self, rule: Rule | str) -> int:
        """Add a rule and give its number.

        Raises:
            LocalError: `usage_wrong`, the rule makes no sense.
        """
        checked = parse_rule(rule) if isinstance(rule, str) else check(rule)
        self._added += 1
        # No secret is made here: what matters is that a seed gives the same draws everywhere.
        stream = random.Random(f"{self.seed}:{self._added}")  # noqa: S311
        self._entries[self._added] = _Entry(checked, stream)
        return self._added

    def remove(self, number: int) -> None:
        """Take a rule out.

        Raises:
            LocalError: `usage_wrong`, there is none of that number.
        """
        if self._entries.pop(number, None) is None:
            raise LocalError("usage_wrong", f"there is no rule {number}", "list the rules first")

    def clear(self) -> None:
        """Take all rules out. The next one is number 1 again, so a plan can be run once more."""
        self._entries.clear()
        self._added = 0

    def rules(self) -> list[RuleState]:
        """Give the rules in order."""
        return [
            RuleState(number, str(entry.rule), entry.matched, entry.happened)
            for number, entry in self._entries.items()
        ]

    def decide(self, call: Call) -> Choice | None:
        """Decide about a call. Every rule looks at it, also when an earlier one has it."""
        wanting = [item for item in self._entries.items() if item[1].wants(call)]
        if not wanting:
            return None
        number, entry = wanting[0]
        entry.happened += 1
        return Choice(number, entry.matched, entry.rule)
