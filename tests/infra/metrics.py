"""Azure's metrics that alerts look at, as Microsoft's reference lists them, and how one fires.

The reference: https://learn.microsoft.com/azure/azure-monitor/reference/supported-metrics/ with one
page a type of resource (read in November 2026). What a dimension can hold is in the page about
monitoring Table Storage: https://learn.microsoft.com/azure/storage/tables/monitor-table-storage-reference
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.infra.limits import minutes_of


@dataclass(frozen=True, slots=True)
class Metric:
    """A row of the reference: the aggregations that have a meaning, dimensions, finest grain."""

    unit: str
    aggregations: frozenset[str]
    dimensions: frozenset[str]
    grain: str = "PT1M"


METRICS: Mapping[tuple[str, str], Metric] = {
    # microsoft-servicebus-namespaces-metrics
    ("Microsoft.ServiceBus/namespaces", "DeadletteredMessages"): Metric(
        "Count", frozenset({"Average", "Minimum", "Maximum"}), frozenset({"EntityName"})
    ),
    ("Microsoft.ServiceBus/namespaces", "ActiveMessages"): Metric(
        "Count", frozenset({"Average", "Minimum", "Maximum"}), frozenset({"EntityName"})
    ),
    # microsoft-storage-storageaccounts-tableservices-metrics
    ("Microsoft.Storage/storageAccounts/tableServices", "Transactions"): Metric(
        "Count",
        frozenset({"Total"}),
        frozenset({"ResponseType", "GeoType", "ApiName", "Authentication", "TransactionType"}),
    ),
    # microsoft-insights-components-metrics
    ("microsoft.insights/components", "availabilityResults/availabilityPercentage"): Metric(
        "Percent",
        frozenset({"Average"}),
        frozenset({"availabilityResult/name", "availabilityResult/location"}),
    ),
}
"""By the resource's type, as the reference spells it, and the metric's name in REST."""

VALUES: Mapping[str, frozenset[str]] = {
    "ResponseType": frozenset(
        {
            "Success",
            "SuccessWithThrottling",
            "ServerBusyError",
            "ServerTimeoutError",
            "ServerOtherError",
            "AuthorizationError",
            "NetworkError",
            "ClientThrottlingError",
            "ClientAccountRequestThrottlingError",
            "ClientAccountBandwidthThrottlingError",
            "ClientTimeoutError",
            "ClientOtherError",
        }
    )
}
"""What a dimension can hold, where that is a list of Azure's and no name of a resource."""


@dataclass(frozen=True, slots=True)
class Point:
    """What Azure keeps of one minute of one time series."""

    minute: int
    total: float
    count: int = 1
    least: float | None = None
    most: float | None = None
    dimensions: Mapping[str, str] = field(default_factory=dict)


def firings(alert: Mapping[str, Any], points: Iterable[Point], minutes: int) -> list[int]:
    """The minutes, of so many, at which the condition of a metric alert rule holds.

    As Azure does it: at each evaluation, each combination of the dimensions' values is a time
    series of its own; its points of the window are aggregated and compared; a series without a
    point says nothing; one that is over the threshold is enough.
    """
    properties = alert["properties"]
    window = minutes_of(properties["windowSize"])
    step = minutes_of(properties["evaluationFrequency"])
    (condition,) = properties["criteria"]["allOf"]
    split = [each["name"] for each in condition["dimensions"]]
    chosen = [
        point
        for point in points
        if all(
            point.dimensions.get(each["name"]) in each["values"] for each in condition["dimensions"]
        )
    ]
    found = []
    for now in range(step, minutes + 1, step):
        series: dict[tuple[str, ...], list[Point]] = {}
        for point in chosen:
            if now - window <= point.minute < now:
                series.setdefault(tuple(point.dimensions[name] for name in split), []).append(point)
        values = [_aggregated(condition["timeAggregation"], each) for each in series.values()]
        if any(_over(condition["operator"], value, condition["threshold"]) for value in values):
            found.append(now)
    return found


def _aggregated(how: str, points: list[Point]) -> float:
    match how:
        case "Total":
            return sum(point.total for point in points)
        case "Average":
            return sum(point.total for point in points) / sum(point.count for point in points)
        case "Maximum":
            return max(point.total if point.most is None else point.most for point in points)
        case "Minimum":
            return min(point.total if point.least is None else point.least for point in points)
        case "Count":
            return sum(point.count for point in points)
    raise ValueError(how)


def _over(operator: str, value: float, threshold: float) -> bool:
    match operator:
        case "GreaterThan":
            return value > threshold
        case "GreaterThanOrEqual":
            return value >= threshold
        case "LessThan":
            return value < threshold
        case "LessThanOrEqual":
            return value <= threshold
    raise ValueError(operator)
