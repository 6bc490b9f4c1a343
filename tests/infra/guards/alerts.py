"""The alerts: all there, about something that exists, at times that Azure has, told to somebody."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from tests.infra.compiler import INFRA
from tests.infra.deployment import Deployment
from tests.infra.guards.frame import differences, guard
from tests.infra.limits import (
    AVAILABILITY_PLACES,
    LONGEST_RESOLVING_MINUTES,
    METRIC_ALERT_FREQUENCIES,
    METRIC_ALERT_WINDOWS,
    MOST_BYTES_OF_AN_ALERT,
    NOT_IN_ALERTS,
    QUERY_ALERT_FREQUENCIES,
    QUERY_ALERT_WINDOWS,
    SEVERITIES,
    minutes_of,
)
from tests.infra.metrics import METRICS, VALUES

QUERY_ALERTS = "Microsoft.Insights/scheduledQueryRules"
METRIC_ALERTS = "Microsoft.Insights/metricAlerts"
TESTS = "Microsoft.Insights/webtests"


@cache
def listed(file: str) -> list[dict[str, Any]]:
    """The alerts that a file of infra/monitoring lists."""
    alerts: list[dict[str, Any]] = json.loads(
        (INFRA / "monitoring" / file).read_text(encoding="utf-8")
    )["alerts"]
    return alerts


def name_of(alert: dict[str, Any]) -> str:
    """The name of an alert rule in infra/monitoring and docs/runbooks."""
    return str(told_of(alert).get("alert"))


def told_of(alert: dict[str, Any]) -> dict[str, Any]:
    """What a rule tells its receivers beside what Azure tells them."""
    if alert["type"] == QUERY_ALERTS:
        told: dict[str, Any] = alert["properties"]["actions"].get("customProperties", {})
        return told
    return {
        name: value
        for action in alert["properties"]["actions"]
        for name, value in action.get("webHookProperties", {}).items()
    }


@guard
def alerts_complete(deployment: Deployment) -> Iterator[str]:
    """Each alert of infra/monitoring has its rule; that of the availability test is on with it."""
    for kind, file in ((QUERY_ALERTS, "alerts.json"), (METRIC_ALERTS, "metric-alerts.json")):
        found = [name_of(each) for each in deployment.of(kind)]
        expected = [each["name"] for each in listed(file)]
        if found != expected:
            yield f"{kind}: {found} are not {expected}"
    (test,) = deployment.of(TESTS)
    for each in deployment.of(METRIC_ALERTS):
        if name_of(each) == "availability":
            yield from differences(each, {"enabled": test["properties"]["Enabled"]})
    for each in deployment.of(QUERY_ALERTS):
        (condition,) = each["properties"]["criteria"]["allOf"]
        query = INFRA / "monitoring" / "alerts" / f"{name_of(each)}.kql"
        if condition["query"] != query.read_text(encoding="utf-8"):
            yield f"{each['name']}: its query is not {query.name}"


@guard
def alerts_are_told(deployment: Deployment) -> Iterator[str]:
    """Each alert has a severity, tells the action group, and names the runbook to open."""
    group = deployment.one("Microsoft.Insights/actionGroups")
    yield from differences(group, {"enabled": True})
    for each in (*deployment.of(QUERY_ALERTS), *deployment.of(METRIC_ALERTS)):
        properties = each["properties"]
        if properties["severity"] not in SEVERITIES:
            yield f"{each['name']}: severity {properties['severity']}"
        groups = (
            properties["actions"]["actionGroups"]
            if each["type"] == QUERY_ALERTS
            else [action["actionGroupId"] for action in properties["actions"]]
        )
        if groups != [group["id"]]:
            yield f"{each['name']}: tells {groups}"
        runbook = str(told_of(each).get("runbook"))
        ending = f"/{name_of(each)}.md"
        if not runbook.endswith(ending) or runbook not in properties["description"]:
            yield f"{each['name']}: names no runbook"


@guard
def alert_times_fit(deployment: Deployment) -> Iterator[str]:
    """Each alert is evaluated as often, and looks as far back, as Azure lets it."""
    for kind, frequencies, windows in (
        (QUERY_ALERTS, QUERY_ALERT_FREQUENCIES, QUERY_ALERT_WINDOWS),
        (METRIC_ALERTS, METRIC_ALERT_FREQUENCIES, METRIC_ALERT_WINDOWS),
    ):
        for each in deployment.of(kind):
            properties = each["properties"]
            frequency, window = properties["evaluationFrequency"], properties["windowSize"]
            if frequency not in frequencies or window not in windows:
                yield f"{each['name']}: Azure has no pair {frequency}, {window}"
            elif minutes_of(window) < minutes_of(frequency):
                yield f"{each['name']}: looks at {window} every {frequency}"
            elif properties["autoMitigate"] and minutes_of(frequency) > LONGEST_RESOLVING_MINUTES:
                yield f"{each['name']}: cannot resolve by itself every {frequency}"


@guard
def query_alerts_read(deployment: Deployment) -> Iterator[str]:
    """Query alerts look at the one workspace, with an identity that may read it and no more."""
    workspace = deployment.one("Microsoft.OperationalInsights/workspaces")
    app = set(deployment.one("Microsoft.Web/sites")["identity"]["userAssignedIdentities"])
    for each in deployment.of(QUERY_ALERTS):
        identity = each.get("identity", {})
        own = set(identity.get("userAssignedIdentities", {}))
        if identity.get("type") != "UserAssigned" or len(own) != 1 or own & app:
            yield f"{each['name']}: has no identity of its own kind"
        yield from differences(each, {"scopes": [workspace["id"]]})


@guard
def queries_fit(deployment: Deployment) -> Iterator[str]:
    """Each query is one that Azure runs in an alert: in its words, columns and size."""
    for each in deployment.of(QUERY_ALERTS):
        # A table such as AzureDiagnostics is there from its first row on: Azure's own check would
        # refuse the rule in the middle of a first deployment.
        yield from differences(each, {"skipQueryValidation": True})
        (condition,) = each["properties"]["criteria"]["allOf"]
        query = condition["query"]
        for word in NOT_IN_ALERTS:
            if re.search(rf"\b{word}\b", query):
                yield f"{each['name']}: Azure runs no {word} in an alert"
        if len(json.dumps(each["properties"])) > MOST_BYTES_OF_AN_ALERT:
            yield f"{each['name']}: is larger than Azure takes"
        columns = {condition["metricMeasureColumn"], *(d["name"] for d in condition["dimensions"])}
        for column in sorted(columns):
            if not re.search(rf"\b{column}\b", query):
                yield f"{each['name']}: its query has no column {column}"


@guard
def metrics_are_azure_s(deployment: Deployment) -> Iterator[str]:
    """Each metric alert names a metric, aggregation, dimension and value that Azure has."""
    for each in deployment.of(METRIC_ALERTS):
        for condition in each["properties"]["criteria"]["allOf"]:
            namespace, name = condition["metricNamespace"], condition["metricName"]
            metric = METRICS.get((namespace, name))
            if metric is None:
                yield f"{each['name']}: Azure has no metric {name} of {namespace}"
                continue
            if condition["timeAggregation"] not in metric.aggregations:
                yield f"{each['name']}: {condition['timeAggregation']} of {name} means nothing"
            for scope in each["properties"]["scopes"]:
                kind = "/".join(scope.partition("/providers/")[2].split("/")[:2])
                if not namespace.casefold().startswith(kind.casefold()):
                    yield f"{each['name']}: {scope} has no metrics of {namespace}"
            yield from _dimensions(each["name"], condition)


def _dimensions(alert: str, condition: dict[str, Any]) -> Iterator[str]:
    metric = METRICS[condition["metricNamespace"], condition["metricName"]]
    for dimension in condition["dimensions"]:
        known = VALUES.get(dimension["name"])
        if dimension["name"] not in metric.dimensions:
            yield f"{alert}: {condition['metricName']} has no dimension {dimension['name']}"
        if not dimension["values"]:
            yield f"{alert}: {dimension['name']} is compared with nothing"
        for value in dimension["values"]:
            if known is not None and value not in known:
                yield f"{alert}: {dimension['name']} is never {value}"


@guard
def asked_from_outside(deployment: Deployment) -> Iterator[str]:
    """The availability test calls the address that tells nothing, over TLS, from several places."""
    component = deployment.one("Microsoft.Insights/components")
    site = deployment.one("Microsoft.Web/sites")
    for test in deployment.of(TESTS):
        properties = test["properties"]
        request, rules = properties["Request"], properties["ValidationRules"]
        url = request["RequestUrl"]
        if not url.startswith("[format('https://{0}/api/live', ") or site["id"] not in url:
            yield f"{test['name']}: calls {url}"
        if request["HttpVerb"] != "GET" or request.get("Headers"):
            yield f"{test['name']}: sends more than a GET"
        if not rules["SSLCheck"] or rules["ExpectedHttpStatusCode"] != 200:
            yield f"{test['name']}: takes any answer"
        if f"hidden-link:{component['id']}" not in test["tags"]:
            yield f"{test['name']}: its results belong to no component"
        places = {each["Id"] for each in properties["Locations"]}
        if len(places) < 2 or not places <= AVAILABILITY_PLACES.keys():
            yield f"{test['name']}: calls from {sorted(places)}"
    restricted = bool(site["properties"]["siteConfig"]["ipSecurityRestrictions"])
    calls = [test for test in deployment.of(TESTS) if test["properties"]["Enabled"]]
    if not restricted and not calls and deployment.name != "entra":
        yield f"{site['name']}: nobody asks whether it answers"
