"""What host.json says, with Microsoft's documented defaults for what it leaves out.

Version 2.0 of the file, extension bundle 4.x, Service Bus extension 5.x and Kafka extension 4.3
(https://learn.microsoft.com/azure/azure-functions/functions-host-json,
functions-bindings-service-bus#hostjson-settings, functions-bindings-kafka#hostjson-settings). As in
Azure, names are compared without case, numbers and switches may be written as strings, and app
settings named `AzureFunctionsJobHost__path__to__value` override the file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.functions_host.app_settings import AppSettings
from local.functions_host.errors import HostError
from local.functions_host.log_levels import LogLevel
from local.functions_host.timespans import parse_timespan

FILE_NAME = "host.json"
OVERRIDE_PREFIX = "AzureFunctionsJobHost"
LONGEST_BATCH_WAIT = 150.0
"""Beyond half of the longest lock, five minutes, Azure's extension does not start (its
ServiceBusHostBuilderExtensions.cs, version 5.10)."""


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """`extensions.http`; None means no limit, the default outside the Consumption plan."""

    route_prefix: str = "api"
    max_concurrent_requests: int | None = None
    max_outstanding_requests: int | None = None


@dataclass(frozen=True, slots=True)
class ServiceBusOptions:
    """`extensions.serviceBus`; durations in seconds."""

    prefetch_count: int = 0
    auto_complete_messages: bool = True
    max_auto_lock_renewal: float = 300.0
    max_concurrent_calls: int = 16
    max_message_batch_size: int = 1000
    min_message_batch_size: int = 1
    max_batch_wait: float = 30.0


@dataclass(frozen=True, slots=True)
class KafkaOptions:
    """`extensions.kafka`, of extension 4.3; durations in seconds, `max_retries` -1 without end."""

    max_batch_size: int = 64
    subscriber_interval: float = 1.0
    commit_on_failure: bool = True
    max_retries: int = 5
    from_latest: bool = False
    session_timeout: float = 10.0
    max_poll_interval: float = 300.0


@dataclass(frozen=True, slots=True)
class HostJson:
    """The parts of host.json that this host honours; `function_timeout` None means unbounded."""

    http: HttpOptions = HttpOptions()
    service_bus: ServiceBusOptions = ServiceBusOptions()
    kafka: KafkaOptions = KafkaOptions()
    function_timeout: float | None = 1800.0
    log_levels: Mapping[str, LogLevel] = field(default_factory=dict)
    opentelemetry: bool = False


def read_host_json(app: Path, settings: AppSettings) -> HostJson:
    """The options of the app in folder `app`.

    Raises:
        HostError: `host_json_not_found` or `host_json_invalid`.
    """
    try:
        text = (app / FILE_NAME).read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise HostError(
            "host_json_not_found",
            f"there is no {FILE_NAME} in {app}",
            'name the folder of a Functions app with --app; the least is {"version": "2.0"}',
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise _invalid(f"it cannot be read ({error})") from error
    return parse_host_json(text, settings.under(OVERRIDE_PREFIX))


def parse_host_json(text: str, overrides: Mapping[tuple[str, ...], str] | None = None) -> HostJson:
    """The options in the document `text`; `overrides` by path in lower case win over it.

    Raises:
        HostError: `host_json_invalid`, naming the place and what it must be.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise _invalid(f"it is not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise _invalid("it must hold one JSON object")
    root = _Section("", _lowered(document))
    for path, value in (overrides or {}).items():
        root.put(path, value)
    if root.values.get("version") != "2.0":
        raise _invalid('"version" must be "2.0", the only one that Functions 4 runs')
    extensions = root.section("extensions")
    return HostJson(
        http=_http(extensions.section("http")),
        service_bus=_service_bus(extensions.section("serviceBus")),
        kafka=_kafka(extensions.section("kafka")),
        function_timeout=_function_timeout(root),
        log_levels=_log_levels(root.section("logging").section("logLevel")),
        opentelemetry=_opentelemetry(root),
    )


def _http(section: "_Section") -> HttpOptions:
    default = HttpOptions()
    return HttpOptions(
        route_prefix=section.text("routePrefix", default.route_prefix).strip("/"),
        max_concurrent_requests=section.limit("maxConcurrentRequests"),
        max_outstanding_requests=section.limit("maxOutstandingRequests"),
    )


def _service_bus(section: "_Section") -> ServiceBusOptions:
    default = ServiceBusOptions()
    options = ServiceBusOptions(
        prefetch_count=section.number("prefetchCount", default.prefetch_count, least=0),
        auto_complete_messages=section.switch(
            "autoCompleteMessages", default=default.auto_complete_messages
        ),
        max_auto_lock_renewal=section.seconds(
            "maxAutoLockRenewalDuration", default.max_auto_lock_renewal
        ),
        max_concurrent_calls=section.number(
            "maxConcurrentCalls", default.max_concurrent_calls, least=1
        ),
        max_message_batch_size=section.number(
            "maxMessageBatchSize", default.max_message_batch_size, least=1
        ),
        min_message_batch_size=section.number(
            "minMessageBatchSize", default.min_message_batch_size, least=1
        ),
        max_batch_wait=section.seconds("maxBatchWaitTime", default.max_batch_wait),
    )
    if options.min_message_batch_size > options.max_message_batch_size:
        raise section.wrong("minMessageBatchSize", "must not be above maxMessageBatchSize")
    if options.max_batch_wait > LONGEST_BATCH_WAIT:
        raise section.wrong("maxBatchWaitTime", 'must be "00:02:30" at most, half of a lock')
    return options


def _kafka(section: "_Section") -> KafkaOptions:
    default = KafkaOptions()
    seconds = int(default.subscriber_interval)
    reset = section.text("autoOffsetReset", "earliest").lower()
    if reset not in {"earliest", "latest"}:
        raise section.wrong("autoOffsetReset", "must be earliest or latest")
    return KafkaOptions(
        max_batch_size=section.number("maxBatchSize", default.max_batch_size, least=1),
        subscriber_interval=section.number("subscriberIntervalInSeconds", seconds, least=1),
        commit_on_failure=section.switch("commitOnFailure", default=default.commit_on_failure),
        max_retries=section.number("maxRetries", default.max_retries, least=-1),
        from_latest=reset == "latest",
        session_timeout=section.number("sessionTimeoutMs", 10_000, least=1) / 1000,
        max_poll_interval=section.number("maxPollIntervalMs", 300_000, least=1) / 1000,
    )


def _function_timeout(root: "_Section") -> float | None:
    # "-1" is documented as unbounded; .NET reads it as minus one day.
    if str(root.values.get("functiontimeout")) in {"-1", "-1.00:00:00"}:
        return None
    seconds = root.seconds("functionTimeout", HostJson().function_timeout or 0.0)
    if seconds < 1:
        raise root.wrong("functionTimeout", 'must be at least "00:00:01", or "-1" for no limit')
    return seconds


def _log_levels(section: "_Section") -> dict[str, LogLevel]:
    levels = {}
    for category, value in section.values.items():
        try:
            levels[category] = LogLevel[str(value).upper()]
        except KeyError as error:
            names = ", ".join(level.label for level in LogLevel)
            raise section.wrong(category, f"must be one of {names}") from error
    return levels


def _opentelemetry(root: "_Section") -> bool:
    mode = root.text("telemetryMode", "ApplicationInsights").lower()
    if mode not in {"applicationinsights", "opentelemetry"}:
        raise root.wrong("telemetryMode", "must be ApplicationInsights or OpenTelemetry")
    return mode == "opentelemetry"


def _invalid(what: str) -> HostError:
    return HostError("host_json_invalid", f"{FILE_NAME}: {what}", "correct the file")


def _lowered(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        return {}
    return {
        key.lower(): _lowered(inner) if isinstance(inner, dict) else inner
        for key, inner in value.items()
    }


class _Section:
    """One object of the document, its names in lower case, which knows its path for messages."""

    def __init__(self, path: str, values: dict[str, object]) -> None:
        self.path = path
        self.values = values

    def put(self, path: tuple[str, ...], value: str) -> None:
        """Set one value by its path, as an app setting that overrides the file does."""
        values = self.values
        for part in path[:-1]:
            inner = values.setdefault(part, {})
            if not isinstance(inner, dict):
                return
            values = inner
        values[path[-1]] = value

    def wrong(self, name: str, what: str) -> HostError:
        return _invalid(f'"{self._at(name)}" {what}')

    def section(self, name: str) -> "_Section":
        value = self.values.get(name.lower())
        if value is None:
            return _Section(self._at(name), {})
        if not isinstance(value, dict):
            raise self.wrong(name, "must be an object")
        return _Section(self._at(name), value)

    def text(self, name: str, default: str) -> str:
        value = self.values.get(name.lower(), default)
        if not isinstance(value, str):
            raise self.wrong(name, "must be a string")
        return value

    def number(self, name: str, default: int, *, least: int) -> int:
        value = self.values.get(name.lower(), default)
        try:
            number = int(str(value))
        except ValueError as error:
            raise self.wrong(name, "must be a whole number") from error
        if number < least:
            raise self.wrong(name, f"must be at least {least}")
        return number

    def limit(self, name: str) -> int | None:
        """A number above 0, or None for the -1 that means no limit."""
        number = self.number(name, -1, least=-1)
        if number == 0:
            raise self.wrong(name, "must be at least 1, or -1 for no limit")
        return None if number < 0 else number

    def switch(self, name: str, *, default: bool) -> bool:
        value = self.values.get(name.lower(), default)
        if isinstance(value, str) and value.lower() in {"true", "false"}:
            return value.lower() == "true"
        if not isinstance(value, bool):
            raise self.wrong(name, "must be true or false")
        return value

    def seconds(self, name: str, default: float) -> float:
        value = self.values.get(name.lower())
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.wrong(name, 'must be a time span such as "00:05:00"')
        try:
            span = parse_timespan(value).total_seconds()
        except ValueError as error:
            raise self.wrong(name, f"cannot be read as a time span: {error}") from error
        if span < 0:
            raise self.wrong(name, "must not be negative")
        return span

    def _at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name
