"""host.json: what of telemetry the host may leave out."""

from __future__ import annotations

import json
from pathlib import Path

from local.functions_host.host_json import parse_host_json

HOST_JSON = Path(__file__).resolve().parents[2] / "host.json"


def test_lines_requests_and_exceptions_are_never_sampled() -> None:
    """An alert counts them: one that is left out is one that nobody is told of."""
    logging = json.loads(HOST_JSON.read_text(encoding="utf-8"))["logging"]
    sampling = logging["applicationInsights"]["samplingSettings"]

    assert set(sampling["excludedTypes"].split(";")) == {"Request", "Trace", "Exception"}


def test_the_host_s_mode_is_the_setting_s() -> None:
    """host.json leaves the mode open, so that the app setting beside TELEMETRY decides it."""
    text = HOST_JSON.read_text(encoding="utf-8")
    path = ("telemetrymode",)

    assert "telemetryMode" not in json.loads(text)
    assert not parse_host_json(text).opentelemetry
    assert parse_host_json(text, {path: "OpenTelemetry"}).opentelemetry
