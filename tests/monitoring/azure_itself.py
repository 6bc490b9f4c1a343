"""What Azure itself writes into the workspace: how much it took, and notices of the vault."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from local.log_analytics.tables import TableRow
from tests.monitoring.played import Played

_HOUR = timedelta(hours=1)
_FLOOD_MEGABYTES = 2600.0


def of_azure(told: Iterable[TableRow], played: Played) -> list[TableRow]:
    """What Azure writes beside what the app and its host told on a day."""
    return [*_usage(told, played), *_notices(played)]


def whole(played: Played) -> list[TableRow]:
    """All rows of a day."""
    told = played.told()
    return [*told, *of_azure(told, played)]


def _usage(told: Iterable[TableRow], played: Played) -> Iterator[TableRow]:
    """What the workspace took, by hour and table, of the hours that are over."""
    taken: dict[tuple[datetime, str], float] = defaultdict(float)
    for each in told:
        at: datetime = each.row["TimeGenerated"]
        taken[_hour(at), each.table] += each.row["_BilledSize"] / 1_000_000
    hour = _hour(played.began)
    while hour < played.ended:
        if played.plan.has("flood", hour) or played.plan.has("flood", hour + _HOUR):
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


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _notices(played: Played) -> Iterator[TableRow]:
    """What the vault writes when a secret nears its end, beside its everyday reads."""
    at = played.began
    while at < played.ended:
        yield _vault(at, "SecretGet")
        at += _HOUR
    begin = played.plan.begins.get("secret_ends")
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
