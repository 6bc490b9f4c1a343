"""The small Log Analytics: rows from envelopes, ranges of time, rules on their beats."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb_kql
import pytest

from local.log_analytics.rules import Rule, beats, beyond, evaluate, read_duration
from local.log_analytics.tables import (
    TABLES,
    TableRow,
    read_instant,
    read_row,
    read_timespan,
    rows_of,
)
from local.log_analytics.workspace import Result, Workspace

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
KEY = "00000000-0000-0000-0000-000000000001"


def envelope(kind: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "name": "whatever",
        "time": "2026-11-24T12:00:00.1234567Z",
        "iKey": KEY,
        "tags": {"ai.operation.id": "op", "ai.cloud.roleInstance": "one", "ai.other": "x"},
        "data": {"baseType": kind, "baseData": {"ver": 2, **data}},
        **more,
    }


def rule(**changes: Any) -> Rule:
    given: dict[str, Any] = {
        "name": "many",
        "title": "Many",
        "severity": 2,
        "query": "AppTraces | summarize n = count() by who = OperationId",
        "measure": "n",
        "unit": "lines",
        "aggregation": "Total",
        "operator": "GreaterThan",
        "threshold": 1.0,
        "dimensions": ("who",),
        "window": 10 * MINUTE,
        "frequency": 5 * MINUTE,
    }
    return Rule(**(given | changes))


def line(at: datetime, who: str = "a") -> TableRow:
    return TableRow("AppTraces", {"TimeGenerated": at, "OperationId": who, "Message": "x"})


@pytest.mark.parametrize(
    ("kind", "data", "table", "wanted"),
    [
        (
            "MessageData",
            {"message": "hello", "severityLevel": "Warning"},
            "AppTraces",
            {"Message": "hello", "SeverityLevel": 2},
        ),
        ("MessageData", {"message": "x", "severityLevel": 3}, "AppTraces", {"SeverityLevel": 3}),
        (
            "RequestData",
            {
                "id": "s",
                "name": "f",
                "duration": "00:00:01.5000000",
                "success": False,
                "responseCode": "503",
            },
            "AppRequests",
            {"Id": "s", "Name": "f", "DurationMs": 1500.0, "Success": False, "ResultCode": "503"},
        ),
        (
            "RemoteDependencyData",
            {"name": "get", "duration": "1.00:00:00", "type": "HTTP", "data": "u", "target": "t"},
            "AppDependencies",
            {"DependencyType": "HTTP", "Data": "u", "Target": "t", "DurationMs": 86_400_000.0},
        ),
        (
            "ExceptionData",
            {
                "severityLevel": "Error",
                "exceptions": [
                    {"typeName": "Outer", "message": "o"},
                    {"typeName": "Inner", "message": "i"},
                ],
            },
            "AppExceptions",
            {"ExceptionType": "Outer", "OuterMessage": "o", "InnermostType": "Inner"},
        ),
        (
            "MetricData",
            {"metrics": [{"name": "m", "value": 6.0, "count": 3, "min": 1.0, "max": 3.0}]},
            "AppMetrics",
            {"Name": "m", "Sum": 6.0, "ItemCount": 3, "Min": 1.0, "Max": 3.0},
        ),
    ],
)
def test_an_envelope_becomes_a_row(
    kind: str, data: dict[str, Any], table: str, wanted: dict[str, Any]
) -> None:
    """Each kind goes into its table, each field into the documented column."""
    (found,) = rows_of([envelope(kind, data)])

    common = {"OperationId": "op", "AppRoleInstance": "one", "TimeGenerated": NOON}
    assert found.table == table
    assert (wanted | common).items() <= {
        **found.row,
        "TimeGenerated": found.row["TimeGenerated"].replace(microsecond=0),
    }.items()
    assert found.row.keys() <= TABLES[table].keys()


def test_a_sampled_item_counts_for_those_left_out() -> None:
    """A sample rate of 20 % is an item count of 5; unknown kinds are left out."""
    items = [envelope("MessageData", {"message": "x"}, sampleRate=20), envelope("PageData", {})]

    assert [each.row["ItemCount"] for each in rows_of(items)] == [5]


def test_instants_and_durations_are_read_as_sdks_write_them() -> None:
    """Seven digits of a second, an offset or none; hours beyond a day in front of a point."""
    assert read_instant("2026-11-24T12:00:00.1234567Z") == NOON + timedelta(microseconds=123456)
    assert read_instant("2026-11-24T14:00:00+02:00") == NOON
    assert read_instant("2026-11-24T12:00:00") == NOON
    assert read_timespan("2.01:00:00.25") == timedelta(days=2, hours=1, seconds=0.25)
    with pytest.raises(ValueError, match="no duration"):
        read_timespan("5 s")
    told = read_row("Usage", {"TimeGenerated": "2026-11-24T12:00:00Z", "Quantity": 1.5})
    assert told.row == {"TimeGenerated": NOON, "Quantity": 1.5}


def test_a_query_sees_its_range_of_time_only() -> None:
    """From just after its beginning to its end; `now()` is that end, whatever the clock says."""
    query = "AppTraces | summarize n = count(), late_s = (now() - max(TimeGenerated)) / 1s"
    with Workspace() as workspace:
        workspace.add(line(NOON - minutes * MINUTE) for minutes in (0, 5, 10, 20))

        assert workspace.query(query, until=NOON - 2 * MINUTE, lasting=8 * MINUTE) == [
            {"n": 1, "late_s": 180.0}
        ]
        assert workspace.query(query, until=NOON, lasting=20 * MINUTE)[0]["n"] == 3
        assert workspace.span() == (NOON - 20 * MINUTE, NOON)


def test_what_is_absent_is_null_and_text_is_not() -> None:
    """As in KQL: a text that is not there is empty, everything else is null."""
    with Workspace() as workspace:
        workspace.add([line(NOON)])

        assert workspace.query(
            "AppTraces | project a = isempty(UserId), b = isnull(SeverityLevel)",
            until=NOON,
            lasting=MINUTE,
        ) == [{"a": True, "b": True}]
        assert workspace.query("AppRequests | count", until=NOON, lasting=MINUTE) == [{"Count": 0}]


def test_a_column_that_is_not_documented_is_refused() -> None:
    """Neither a row nor a query can have it."""
    with Workspace() as workspace:
        with pytest.raises(KeyError, match="Nonsense"):
            workspace.add([TableRow("AppTraces", {"TimeGenerated": NOON, "Nonsense": 1})])
        with pytest.raises(Exception, match="Nonsense"):
            workspace.query("AppTraces | where Nonsense == 1", until=NOON, lasting=MINUTE)
        with pytest.raises(duckdb_kql.KqlError):
            workspace.query("AppTraces | evaluate nothing()", until=NOON, lasting=MINUTE)


def test_a_rule_is_evaluated_on_its_beat() -> None:
    """Beats are whole steps of the day, after the start and up to the end."""
    found = list(beats(rule(), NOON + MINUTE, NOON + 15 * MINUTE))

    assert found == [NOON + n * MINUTE for n in (5, 10, 15)]


def test_a_rule_fires_for_what_is_beyond() -> None:
    """Each combination of dimensions is put together and judged for itself; nulls say nothing."""
    result: Result = [
        {"who": "a", "n": 1},
        {"who": "a", "n": 1},
        {"who": "b", "n": 1},
        {"who": "c", "n": None},
    ]

    assert [(f.dimensions, f.value) for f in beyond(rule(), result, NOON)] == [(("a",), 2.0)]
    most = rule(aggregation="Maximum")
    assert beyond(most, result, NOON) == []
    under = rule(operator="LessThan", threshold=2)
    assert [f.dimensions for f in beyond(under, result, NOON)] == [("b",)]


def test_a_rule_looks_at_its_window() -> None:
    """What is older than the window counts no more."""
    with Workspace() as workspace:
        workspace.add(line(NOON + minutes * MINUTE) for minutes in (1, 2))

        assert evaluate(rule(), workspace, NOON + 5 * MINUTE)
        assert evaluate(rule(), workspace, NOON + 12 * MINUTE) == []


def test_durations_are_read() -> None:
    """Days, hours and minutes of ISO 8601; what is none is refused."""
    assert read_duration("P1DT2H30M") == timedelta(days=1, hours=2, minutes=30)
    for wrong in ("P", "15", "PT1S"):
        with pytest.raises(ValueError, match="no duration"):
            read_duration(wrong)
