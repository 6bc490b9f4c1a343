"""Sending by OpenTelemetry: what it needs, what it is told, and that nobody else pays for it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import azure.monitor.opentelemetry
import pytest
from azure.core.settings import settings as azure_settings
from azure.identity import ManagedIdentityCredential
from azure.monitor.opentelemetry._constants import _ALL_SUPPORTED_INSTRUMENTED_LIBRARIES

from shared import spans
from shared.azure_monitor import check, identity_of, send_by_opentelemetry
from shared.errors import SettingError
from shared.spans import System, call
from shared.storage.requests import request
from shared.telemetry import invocation

CHECKOUT = Path(__file__).resolve().parents[2]
KEY = "00000000-0000-0000-0000-000000000001"
CONNECTION = f"InstrumentationKey={KEY};IngestionEndpoint=http://127.0.0.1:9/"
RIGHT = {
    "APPLICATIONINSIGHTS_CONNECTION_STRING": CONNECTION,
    "PYTHON_ENABLE_OPENTELEMETRY": "true",
}
NEEDED = {
    "DataStorageConnection": "UseDevelopmentStorage=true",
    "EMABLER_ENVIRONMENT": "test",
    "RECONCILE_SCHEDULE": "0 0 0 1 1 *",
}


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What Microsoft's distribution is told; it is not set up, since it cannot be taken back."""
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(
        azure.monitor.opentelemetry,
        "configure_azure_monitor",
        lambda **options: told.append(options),
    )
    yield told
    spans.turn_on(None)
    azure_settings.tracing_implementation.unset_value()
    azure_settings.tracing_enabled.unset_value()


def imported_by_the_app(**environ: str) -> set[str]:
    """The modules that are there once function_app.py was imported, in a process of its own."""
    code = "import sys, function_app; print(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], **NEEDED, **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_by_default_nothing_of_it_is_imported() -> None:
    """The path of a tap pays nothing for what nobody asked for, also where the host has a key."""
    for environ in ({}, RIGHT, RIGHT | {"TELEMETRY": "log"}):
        found = imported_by_the_app(**environ)
        foreign = {name for name in found if name.startswith(("opentelemetry", "azure.monitor"))}

        assert "shared.spans" in found
        assert foreign == set()
        assert not found & {"shared.azure_monitor", "shared.otel_spans"}


def test_the_setting_brings_it() -> None:
    """TELEMETRY=opentelemetry sets the distribution up while the app is imported."""
    found = imported_by_the_app(TELEMETRY="opentelemetry", **RIGHT)

    assert {"azure.monitor.opentelemetry", "shared.otel_spans"} <= found
    libraries = ("opentelemetry.instrumentation.requests", "opentelemetry.instrumentation.httpx")
    assert not found & set(libraries)


def test_nothing_but_ours_is_sent(configured: list[dict[str, Any]]) -> None:
    """Each instrumentation there is is off, as are metrics, statistics and settings from afar."""
    environ = dict(RIGHT)

    send_by_opentelemetry(environ)

    (options,) = configured
    assert {
        name for name, told in options["instrumentation_options"].items() if not told["enabled"]
    } == set(_ALL_SUPPORTED_INSTRUMENTED_LIBRARIES)
    assert options["logger_name"] == "emabler"
    assert options["enable_live_metrics"] is options["enable_performance_counters"] is False
    assert environ["OTEL_METRICS_EXPORTER"] == "none"
    assert environ["APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL"] == "true"
    assert environ["APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED"] == "true"
    assert azure_settings.tracing_implementation() is None
    assert azure_settings.tracing_enabled() is False
    assert "credential" not in options


def test_all_is_kept_unless_an_operator_says_otherwise(configured: list[dict[str, Any]]) -> None:
    """Without a sampler of the operator's every trace is kept."""
    send_by_opentelemetry(dict(RIGHT))
    send_by_opentelemetry(RIGHT | {"OTEL_TRACES_SAMPLER": "microsoft.rate_limited"})

    assert configured[0]["sampling_ratio"] == 1.0
    assert "sampling_ratio" not in configured[1]


def test_the_app_is_called_as_the_host_calls_it(configured: list[dict[str, Any]]) -> None:
    """What host and app send has one role; a name that is set stays."""
    here, azures, own = dict(RIGHT), RIGHT | {"WEBSITE_SITE_NAME": "func-emabler"}, dict(RIGHT)
    own["OTEL_SERVICE_NAME"] = "own"

    for environ in (here, azures, own):
        send_by_opentelemetry(environ)

    names = [each["OTEL_SERVICE_NAME"] for each in (here, azures, own)]
    assert names == ["emabler", "func-emabler", "own"]
    assert len(configured) == 3


@pytest.mark.parametrize(
    ("authentication", "client_id"),
    [
        ("ClientId=1b2c;Authorization=AAD", "1b2c"),
        ("Authorization=AAD;ClientId=1b2c", "1b2c"),
        ("authorization=aad; clientid = 1b2c ;", "1b2c"),
        ("Authorization=AAD", ""),
        ("", None),
        ("  ", None),
    ],
)
def test_an_identity_is_read(authentication: str, client_id: str | None) -> None:
    """APPLICATIONINSIGHTS_AUTHENTICATION_STRING as the host reads it; without one a key does."""
    assert identity_of(authentication) == client_id


@pytest.mark.parametrize("authentication", ["ClientId=1b2c", "AAD", "Authorization=Key"])
def test_an_identity_that_cannot_be_read_is_told(authentication: str) -> None:
    """A text that names no way to sign in is a wrong setting, not a reason to send without."""
    with pytest.raises(SettingError, match="Authorization=AAD"):
        identity_of(authentication)


def test_where_no_key_is_taken_the_identity_sends(configured: list[dict[str, Any]]) -> None:
    """A component with its local authentication off is sent to with the app's own identity."""
    send_by_opentelemetry(
        RIGHT | {"APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "ClientId=1b2c;Authorization=AAD"}
    )

    (options,) = configured
    assert isinstance(options["credential"], ManagedIdentityCredential)


@pytest.mark.parametrize(
    ("changes", "code", "what"),
    [
        ({"APPLICATIONINSIGHTS_CONNECTION_STRING": ""}, "setting_missing", "nothing is sent"),
        ({"PYTHON_ENABLE_OPENTELEMETRY": ""}, "setting_wrong", "a second time"),
        ({"PYTHON_ENABLE_OPENTELEMETRY": "0"}, "setting_wrong", "telemetryMode=OpenTelemetry"),
        (
            {"PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY": "true"},
            "setting_wrong",
            "addresses of requests",
        ),
        (
            {"APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "ClientId=1b2c"},
            "setting_wrong",
            "Authorization=AAD",
        ),
    ],
)
def test_what_would_send_twice_or_nowhere_is_told_and_the_app_runs(
    configured: list[dict[str, Any]],
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, str],
    code: str,
    what: str,
) -> None:
    """A setting beside TELEMETRY that is wrong turns telemetry off, with a line that says why."""
    send_by_opentelemetry(RIGHT | changes)

    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith(f"{code}: ")
    assert what in record.getMessage()
    assert configured == []
    assert call(System.TABLES, "events", "write") is None


def test_a_wrong_connection_string_stops_no_tap(caplog: pytest.LogCaptureFixture) -> None:
    """What the distribution does not take is told, and the app starts all the same."""
    send_by_opentelemetry(
        RIGHT | {"APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=hidden"}
    )

    told = [each.getMessage() for each in caplog.records if each.name == "emabler"]
    assert [each.partition(":")[0] for each in told] == ["setting_wrong"]
    assert "hidden" not in told[0]
    assert call(System.TABLES, "events", "write") is None


def test_right_settings_are_found_right() -> None:
    """With what is needed there is nothing to tell."""
    check(RIGHT)
    check(RIGHT | {"PYTHON_ENABLE_OPENTELEMETRY": "1"})


def test_once_it_is_on_requests_are_spans(configured: list[dict[str, Any]]) -> None:
    """The switch of the spans is thrown with it."""
    send_by_opentelemetry(dict(RIGHT))

    with invocation("reconcile"), request("events", "write") as attempts:
        assert attempts.count == 0
    assert len(configured) == 1
