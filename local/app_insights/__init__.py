"""A small Application Insights: it takes telemetry as the service does, and writes it down.

`POST /v2.1/track` (also `/v2/track`) takes what Microsoft's SDKs send; nothing goes further than
this machine. Who sends: the Functions host, for what the functions log and for the invocations
(`local.functions_host.insights`), and, where the app's setting TELEMETRY says `opentelemetry`,
the app itself through `azure-monitor-opentelemetry`. Both find the address in
`APPLICATIONINSIGHTS_CONNECTION_STRING`.

The capture
-----------

A file of JSON lines, one for each item that was accepted, in the order of acceptance: the
*envelope* exactly as it was sent, with `_received` (when, UTC) put in front. So a line reads

    {"_received": "2026-11-26T14:05:00.123456Z",
     "name": "AppTraces", "time": "2026-11-26T14:04:59.9Z", "iKey": "…",
     "tags": {"ai.operation.id": "…", "ai.operation.parentId": "…", "ai.operation.name": "…",
              "ai.cloud.role": "…", "ai.cloud.roleInstance": "…", …},
     "data": {"baseType": "MessageData", "baseData": {"ver": 2, …}}}

`data.baseType` says which table the service puts an item into. `name` does not: SDKs differ.

| baseType | table | baseData → columns |
|---|---|---|
| `MessageData` | AppTraces | `message`, `severityLevel` |
| `RequestData` | AppRequests | see below, and `url`, `source`, `responseCode` → ResultCode |
| `RemoteDependencyData` | AppDependencies | see below, `type` → DependencyType, `target`, `data` |
| `ExceptionData` | AppExceptions | `exceptions`: see below; `severityLevel` |
| `MetricData` | AppMetrics | one row for each of `metrics`: see below |
| `AvailabilityData` | AppAvailabilityResults | (nobody sends them here) |
| `EventData` | AppEvents | (nobody sends them here) |

* Requests and dependencies: `id`, `name`, `duration` → DurationMs, `success`, `resultCode`.
* Exceptions: `exceptions[0].typeName` → ExceptionType and OuterType, `exceptions[0].message` →
  OuterMessage; the last of `exceptions` is the innermost.
* Metrics: `name`, `value` → Sum, `count` → ItemCount (1 where it is absent), `min`, `max`.
* Where no column is named, it has the name with a capital letter.

The rest is the same for all: `time` → TimeGenerated, `baseData.properties` → Properties (a dynamic
of texts), `baseData.measurements` → Measurements, `tags` `ai.operation.id` → OperationId,
`ai.operation.parentId` → ParentId, `ai.operation.name` → OperationName, `ai.cloud.role` →
AppRoleName, `ai.cloud.roleInstance` → AppRoleInstance, `ai.internal.sdkVersion` → SDKVersion,
`ai.location.ip` → ClientIP; `sampleRate` (100 where it is absent) → ItemCount = 100 / sampleRate.

Two things that differ between senders, as between the real ones:

* `severityLevel` is a name (`Verbose`, `Information`, `Warning`, `Error`, `Critical`) or its number
  from 0 to 4; the table has the number. A `duration` is `[d.]hh:mm:ss[.f…]`; the table has ms.
* A wide event (docs/telemetry.md) is the `message` of a MessageData item, whoever sent it: read it
  with `parse_json(Message)` and tell it by `event == "invocation"`. Its Properties depend on the
  sender: from the host `Category` (`Function.{name}.User`), `LogLevel`, `InvocationId`,
  `HostInstanceId`, `ProcessId`, and no `prop__…`, since the host logs a worker's line as one plain
  text; from the app itself `code.…` names and no Category. So a query reads nothing of them.
"""
