"""The functions of an app as the host sees them: name, trigger, and what keeps one from running.

The worker's index gives each function's bindings as JSON. A function whose bindings this host
cannot run, or that refer to settings that are not there, is *in error*: it is listed with the
reason and left out, and the others run, as in Azure.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from local.functions_host.app_settings import AppSettings
from local.functions_host.errors import MissingSettingError
from local.functions_host.worker.protos import Message

HTTP_TRIGGER = "httpTrigger"
TIMER_TRIGGER = "timerTrigger"
SERVICE_BUS_TRIGGER = "serviceBusTrigger"
KAFKA_TRIGGER = "kafkaTrigger"
_TRIGGERS = {HTTP_TRIGGER, TIMER_TRIGGER, SERVICE_BUS_TRIGGER, KAFKA_TRIGGER}
_HTTP_OUTPUT = "http"
_PROTOCOLS = {"notset", "plaintext", "ssl", "saslplaintext", "saslssl"}
_MODES = {"notset", "plain", "scramsha256", "scramsha512"}
_DEFAULT_CONNECTION = "AzureWebJobsServiceBus"


@dataclass(frozen=True, slots=True)
class HttpTrigger:
    """An `httpTrigger`: `methods` in upper case, empty for every method.

    `level` is its authorization level in lower case: `anonymous`, `function` or `admin`.
    """

    parameter: str
    route: str
    methods: tuple[str, ...]
    output: str
    level: str

    def path(self, prefix: str) -> str:
        """Where it is served, with the route as written; `prefix` is host.json's routePrefix."""
        return f"/{prefix}/{self.route}" if prefix else f"/{self.route}"


@dataclass(frozen=True, slots=True)
class TimerTrigger:
    """A `timerTrigger`; `schedule` is resolved, `schedule_as_written` may be a `%Setting%`."""

    parameter: str
    schedule: str
    schedule_as_written: str
    run_on_startup: bool
    use_monitor: bool


@dataclass(frozen=True, slots=True)
class ServiceBusTrigger:
    """A `serviceBusTrigger` on a queue, or on a subscription of a topic.

    `as_written` names the entity for people without giving a setting's value away. None in an
    option means that host.json decides.
    """

    parameter: str
    queue: str | None
    topic: str | None
    subscription: str | None
    as_written: str
    connection: str
    many: bool
    data_type: str
    auto_complete: bool | None
    max_batch_size: int | None


@dataclass(frozen=True, slots=True)
class KafkaTrigger:
    """A `kafkaTrigger` that takes batches of bytes; protocol and mode are in lower case.

    `as_written` and `brokers_as_written` name topic and brokers without giving a setting's value.
    """

    parameter: str
    topic: str
    brokers: str
    group: str
    protocol: str
    mode: str
    username: str
    password: str = field(repr=False)
    key_is_text: bool
    as_written: str
    brokers_as_written: str


Trigger = HttpTrigger | TimerTrigger | ServiceBusTrigger | KafkaTrigger


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """A function-level retry policy, which the host carries out for timers and Kafka; seconds.

    `count` -1 means without end. With `fixed` None the delay grows from `least` to `most`.
    """

    count: int
    fixed: float | None
    least: float
    most: float


@dataclass(slots=True)
class Function:
    """One function of the app; `trigger` is None when it cannot run, and `errors` say why."""

    name: str
    id: str
    bindings: list[dict[str, Any]]
    trigger: Trigger | None = None
    disabled: bool = False
    retry: RetryPolicy | None = None
    errors: list[str] = field(default_factory=list)

    @property
    def listens(self) -> bool:
        """Whether its trigger is to be served: it is neither in error nor disabled."""
        return self.trigger is not None and not self.disabled


class _BindingError(Exception):
    """A binding cannot be run; `str()` says why."""


def read_functions(index: Iterable[Message], settings: AppSettings) -> list[Function]:
    """The functions of a worker's index (`RpcFunctionMetadata`), in the order of their names.

    Azure's host sorts them the same way, which decides between routes that match alike.
    """
    functions = [_read(metadata, settings) for metadata in index]
    return sorted(functions, key=lambda function: function.name.lower())


def _read(metadata: Message, settings: AppSettings) -> Function:
    function = Function(
        name=metadata.name,
        id=metadata.function_id,
        bindings=[json.loads(raw) for raw in metadata.raw_bindings],
        disabled=settings.is_true(f"AzureWebJobs.{metadata.name}.Disabled"),
        retry=_retry(metadata),
    )
    try:
        function.trigger = _trigger(function, settings)
    except _BindingError as error:
        function.errors.append(str(error))
    return function


def _retry(metadata: Message) -> RetryPolicy | None:
    if not metadata.HasField("retry_options"):
        return None
    options = metadata.retry_options
    fixed = options.HasField("delay_interval")
    return RetryPolicy(
        count=options.max_retry_count,
        fixed=options.delay_interval.ToTimedelta().total_seconds() if fixed else None,
        least=options.minimum_interval.ToTimedelta().total_seconds(),
        most=options.maximum_interval.ToTimedelta().total_seconds(),
    )


def _trigger(function: Function, settings: AppSettings) -> Trigger:
    trigger = None
    output = ""
    for binding in function.bindings:
        kind = str(binding.get("type", ""))
        if kind in _TRIGGERS:
            trigger = binding
        elif kind == _HTTP_OUTPUT:
            output = str(binding.get("name", ""))
        else:
            raise _BindingError(
                f"function {function.name} uses binding {kind}, which this host does not run"
            )
    if trigger is None:
        raise _BindingError(f"function {function.name} has no trigger")
    reader = _Reader(function.name, trigger, settings)
    if trigger["type"] == HTTP_TRIGGER:
        return _http(reader, output)
    if trigger["type"] == TIMER_TRIGGER:
        return _timer(reader)
    if trigger["type"] == KAFKA_TRIGGER:
        return _kafka(reader)
    return _service_bus(reader)


class _Reader:
    """Reads one trigger's binding, resolving `%Name%` from the settings."""

    def __init__(self, function: str, binding: dict[str, Any], settings: AppSettings) -> None:
        self.function = function
        self.binding = binding
        self.settings = settings
        self.parameter = str(binding["name"])

    def wrong(self, what: str) -> _BindingError:
        return _BindingError(f"function {self.function}, binding {self.parameter}: {what}")

    def written(self, name: str) -> str:
        value = self.binding.get(name)
        return "" if value is None else str(value)

    def text(self, name: str) -> str:
        try:
            return self.settings.resolve(self.written(name))
        except MissingSettingError as error:
            raise self.missing(error.setting, f"named by {name}") from error

    def secure(self, name: str) -> str:
        """As the Kafka extension reads it: what it names may itself be the name of a setting."""
        resolved = self.text(name)
        return self.settings.get(resolved) or resolved

    def missing(self, setting: str, why: str) -> _BindingError:
        return self.wrong(
            f"the app setting {setting} ({why}) is not set. Set it in local.settings.json"
            " under Values, or in the environment."
        )


def _http(reader: _Reader, output: str) -> HttpTrigger:
    methods = reader.binding.get("methods") or []
    return HttpTrigger(
        parameter=reader.parameter,
        route=reader.text("route") or reader.function,
        methods=tuple(str(method).upper() for method in methods),
        output=output or "$return",
        # What a binding does not say needs a key, as in Azure.
        level=reader.written("authLevel").lower() or "function",
    )


def _timer(reader: _Reader) -> TimerTrigger:
    return TimerTrigger(
        parameter=reader.parameter,
        schedule=reader.text("schedule"),
        schedule_as_written=reader.written("schedule"),
        run_on_startup=reader.binding.get("runOnStartup") is True,
        use_monitor=reader.binding.get("useMonitor") is not False,
    )


def _service_bus(reader: _Reader) -> ServiceBusTrigger:
    if reader.binding.get("isSessionsEnabled"):
        raise reader.wrong("this host does not receive from entities with sessions")
    queue, topic = reader.text("queueName"), reader.text("topicName")
    subscription = reader.text("subscriptionName")
    if not queue and not (topic and subscription):
        raise reader.wrong("it must name a queue, or a topic and its subscription")
    batch_size = reader.binding.get("maxMessageBatchSize")
    auto_complete = reader.binding.get("autoCompleteMessages")
    return ServiceBusTrigger(
        parameter=reader.parameter,
        queue=queue or None,
        topic=None if queue else topic,
        subscription=None if queue else subscription,
        as_written=(
            f"queue {reader.written('queueName')}"
            if queue
            else f"{reader.written('subscriptionName')} of topic {reader.written('topicName')}"
        ),
        connection=_connection(reader),
        many=reader.written("cardinality").lower() == "many",
        data_type=reader.written("dataType").lower(),
        auto_complete=auto_complete if isinstance(auto_complete, bool) else None,
        max_batch_size=int(batch_size) if batch_size else None,
    )


def _kafka(reader: _Reader) -> KafkaTrigger:
    """Read a Kafka binding; https://learn.microsoft.com/azure/azure-functions/functions-bindings-kafka-trigger."""
    if reader.written("cardinality").lower() != "many" or (
        reader.written("dataType").lower() != "binary"
    ):
        raise reader.wrong("this host takes batches of bytes from Kafka: cardinality MANY, BINARY")
    topic, brokers, group = map(reader.secure, ("topic", "brokerList", "consumerGroup"))
    if not (topic and brokers and group):
        raise reader.wrong("it must name a topic, brokers and a consumer group")
    protocol = reader.written("protocol").lower() or "notset"
    mode = reader.written("authenticationMode").lower() or "notset"
    if protocol not in _PROTOCOLS or mode not in _MODES:
        raise reader.wrong(f"this host does not run the protocol {protocol} with {mode}")
    return KafkaTrigger(
        parameter=reader.parameter,
        topic=topic,
        brokers=brokers,
        group=group,
        protocol=protocol,
        mode=mode,
        username=reader.secure("username"),
        password=reader.secure("password"),
        key_is_text=reader.written("keyDataType").lower() != "binary",
        as_written=f"topic {reader.written('topic')}",
        brokers_as_written=reader.written("brokerList"),
    )


def _connection(reader: _Reader) -> str:
    """The name of the setting, or prefix of settings, that holds the connection."""
    name = reader.text("connection") or _DEFAULT_CONNECTION
    for candidate in (f"AzureWebJobs{name}", name):
        if reader.settings.get(candidate):
            return candidate
        if reader.settings.get(f"{candidate}__fullyQualifiedNamespace"):
            return candidate
    raise reader.missing(name, "the connection; or " + name + "__fullyQualifiedNamespace")
