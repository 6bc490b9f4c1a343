"""Messages are gathered where an operator says so, by settings that the host reads so."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from local.functions_host.app_settings import AppSettings
from local.functions_host.host_json import LONGEST_BATCH_WAIT, OVERRIDE_PREFIX, read_host_json
from shared.settings import SETTINGS
from tests.infra.compiler import INFRA
from tests.infra.deployment import Deployment
from tests.infra.template import main_template
from tests.infra.test_deployment import DEPLOYMENTS
from tests.infra.test_project_files import errors, host_schema
from tests.test_docs import CHECKOUT

GATHERED = {"large": (100, 30), "entra": (20, 5)}
"""Messages and seconds of the deployments that gather; the others leave both parameters out."""


def overridden(deployment: Deployment) -> dict[str, Any]:
    """host.json with what the deployment's settings say in its place, as the host binds it."""
    document: dict[str, Any] = json.loads((CHECKOUT / "host.json").read_text(encoding="utf-8"))
    for name, value in deployment.app_settings.items():
        prefix, *path = name.split("__")
        if prefix == OVERRIDE_PREFIX:
            inner = document
            for part in path[:-1]:
                inner = inner[part]
            inner[path[-1]] = int(value) if value.isdigit() else value
    return document


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda each: each.name)
def test_the_host_gathers_what_the_template_says(deployment: Deployment) -> None:
    """By host.json and the settings together; where nothing is said it waits for none."""
    service_bus = read_host_json(CHECKOUT, AppSettings(deployment.app_settings)).service_bus
    messages, seconds = GATHERED.get(deployment.name, (1, None))

    assert service_bus.min_message_batch_size == messages
    if seconds is None:
        assert not [name for name in deployment.app_settings if "serviceBus" in name]
    else:
        assert service_bus.max_batch_wait == seconds


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda each: each.name)
def test_what_overrides_host_json_is_of_its_schema(deployment: Deployment) -> None:
    """No name under AzureFunctionsJobHost is one that the host does not know."""
    document = overridden(deployment)

    assert errors(host_schema(), document) == []
    document["extensions"]["serviceBus"]["minMessagesBatchSize"] = 20
    assert errors(host_schema(), document) != []


def test_no_more_is_gathered_than_a_batch_holds() -> None:
    """With more, or with a wait beyond half of a lock, Azure's extension does not start."""
    host = read_host_json(CHECKOUT, AppSettings({}))
    parameters = main_template()["parameters"]

    assert parameters["gatherMessages"]["maxValue"] == host.service_bus.max_message_batch_size
    assert parameters["gatherSeconds"]["maxValue"] <= LONGEST_BATCH_WAIT


def test_a_lock_outlasts_two_calls_and_the_wait() -> None:
    """The longest of all waits fits with the code's own default, which the template knows."""
    (setting,) = (each for each in SETTINGS if each.name == "INGEST_LONGEST_WAIT_SECONDS")
    text = (INFRA / "settings.bicep").read_text(encoding="utf-8")
    known = re.findall(r"^var defaultIngestLongestWaitSeconds = (\d+)$", text, re.MULTILINE)
    most = main_template()["parameters"]["gatherSeconds"]["maxValue"]

    assert known == [str(setting.default)]
    assert 2 * int(known[0]) + most <= 270
