"""What Azure itself writes into the workspace: how much it took, and what the vault gives notice of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from local.log_analytics.tables import TableRow
from tests.monitoring.faults import Plan

_HOUR = timedelta(hours=1)
_FLOOD_MEGABYTES = 2600.0


def usage(
    rows: Iterable[TableRow], began: datetime, ended: datetime, plan: Plan
) -> Iterator[TableRow]:
    """What the workspace took, by hour and table, written down when the hour is over."""
    taken: dict[tuple[datetime, str], float] = defaultdict(float)
    for each in rows:
        at: datetime = each.row["TimeGenerated"]
        hour = at.replace(minute=0, second=0, microsecond=0)
        taken[hour, each.table] += each.row["_BilledSize"] / 1_000_000
    hour = began.replace(minute=0, second=0, microsecond=0)
    while hour < ended:
        if plan.has("flood", hour) or plan.has("flood", hour + _HOUR):
            taken[hour, "FunctionAppLogs"] += _FLOOD_MEGABYTES
        hour += _HOUR
    for (start, table), megabytes in sorted(taken.items()):
        yield TableRow(
            "Usage",
            {
                "TimeGenerated": start,
                "StartTime": start,
                "EndTime": start + _HOUR,
                "DataType": table,
                "Quantity": megabytes,
                "QuantityUnit": "MBytes",
                "IsBillable": True,
                "Solution": "LogManagement",
                "Type": "Usage",
            },
        )


def notices(plan: Plan) -> Iterator[TableRow]:
    """What the vault writes when a secret nears its end, beside its everyday reads."""
    begin = plan.begins.get("secret_ends")
    for minutes in range(30):
        at = (begin or datetime.fromisoformat("2026-11-02T00:00:00Z")) + timedelta(minutes=minutes)
        yield _vault(at, "SecretGet")
    if begin is not None:
        yield _vault(begin, "SecretNearExpiryEventGridNotification")


def _vault(at: datetime, operation: str) -> TableRow:
    row = {
        "TimeGenerated": at,
        "ResourceProvider": "MICROSOFT.KEYVAULT",
        "Resource": "KV-EMABLER",
        "Category": "AuditEvent",
        "OperationName": operation,
        "ResultType": "Success",
        "Type": "AzureDiagnostics",
    }
    return TableRow("AzureDiagnostics", row)
