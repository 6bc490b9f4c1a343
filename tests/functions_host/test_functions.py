from __future__ import annotations

import json

import pytest

from local.functions_host.app_settings import AppSettings
from local.functions_host.functions import (
    Function,
    HttpTrigger,
    KafkaTrigger,
    ServiceBusTrigger,
    TimerTrigger,
    read_functions,
)
from local.functions_host.rpc import protos

HTTP: dict[str, object] = {"type": "httpTrigger", "name": "req", "route": "x", "methods": ["get"]}
HTTP_OUT: dict[str, object] = {"type": "http", "name": "$return", "direction": "OUT"}
TIMER: dict[str, object] = {"type": "timerTrigger", "name": "timer", "schedule": "%When%"}
BUS: dict[str, object] = {
    "type": "serviceBusTrigger",
    "name": "m",
    "queueName": "%Q%",
    "connection": "C",
}

KAFKA: dict[str, object] = {
    "type": "kafkaTrigger",
    "name": "k",
    "topic": "%T%",
    "brokerList": "%B%",
    "consumerGroup": "app",
    "protocol": "SASLSSL",
    "authenticationMode": "SCRAMSHA512",
    "username": "User",
    "password": "%P%",
    "cardinality": "MANY",
    "dataType": "BINARY",
}


def _read(settings: dict[str, str], *bindings: dict[str, object], name: str = "f") -> Function:
    metadata = protos.RpcFunctionMetadata(
        name=name, function_id="1", raw_bindings=[json.dumps(binding) for binding in bindings]
    )
    return read_functions([metadata], AppSettings(settings))[0]


def test_an_http_function_is_read() -> None:
    """Route, methods and the output that carries its response."""
    function = _read({}, HTTP, HTTP_OUT)
    assert function.trigger == HttpTrigger("req", "x", ("GET",), "$return", "function")
    assert function.listens


def test_settings_are_resolved_and_shown_as_written() -> None:
    """The trigger works with the value; what is shown to people is the reference."""
    timer = _read({"When": "0 0 * * * *"}, TIMER).trigger
    assert isinstance(timer, TimerTrigger)
    assert (timer.schedule, timer.schedule_as_written) == ("0 0 * * * *", "%When%")
    bus = _read({"Q": "events", "C": "Endpoint=sb://x"}, {**BUS, "cardinality": "MANY"}).trigger
    assert isinstance(bus, ServiceBusTrigger)
    assert (bus.queue, bus.as_written, bus.connection, bus.many) == (
        "events",
        "queue %Q%",
        "C",
        True,
    )


def test_a_kafka_function_is_read() -> None:
    """A text may name a setting in per cent signs or without, as the extension has it."""
    settings = {"T": "push", "B": "b1:9093,b2:9093", "P": "secret", "User": "me"}
    trigger = _read(settings, KAFKA).trigger
    assert isinstance(trigger, KafkaTrigger)
    assert (trigger.topic, trigger.brokers, trigger.group) == ("push", "b1:9093,b2:9093", "app")
    assert (trigger.protocol, trigger.mode) == ("saslssl", "scramsha512")
    assert (trigger.username, trigger.password) == ("me", "secret")
    assert (trigger.as_written, trigger.brokers_as_written) == ("topic %T%", "%B%")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"cardinality": "ONE"}, "batches of bytes"),
        ({"dataType": ""}, "batches of bytes"),
        ({"consumerGroup": ""}, "a consumer group"),
        ({"authenticationMode": "GSSAPI"}, "does not run the protocol saslssl with gssapi"),
        ({"topic": "%Missing%"}, "the app setting Missing (named by topic) is not set"),
    ],
)
def test_a_kafka_function_that_cannot_run_is_in_error(
    changed: dict[str, object], words: str
) -> None:
    """It is listed with the reason and left out."""
    function = _read({"T": "t", "B": "b:1", "P": "p"}, KAFKA | changed)
    assert function.trigger is None
    assert words in function.errors[0]


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"C": "x"}, "C"),
        ({"AzureWebJobsC": "x", "C": "y"}, "AzureWebJobsC"),
        ({"C__fullyQualifiedNamespace": "x"}, "C"),
    ],
)
def test_a_connection_is_found_as_webjobs_finds_it(settings: dict[str, str], name: str) -> None:
    """Its own name, the name with the WebJobs prefix first, or a namespace below it."""
    trigger = _read({"Q": "q", **settings}, BUS).trigger
    assert isinstance(trigger, ServiceBusTrigger)
    assert trigger.connection == name


@pytest.mark.parametrize(
    ("bindings", "settings", "words"),
    [
        ([TIMER], {}, ["function f", "binding timer", "When", "schedule"]),
        ([BUS], {"Q": "q"}, ["function f", "binding m", "C", "connection"]),
        ([BUS], {"C": "x"}, ["function f", "binding m", "Q", "queueName"]),
        ([{**BUS, "isSessionsEnabled": True}], {"Q": "q", "C": "x"}, ["sessions"]),
        (
            [HTTP, {"type": "queue", "name": "o"}],
            {},
            ["function f uses binding queue, which this host does not run"],
        ),
        ([HTTP_OUT], {}, ["no trigger"]),
    ],
)
def test_what_keeps_a_function_from_running_is_said(
    bindings: list[dict[str, object]], settings: dict[str, str], words: list[str]
) -> None:
    """Function, binding and setting are named; the function is left out."""
    function = _read(settings, *bindings)
    assert not function.listens
    assert len(function.errors) == 1
    assert all(word in function.errors[0] for word in words)


def test_a_setting_switches_a_function_off() -> None:
    """AzureWebJobs.{name}.Disabled; the function stays known."""
    function = _read({"AzureWebJobs.f.Disabled": "true"}, HTTP, HTTP_OUT)
    assert function.disabled
    assert function.trigger is not None
    assert not function.listens


def test_functions_are_in_the_order_of_their_names() -> None:
    """That order decides between routes, as in Azure."""
    index = [
        protos.RpcFunctionMetadata(name=name, raw_bindings=[json.dumps(HTTP)])
        for name in ("b", "C", "a")
    ]
    assert [f.name for f in read_functions(index, AppSettings({}))] == ["a", "b", "C"]
