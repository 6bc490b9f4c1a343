"""What Azure's host sends to Application Insights for an invocation, as envelopes.

Written after the sources of Azure's host and of the WebJobs SDK (`ApplicationInsightsLogger`,
`WebJobsTelemetryInitializer`, `GrpcWorkerChannel`); `local.app_insights` tells the format.

* A line that a function logs is a MessageData item of the category `Function.{name}.User`. The host
  logs it as one text: no property of it has the prefix `prop__`.
* An invocation is a RequestData item of the category `Host.Results`, and two MessageData items,
  "Executing …" and "Executed …", whose values do have that prefix.
* One that failed is two ExceptionData items as well: of `Host.Results` and of `Function.{name}`.
* A line that belongs to no running invocation is not sent: Azure's host drops it too.

With host.json's `telemetryMode` OpenTelemetry the host sends requests without these properties, and
the lines of functions only where the worker does not send them itself.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from local.functions_host.log_levels import LogLevel
from local.functions_host.trace_context import TraceContext
from local.functions_host.worker.protos import Message

type Item = dict[str, Any]

RESULTS = "Host.Results"
_SEVERITIES = {
    LogLevel.TRACE: "Verbose",
    LogLevel.DEBUG: "Verbose",
    LogLevel.INFORMATION: "Information",
    LogLevel.WARNING: "Warning",
    LogLevel.ERROR: "Error",
    LogLevel.CRITICAL: "Critical",
}
_NO_ADDRESS = "0.0.0.0"  # noqa: S104  # what the host writes in the place of an address
_EXECUTING = "Executing '{functionName}' (Reason='{reason}', Id={invocationId})"
_EXECUTED = (
    "Executed '{functionName}' ({status}, Id={invocationId}, Duration={executionDuration}ms)"
)
_LINK = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Running:
    """An invocation as it was begun; `request` is its `InvocationRequest`."""

    id: str
    function: str
    reason: str
    began: datetime
    trace: TraceContext
    request: Message


@dataclass(frozen=True, slots=True)
class Ended:
    """How an invocation ended: what the worker told of its failure, and an HTTP status."""

    duration: timedelta
    error: str = ""
    status: str = "0"


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends: what is the same in all items."""

    instrumentation_key: str
    role: str
    host_id: str
    version: str
    opentelemetry: bool = False


class Items:
    """Makes the items of one host."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def line(self, running: Running, level: LogLevel, text: str) -> Item:
        """A line that a function logged."""
        return self._message(running, f"Function.{running.function}.User", level, text, {})

    def executing(self, running: Running) -> Item:
        """That an invocation begins."""
        values = {
            "functionName": f"Functions.{running.function}",
            "reason": running.reason,
            "invocationId": running.id,
        }
        return self._event(
            running, LogLevel.INFORMATION, "1", "FunctionStarted", _EXECUTING, values
        )

    def ended(self, running: Running, ended: Ended) -> list[Item]:
        """That it ended, and how."""
        values = {
            "functionName": f"Functions.{running.function}",
            "status": "Failed" if ended.error else "Succeeded",
            "invocationId": running.id,
            "executionDuration": str(round(ended.duration.total_seconds() * 1000)),
        }
        level = LogLevel.ERROR if ended.error else LogLevel.INFORMATION
        number = "3" if ended.error else "2"
        event = self._event(running, level, number, "FunctionCompleted", _EXECUTED, values)
        if not ended.error:
            return [event]
        # Azure's host logs the one exception twice: with the result, and with this line.
        told = event["data"]["baseData"]
        what = f"Exception while executing function: Functions.{running.function}"
        result = self._properties(running, RESULTS, LogLevel.ERROR)
        return [
            event,
            self._exception(running, ended, {**result, "FormattedMessage": what}),
            self._exception(
                running, ended, {**told["properties"], "FormattedMessage": told["message"]}
            ),
        ]

    def request(self, running: Running, ended: Ended) -> Item:
        """The invocation itself."""
        data: Item = {
            "ver": 2,
            "id": running.trace.span_id,
            "name": running.function,
            "duration": _timespan(ended.duration),
            "success": not ended.error,
            "responseCode": ended.status,
            "properties": self._request_properties(running, ended),
        }
        tags = self._tags(running)
        tags["ai.operation.parentId"] = running.trace.caller
        http = _http(running.request)
        if http is not None:
            data["url"] = http.url.partition("?")[0]
        return self._envelope("AppRequests", "RequestData", data, tags, running.began)

    def _request_properties(self, running: Running, ended: Ended) -> dict[str, str]:
        links = _links(running.request)
        properties = {"_MS.links": json.dumps(links, separators=(",", ":"))} if links else {}
        if self._sender.opentelemetry:
            return properties
        level = LogLevel.ERROR if ended.error else LogLevel.INFORMATION
        http = _http(running.request)
        if http is not None:
            path = re.sub(r"^[a-z]+://[^/]*|\?.*$", "", http.url)
            properties |= {"HttpMethod": http.method, "HttpPath": path}
        return properties | {
            **self._properties(running, RESULTS, level),
            "FullName": f"Functions.{running.function}",
            "TriggerReason": running.reason,
            "FunctionExecutionTimeMs": f"{ended.duration.total_seconds() * 1000:.4f}",
        }

    def _event(
        self,
        running: Running,
        level: LogLevel,
        number: str,
        event: str,
        template: str,
        values: Mapping[str, str],
    ) -> Item:
        properties = {
            "EventId": number,
            "EventName": event,
            "prop__{OriginalFormat}": template,
            **{f"prop__{name}": value for name, value in values.items()},
        }
        category = f"Function.{running.function}"
        return self._message(running, category, level, template.format(**values), properties)

    def _message(
        self,
        running: Running,
        category: str,
        level: LogLevel,
        text: str,
        properties: Mapping[str, str],
    ) -> Item:
        data = {
            "ver": 2,
            "message": text,
            "severityLevel": _SEVERITIES[level],
            "properties": {**self._properties(running, category, level), **properties},
        }
        return self._envelope(
            "AppTraces", "MessageData", data, self._tags(running), datetime.now(UTC)
        )

    def _exception(self, running: Running, ended: Ended, properties: Mapping[str, str]) -> Item:
        what = f"Exception while executing function: Functions.{running.function}"
        data = {
            "ver": 2,
            "severityLevel": "Error",
            "exceptions": [
                {
                    "id": 1,
                    "typeName": "Microsoft.Azure.WebJobs.Host.FunctionInvocationException",
                    "message": what,
                    "hasFullStack": True,
                },
                {
                    "id": 2,
                    "outerId": 1,
                    "typeName": "Microsoft.Azure.WebJobs.Script.Workers.Rpc.RpcException",
                    "message": f"Result: Failure\nException: {ended.error}",
                    "hasFullStack": True,
                },
            ],
            "properties": properties,
        }
        return self._envelope(
            "AppExceptions", "ExceptionData", data, self._tags(running), datetime.now(UTC)
        )

    def _properties(self, running: Running, category: str, level: LogLevel) -> dict[str, str]:
        return {
            "Category": category,
            "LogLevel": level.label,
            "InvocationId": running.id,
            "HostInstanceId": self._sender.host_id,
            "ProcessId": str(os.getpid()),
        }

    def _tags(self, running: Running) -> dict[str, str]:
        return {
            "ai.operation.id": running.trace.trace_id,
            "ai.operation.parentId": running.trace.span_id,
            "ai.operation.name": running.function,
            "ai.cloud.role": self._sender.role,
            "ai.cloud.roleInstance": self._sender.host_id,
            "ai.location.ip": _NO_ADDRESS,
            "ai.internal.sdkVersion": f"azurefunctions: {self._sender.version}",
        }

    def _envelope(
        self, name: str, kind: str, data: Item, tags: Mapping[str, str], time: datetime
    ) -> Item:
        return {
            "name": name,
            "time": time.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "iKey": self._sender.instrumentation_key,
            "tags": {name: value for name, value in tags.items() if value},
            "data": {"baseType": kind, "baseData": data},
        }


def _timespan(duration: timedelta) -> str:
    """A duration as .NET writes it, to a ten-millionth of a second."""
    seconds, microseconds = divmod(duration // timedelta(microseconds=1), 1_000_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{microseconds:06}0"


def _http(request: Message) -> Message:
    for each in request.input_data:
        if each.data.WhichOneof("data") == "http":
            return each.data.http
    return None


def _links(request: Message) -> list[dict[str, str]]:
    """The spans that the messages of a batch name as theirs, as the host writes them."""
    properties: Sequence[Any] = []
    for name in ("ApplicationPropertiesArray", "ApplicationProperties"):
        if name in request.trigger_metadata:
            found = json.loads(request.trigger_metadata[name].json)
            properties = found if isinstance(found, list) else [found]
            break
    links = []
    for each in properties:
        match = _LINK.fullmatch(str(each.get("traceparent") or each.get("Diagnostic-Id") or ""))
        if match:
            links.append({"operation_Id": match[1], "id": match[2]})
    return links
