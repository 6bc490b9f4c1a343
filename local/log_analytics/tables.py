"""The tables of a workspace, and their rows from captured telemetry.

`local.app_insights` says what a capture holds and which column each of its fields becomes.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

type Envelope = Mapping[str, Any]
type Row = dict[str, Any]

TABLES: Final[Mapping[str, Mapping[str, str]]] = {
    name: table["columns"]
    for name, table in json.loads(
        (Path(__file__).resolve().parent / "tables.json").read_text(encoding="utf-8")
    )["tables"].items()
}
"""Table → column → KQL type, as documented; `tables.json` names the sources."""

_OF_BASE_TYPE: Final = {
    "MessageData": "AppTraces",
    "RequestData": "AppRequests",
    "RemoteDependencyData": "AppDependencies",
    "ExceptionData": "AppExceptions",
    "MetricData": "AppMetrics",
    "AvailabilityData": "AppAvailabilityResults",
}
_OF_TAG: Final = {
    "ai.operation.id": "OperationId",
    "ai.operation.parentId": "ParentId",
    "ai.operation.name": "OperationName",
    "ai.cloud.roleName": "AppRoleName",
    "ai.cloud.roleInstance": "AppRoleInstance",
    "ai.internal.sdkVersion": "SDKVersion",
    "ai.location.ip": "ClientIP",
}
_OF_FIELD: Final = {
    "responseCode": "ResultCode",
    "type": "DependencyType",
}
_SEVERITIES: Final = ("verbose", "information", "warning", "error", "critical")
_WHOLE_SAMPLE: Final = 100
_FRACTION: Final = re.compile(r"(\.\d{6})\d+")
_TIMESPAN: Final = re.compile(r"(?:(\d+)\.)?(\d+):(\d+):(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row and the table that it belongs to. Columns that are absent are null."""

    table: str
    row: Row


def read_row(table: str, told: Mapping[str, Any]) -> TableRow:
    """A row that was written down as JSON: its instants are texts there."""
    kinds = TABLES[table]
    return TableRow(
        table,
        {
            name: read_instant(value) if kinds[name] == "datetime" else value
            for name, value in told.items()
        },
    )


def rows_of(envelopes: Iterable[Envelope]) -> Iterator[TableRow]:
    """The rows that the service would make of these envelopes; unknown kinds are left out."""
    for envelope in envelopes:
        table = _OF_BASE_TYPE.get(envelope["data"]["baseType"])
        if table is not None:
            for row in _rows(table, envelope):
                yield TableRow(table, row)


def _rows(table: str, envelope: Envelope) -> Iterator[Row]:
    data = envelope["data"]["baseData"]
    common: Row = {
        "TimeGenerated": read_instant(envelope["time"]),
        "Type": table,
        "IKey": envelope["iKey"],
        "ItemCount": round(_WHOLE_SAMPLE / envelope.get("sampleRate", _WHOLE_SAMPLE)),
        "Properties": data.get("properties", {}),
        "Measurements": data.get("measurements", {}),
    }
    for tag, value in envelope.get("tags", {}).items():
        if tag in _OF_TAG:
            common[_OF_TAG[tag]] = value
    # What a line of this table costs is nearly what was sent.
    common["_BilledSize"] = float(len(json.dumps(data)))
    if table == "AppMetrics":
        for metric in data["metrics"]:
            count = metric.get("count", 1)
            of_metric = {"Name": metric["name"], "Sum": metric["value"], "ItemCount": count}
            yield common | of_metric | {"Min": metric.get("min"), "Max": metric.get("max")}
        return
    if table == "AppExceptions":
        yield common | _exception(data)
        return
    named = {_OF_FIELD.get(name, name[0].upper() + name[1:]): value for name, value in data.items()}
    if "Duration" in named:
        named["DurationMs"] = read_timespan(named["Duration"]) / timedelta(milliseconds=1)
    if "SeverityLevel" in named:
        named["SeverityLevel"] = _severity(named["SeverityLevel"])
    yield common | {name: value for name, value in named.items() if name in TABLES[table]}


def _exception(data: Mapping[str, Any]) -> Row:
    outer, inner = data["exceptions"][0], data["exceptions"][-1]
    return {
        "ExceptionType": outer.get("typeName"),
        "OuterType": outer.get("typeName"),
        "OuterMessage": outer.get("message"),
        "InnermostType": inner.get("typeName"),
        "InnermostMessage": inner.get("message"),
        "Details": data["exceptions"],
        "SeverityLevel": _severity(data.get("severityLevel", "error")),
        "ProblemId": data.get("problemId"),
    }


def _severity(told: str | int) -> int:
    return told if isinstance(told, int) else _SEVERITIES.index(told.lower())


def read_instant(text: str) -> datetime:
    """An instant as SDKs write it, to the microsecond; without an offset it is UTC."""
    instant = datetime.fromisoformat(_FRACTION.sub(r"\1", text))
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def read_timespan(text: str) -> timedelta:
    """A duration as .NET writes it, `[d.]hh:mm:ss[.f…]`.

    Raises:
        ValueError: It is none.
    """
    match = _TIMESPAN.fullmatch(text)
    if match is None:
        message = f"no duration: {text}"
        raise ValueError(message)
    days, hours, minutes, seconds = match.groups()
    return timedelta(
        days=int(days or 0), hours=int(hours), minutes=int(minutes), seconds=float(seconds)
    )
