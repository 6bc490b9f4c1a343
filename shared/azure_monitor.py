"""OpenTelemetry into Application Insights, by Microsoft's distribution and nothing it adds itself.

Imported only where TELEMETRY says `opentelemetry`: it makes a cold start half as long again.

What is sent is our spans and the lines of our own logger. Everything that the distribution would
add is off: its instrumentations write the addresses of requests, and those hold keys of rows; its
metrics are counted by the host already; statistics about itself and settings from afar go to
addresses that an operator did not name. What was traced is not sampled, as host.json has it, unless
OTEL_TRACES_SAMPLER says otherwise. Lines never are.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from shared import spans
from shared.errors import SettingError
from shared.telemetry import LOGGER

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

CONNECTION = "APPLICATIONINSIGHTS_CONNECTION_STRING"
AUTHENTICATION = "APPLICATIONINSIGHTS_AUTHENTICATION_STRING"
WORKER = "PYTHON_ENABLE_OPENTELEMETRY"
SECOND_SENDER = "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY"

_OURS = "emabler"
_TRUE = ("1", "true")
_INSTRUMENTED = (
    "azure_sdk",
    "django",
    "fastapi",
    "flask",
    "httpx",
    "httpx2",
    "psycopg2",
    "requests",
    "urllib",
    "urllib3",
)
_QUIET = {
    "OTEL_METRICS_EXPORTER": "none",
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED": "true",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
    "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED": "true",
    # Asking the metadata service of a virtual machine would hold the start up: there is none.
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "azure_app_service",
}


def send_by_opentelemetry(environ: MutableMapping[str, str] = os.environ) -> None:
    """Send spans and lines from now on; what keeps from that is logged, and the functions run on.

    The host has to know that the app sends its own lines, or it sends them a second time: it is
    told by PYTHON_ENABLE_OPENTELEMETRY, which also brings its span along.
    """
    try:
        check(environ)
        client_id = identity_of(environ.get(AUTHENTICATION, ""))
    except SettingError as error:
        LOGGER.error("%s: %s", error.code, error)
        return
    # The host calls itself so; what it and the app send belongs together.
    names = {"OTEL_SERVICE_NAME": environ.get("WEBSITE_SITE_NAME") or _OURS}
    for name, value in (_QUIET | names).items():
        environ.setdefault(name, value)
    try:
        _configure(environ, None if client_id is None else _managed_identity(client_id))
    except ValueError as error:
        # Of the kind only: the text may hold what was set.
        LOGGER.error(
            "setting_wrong: %s is no connection string of Application Insights (%s): nothing is"
            " sent. Copy it from the component's overview",
            CONNECTION,
            type(error).__name__,
        )


def check(environ: Mapping[str, str]) -> None:
    """Whether the settings beside TELEMETRY let the app send, once.

    Raises:
        SettingError: One is missing, or would let something be sent twice.
    """
    if not environ.get(CONNECTION, "").strip():
        raise SettingError(
            f"TELEMETRY is opentelemetry and {CONNECTION} is not set: nothing is sent. Set it to"
            " the connection string of the Application Insights component",
            code="setting_missing",
        )
    if environ.get(WORKER, "").strip().lower() not in _TRUE:
        raise SettingError(
            f"TELEMETRY is opentelemetry and {WORKER} is not true: the host would send each line a"
            f" second time, so nothing is sent by the app. Set {WORKER}=true and"
            " AzureFunctionsJobHost__telemetryMode=OpenTelemetry"
        )
    if environ.get(SECOND_SENDER, "").strip().lower() in _TRUE:
        raise SettingError(
            f"{SECOND_SENDER} is true: the worker would send everything a second time, with"
            " addresses of requests. Remove it; TELEMETRY does what it does"
        )


def identity_of(authentication: str) -> str | None:
    """The client id of the identity that sends; empty: the system's own; None: a key is enough.

    Raises:
        SettingError: It is not written as `ClientId=<id>;Authorization=AAD`.
    """
    if not authentication.strip():
        return None
    pairs = (part.partition("=") for part in authentication.split(";") if part.strip())
    told = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if told.get("authorization", "").upper() != "AAD":
        raise SettingError(
            f"{AUTHENTICATION} does not say Authorization=AAD. Example:"
            " ClientId=00000000-0000-0000-0000-000000000000;Authorization=AAD"
        )
    return told.get("clientid", "")


def _managed_identity(client_id: str) -> TokenCredential:
    from azure.identity import ManagedIdentityCredential  # noqa: PLC0415 - where one is used

    return ManagedIdentityCredential(client_id=client_id or None)


def _configure(environ: Mapping[str, str], credential: TokenCredential | None) -> None:
    from azure.core.settings import settings  # noqa: PLC0415 - see the module's docstring
    from azure.monitor.opentelemetry import configure_azure_monitor  # noqa: PLC0415
    from opentelemetry import trace  # noqa: PLC0415

    from shared.otel_spans import OtelSpans  # noqa: PLC0415

    options: dict[str, Any] = {
        "connection_string": environ[CONNECTION],
        "logger_name": LOGGER.name,
        "enable_live_metrics": False,
        "enable_performance_counters": False,
        "instrumentation_options": {name: {"enabled": False} for name in _INSTRUMENTED},
    }
    if credential is not None:
        options["credential"] = credential
    if not environ.get("OTEL_TRACES_SAMPLER"):
        options["sampling_ratio"] = 1.0
    configure_azure_monitor(**options)
    # Each of Microsoft's clients would begin spans by itself, and name the addresses it asks.
    settings.tracing_implementation = None
    settings.tracing_enabled = False
    spans.turn_on(OtelSpans(trace.get_tracer(_OURS)))
