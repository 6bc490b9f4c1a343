"""Alert rules, evaluated as Azure Monitor does: each on its beat, on its window, by its threshold.

A rule's query gives a number for each combination of its dimensions, or none. The numbers of one
combination are put together by the rule's aggregation and compared with its threshold; the rule
fires for the combination that is beyond.
"""

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from local.log_analytics.workspace import Result, Workspace

ROOT: Final = Path(__file__).resolve().parent.parent.parent
MONITORING: Final = ROOT / "infra" / "monitoring"

_OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "GreaterThan": operator.gt,
    "GreaterThanOrEqual": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqual": operator.le,
}
_AGGREGATIONS: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "Total": sum,
    "Maximum": max,
    "Minimum": min,
    "Average": lambda values: sum(values) / len(values),
}
_DURATION: Final = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?")


@dataclass(frozen=True, slots=True)
class Rule:
    """A query alert, as `infra/monitoring/alerts.json` has it.

    Attributes:
        name: of the alert, of its query's file and of its runbook.
        title: what it says when it fires.
        severity: 0, critical, to 4, verbose.
        query: KQL.
        measure: the column with the number.
        unit: what the number counts.
        dimensions: the columns that tell one thing from another.
        window: the range of time that each evaluation looks at.
        frequency: the time between two evaluations.
    """

    name: str
    title: str
    severity: int
    query: str
    measure: str
    unit: str
    aggregation: str
    operator: str
    threshold: float
    dimensions: tuple[str, ...]
    window: timedelta
    frequency: timedelta


@dataclass(frozen=True, slots=True)
class Firing:
    """That a rule fired: when, for what, with which number."""

    rule: str
    at: datetime
    dimensions: tuple[str, ...]
    value: float


def read_rules(folder: Path = MONITORING) -> list[Rule]:
    """The rules with their queries, in the order of alerts.json."""
    told = json.loads((folder / "alerts.json").read_text(encoding="utf-8"))
    return [_rule(each, folder) for each in told["alerts"]]


def _rule(told: Mapping[str, Any], folder: Path) -> Rule:
    return Rule(
        name=told["name"],
        title=told["title"],
        severity=told["severity"],
        query=(folder / "alerts" / f"{told['name']}.kql").read_text(encoding="utf-8"),
        measure=told["measure"],
        unit=told["unit"],
        aggregation=told["aggregation"],
        operator=told["operator"],
        threshold=told["threshold"],
        dimensions=tuple(told["dimensions"]),
        window=read_duration(told["window"]),
        frequency=read_duration(told["frequency"]),
    )


def read_duration(text: str) -> timedelta:
    """A duration of ISO 8601 in days, hours and minutes.

    Raises:
        ValueError: It is none.
    """
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        message = f"no duration: {text}"
        raise ValueError(message)
    days, hours, minutes = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes)


def beats(rule: Rule, start: datetime, end: datetime) -> Iterator[datetime]:
    """The instants at which a rule is evaluated, from just after `start` to `end`."""
    midnight = datetime.combine(start.date(), datetime.min.time(), UTC)
    beat = midnight + ((start - midnight) // rule.frequency + 1) * rule.frequency
    while beat <= end:
        yield beat
        beat += rule.frequency


def evaluate(rule: Rule, workspace: Workspace, at: datetime) -> list[Firing]:
    """Evaluate a rule at one instant."""
    return beyond(rule, workspace.query(rule.query, until=at, lasting=rule.window), at)


def beyond(rule: Rule, result: Result, at: datetime) -> list[Firing]:
    """What in the result of a rule's query is beyond its threshold."""
    found: dict[tuple[str, ...], list[float]] = {}
    for row in result:
        value = row[rule.measure]
        if value is not None:
            found.setdefault(tuple(row[name] for name in rule.dimensions), []).append(float(value))
    aggregated = {key: _AGGREGATIONS[rule.aggregation](values) for key, values in found.items()}
    return [
        Firing(rule.name, at, key, value)
        for key, value in aggregated.items()
        if _OPERATORS[rule.operator](value, rule.threshold)
    ]


def play(
    rules: Sequence[Rule], workspace: Workspace, start: datetime, end: datetime
) -> list[Firing]:
    """Evaluate rules on each of their beats; all that fired, rule by rule, in the order of time."""
    return [
        firing
        for rule in rules
        for beat in beats(rule, start, end)
        for firing in evaluate(rule, workspace, beat)
    ]
