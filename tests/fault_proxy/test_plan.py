"""A plan decides the same for the same calls, and a rule by nothing but its own calls."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.errors import LocalError
from local.fault_proxy.plan import Choice, Plan
from local.fault_proxy.requests import Call
from local.fault_proxy.rules import Rule
from tests.fault_proxy.strategies import calls, rules

WRITE = Call("table", "POST", "batch", "events")
READ = Call("table", "GET", "point", "tags")


def decided(seed: int, plan_rules: list[Rule], plan_calls: list[Call]) -> list[Choice | None]:
    plan = Plan(seed)
    for rule in plan_rules:
        plan.add(rule)
    return [plan.decide(call) for call in plan_calls]


def fired(plan: Plan, how_many: int, call: Call = WRITE) -> list[int]:
    """Which of so many calls went wrong, counted from 1."""
    return [n for n in range(1, how_many + 1) if plan.decide(call)]


@settings(max_examples=40)
@given(st.integers(), st.lists(rules(), max_size=4), st.lists(calls, max_size=60))
def test_a_seed_reproduces_all_decisions(
    seed: int, plan_rules: list[Rule], plan_calls: list[Call]
) -> None:
    """The same rules, seed and calls give the same decisions."""
    assert decided(seed, plan_rules, plan_calls) == decided(seed, plan_rules, plan_calls)


@settings(max_examples=40)
@given(st.integers(), rules(), st.lists(rules(), max_size=3), st.lists(calls, max_size=60))
def test_the_first_rule_decides_by_its_own_calls_alone(
    seed: int, rule: Rule, others: list[Rule], plan_calls: list[Call]
) -> None:
    """Rules after it, and calls that it does not match, change nothing for the first rule."""
    among_others = decided(seed, [rule, *others], plan_calls)
    alone = decided(seed, [rule], [call for call in plan_calls if rule.matches(call)])

    assert [c for c in among_others if c and c.number == 1] == [c for c in alone if c]


@settings(max_examples=40)
@given(st.integers(), rules(), st.lists(calls, max_size=60))
def test_a_rule_keeps_its_bounds(seed: int, rule: Rule, plan_calls: list[Call]) -> None:
    """Only calls that match are chosen, no more than `count`, and only the n-th where asked."""
    chosen = [
        (call, choice)
        for call, choice in zip(plan_calls, decided(seed, [rule], plan_calls), strict=True)
        if choice
    ]

    assert all(rule.matches(call) for call, _ in chosen)
    assert len(chosen) <= (rule.count or len(plan_calls))
    assert all(not rule.nth or choice.nth in rule.nth for _, choice in chosen)


def test_a_rate_is_kept_and_drawn_by_the_seed() -> None:
    """A rate of a tenth is about a tenth of a thousand calls; another seed draws others."""
    draws = {}
    for seed in (1, 2):
        plan = Plan(seed)
        plan.add("busy rate=0.1")
        draws[seed] = fired(plan, 1000)

    assert all(70 <= len(drawn) <= 130 for drawn in draws.values())
    assert draws[1] != draws[2]


def test_draws_are_the_same_on_every_machine() -> None:
    """A seed written down today draws the same calls tomorrow, elsewhere."""
    plan = Plan(7)
    plan.add("busy rate=0.2")

    assert fired(plan, 30) == [3, 9, 18, 20, 21, 22]


def test_nth_and_count() -> None:
    """`nth` chooses by position among the matching calls, `count` ends a rule."""
    plan = Plan()
    plan.add("busy kind=write nth=2,4")
    plan.decide(READ)
    assert fired(plan, 6) == [2, 4]

    plan = Plan()
    plan.add("busy count=2")
    assert fired(plan, 6) == [1, 2]
    assert [(state.matched, state.happened) for state in plan.rules()] == [(6, 2)]


def test_the_first_rule_that_wants_a_call_has_it() -> None:
    """A later rule gets what earlier ones leave, and is not used up by what it did not get."""
    plan = Plan()
    plan.add("busy count=1")
    plan.add("throttled count=2")

    assert [choice.rule.fault if choice else None for choice in map(plan.decide, [WRITE] * 4)] == [
        "busy",
        "throttled",
        "throttled",
        None,
    ]


def test_a_cleared_plan_begins_anew() -> None:
    """After `clear` the same rules decide as they did the first time."""
    plan = Plan(3)
    plan.add("busy rate=0.3")
    first = fired(plan, 50)
    plan.clear()
    assert fired(plan, 5) == []

    assert plan.add("busy rate=0.3") == 1
    assert fired(plan, 50) == first


def test_rules_are_taken_out_by_number() -> None:
    """A rule that was taken out decides nothing more; an unknown number is said to be unknown."""
    plan = Plan()
    plan.add("busy")
    second = plan.add("throttled")
    plan.remove(1)

    choice = plan.decide(WRITE)
    assert choice is not None
    assert choice.number == second
    with pytest.raises(LocalError, match="there is no rule 1"):
        plan.remove(1)
