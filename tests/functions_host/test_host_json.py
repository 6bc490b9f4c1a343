from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.functions_host.app_settings import AppSettings
from local.functions_host.errors import HostError
from local.functions_host.host_json import HostJson, KafkaOptions, parse_host_json, read_host_json
from local.functions_host.log_levels import LevelFilter, LogLevel


def _host_json(**sections: object) -> HostJson:
    return parse_host_json(json.dumps({"version": "2.0", **sections}))


def test_what_is_left_out_has_the_documented_defaults() -> None:
    """The defaults are Microsoft's for bundle 4.x and Service Bus extension 5.x."""
    host = _host_json()
    assert host.http.route_prefix == "api"
    assert host.http.max_concurrent_requests is None
    assert host.function_timeout == 30 * 60
    bus = host.service_bus
    assert (bus.max_message_batch_size, bus.min_message_batch_size) == (1000, 1)
    assert (bus.max_batch_wait, bus.max_auto_lock_renewal) == (30, 300)
    assert (bus.max_concurrent_calls, bus.prefetch_count) == (16, 0)
    assert bus.auto_complete_messages is True
    kafka = host.kafka
    assert (kafka.max_batch_size, kafka.subscriber_interval) == (64, 1)
    assert (kafka.commit_on_failure, kafka.max_retries, kafka.from_latest) == (True, 5, False)
    assert (kafka.session_timeout, kafka.max_poll_interval) == (10, 300)


def test_every_option_is_read() -> None:
    """Names are compared without case; numbers and switches may be strings."""
    host = _host_json(
        functionTimeout="00:00:07",
        Extensions={
            "http": {"routePrefix": "", "maxConcurrentRequests": 3, "maxOutstandingRequests": 9},
            "serviceBus": {
                "maxMessageBatchSize": "64",
                "minMessageBatchSize": 2,
                "maxBatchWaitTime": "00:00:02",
                "maxConcurrentCalls": 5,
                "prefetchCount": 10,
                "autoCompleteMessages": "false",
                "maxAutoLockRenewalDuration": "00:01:00",
            },
            "kafka": {
                "MaxBatchSize": "100",
                "SubscriberIntervalInSeconds": 2,
                "commitOnFailure": "false",
                "maxRetries": -1,
                "autoOffsetReset": "Latest",
                "sessionTimeoutMs": 6000,
                "maxPollIntervalMs": 60000,
            },
        },
        logging={"logLevel": {"default": "warning", "Function.x": "Debug"}},
    )
    assert host.function_timeout == 7
    assert (host.http.route_prefix, host.http.max_concurrent_requests) == ("", 3)
    assert host.http.max_outstanding_requests == 9
    bus = host.service_bus
    assert (bus.max_message_batch_size, bus.min_message_batch_size, bus.max_batch_wait) == (
        64,
        2,
        2,
    )
    assert (bus.max_concurrent_calls, bus.prefetch_count) == (5, 10)
    assert (bus.auto_complete_messages, bus.max_auto_lock_renewal) == (False, 60)
    assert host.kafka == KafkaOptions(100, 2, False, -1, True, 6, 60)  # noqa: FBT003 - as read
    assert host.log_levels == {"default": LogLevel.WARNING, "function.x": LogLevel.DEBUG}


def test_a_time_out_of_minus_one_is_none() -> None:
    """-1 means that functions may run for ever."""
    assert _host_json(functionTimeout="-1").function_timeout is None


def test_app_settings_override_the_file(tmp_path: Path) -> None:
    """AzureFunctionsJobHost__… wins, as in Azure, also where the file has no such section."""
    (tmp_path / "host.json").write_text('{"version": "2.0"}', encoding="utf-8")
    name = "AzureFunctionsJobHost__extensions__serviceBus__maxMessageBatchSize"
    assert (
        read_host_json(tmp_path, AppSettings({name: "7"})).service_bus.max_message_batch_size == 7
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("{", "JSON"),
        ("[]", "object"),
        ("{}", "version"),
        ('{"version": "1.0"}', "version"),
        ('{"version": "2.0", "functionTimeout": 5}', "functionTimeout"),
        ('{"version": "2.0", "functionTimeout": "00:00:00"}', "functionTimeout"),
        ('{"version": "2.0", "extensions": []}', "extensions"),
        ('{"version": "2.0", "extensions": {"http": {"routePrefix": 1}}}', "http.routePrefix"),
        (
            '{"version": "2.0", "extensions": {"serviceBus": {"maxConcurrentCalls": 0}}}',
            "serviceBus.maxConcurrentCalls",
        ),
        (
            '{"version": "2.0", "extensions": {"serviceBus": {"prefetchCount": 1.5}}}',
            "serviceBus.prefetchCount",
        ),
        (
            '{"version": "2.0", "extensions": {"serviceBus": {"autoCompleteMessages": 1}}}',
            "serviceBus.autoCompleteMessages",
        ),
        (
            '{"version": "2.0", "extensions": {"serviceBus": {"minMessageBatchSize": 1001}}}',
            "minMessageBatchSize",
        ),
        (
            '{"version": "2.0", "extensions": {"serviceBus": {"maxBatchWaitTime": "00:02:31"}}}',
            "serviceBus.maxBatchWaitTime",
        ),
        ('{"version": "2.0", "logging": {"logLevel": {"default": "Loud"}}}', "logLevel.default"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(text: str, place: str) -> None:
    """One error with its code names where the file is wrong."""
    with pytest.raises(HostError, match=place) as caught:
        parse_host_json(text)
    assert caught.value.code == "host_json_invalid"


def test_a_folder_without_the_file_is_refused(tmp_path: Path) -> None:
    """The host does not start outside of an app."""
    with pytest.raises(HostError) as caught:
        read_host_json(tmp_path, AppSettings({}))
    assert caught.value.code == "host_json_not_found"


def test_the_longest_category_decides() -> None:
    """A category is shown as its longest configured prefix says, others as the default does."""
    levels = LevelFilter(
        {
            "default": LogLevel.ERROR,
            "Function": LogLevel.WARNING,
            "Function.quiet": LogLevel.NONE,
            "Function.x.User": LogLevel.DEBUG,
        }
    )
    assert levels.shows("Function.x.User", LogLevel.DEBUG)
    assert levels.shows("Function.x", LogLevel.WARNING)
    assert not levels.shows("Function.x", LogLevel.INFORMATION)
    assert not levels.shows("Function.quiet", LogLevel.CRITICAL)
    assert not levels.shows("Host.Startup", LogLevel.WARNING)
