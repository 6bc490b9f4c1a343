"""The committed snapshots keep every promise of docs/security.md; no compiler is needed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from shared.settings import SETTINGS, read_settings
from tests.infra.compiler import INFRA, parameter_sets
from tests.infra.deployment import BUILT_IN_ROLES, Deployment, load, role_table
from tests.infra.guards import DIAGNOSED, GUARDS, NOT_DIAGNOSED, expected_grants, violations
from tests.test_docs import CHECKOUT, page, rows

DEPLOYMENTS = [load(path.with_suffix(".snapshot.json")) for path in parameter_sets()]
SECURITY = "docs/security.md"


def section(text: str, heading: str) -> list[list[str]]:
    """The rows of the table below one heading, without its head."""
    return rows(text.partition(f"## {heading}\n")[2].partition("\n## ")[0])[1:]


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda each: each.name)
@pytest.mark.parametrize("name", GUARDS)
def test_the_promise_is_kept(deployment: Deployment, name: str) -> None:
    """Each guard finds nothing in each deployment."""
    assert list(GUARDS[name](deployment)) == []


def test_there_is_a_deployment_of_each_kind() -> None:
    """Plain, isolated, sas, entra and large are all there, and each has its snapshot."""
    assert {each.name for each in DEPLOYMENTS} == {"plain", "isolated", "sas", "entra", "large"}
    assert {path.name for path in Path(__file__).parent.glob("parameters/*.snapshot.json")} == {
        f"{each.name}.snapshot.json" for each in DEPLOYMENTS
    }


def test_half_a_deployment_is_no_deployment() -> None:
    """What the compiler could not evaluate is told before anything else."""
    broken = Deployment("plain", DEPLOYMENTS[0].snapshot | {"diagnostics": ["left out"]})

    assert violations(broken) == ["whole: left out"]


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda each: each.name)
def test_the_settings_of_a_deployment_are_right(deployment: Deployment) -> None:
    """With its references resolved, no setting is wrong or missing: every function starts."""
    environ = {
        name: "x" * 44 if "@Microsoft.KeyVault(" in value else value
        for name, value in deployment.app_settings.items()
    }

    assert read_settings(environ).problems == ()


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda each: each.name)
def test_an_operator_s_machine_is_told_what_manage_needs(deployment: Deployment) -> None:
    """The outputs name the store and the queue by the app's own settings, alike in both places."""
    shared = deployment.outputs.keys() & deployment.app_settings.keys()

    assert shared >= {
        "DataStorageConnection__tableServiceUri",
        "ServiceBusConnection__fullyQualifiedNamespace",
        "PUSH_QUEUE_NAME",
        "EMABLER_ENVIRONMENT",
    }
    for name in shared:
        assert deployment.outputs[name] == deployment.app_settings[name]
    told = json.loads(deployment.outputs["APP_SETTINGS"])
    named = {setting.name for setting in SETTINGS if not setting.secret} - shared
    assert {name: str(value) for name, value in told.items()} == {
        name: value for name, value in deployment.app_settings.items() if name in named
    }


def test_each_promise_is_a_row_of_the_documentation() -> None:
    """docs/security.md has one row for each guard, and no other."""
    documented = [row[:2] for row in section(page(SECURITY), "What is held")]

    assert documented == [[f"`{name}`", check.__doc__] for name, check in GUARDS.items()]


def test_each_role_is_a_row_of_the_documentation() -> None:
    """docs/security.md lists who may do what where: all that any deployment grants, and no more."""
    granted = {
        (
            grant.who,
            grant.role,
            re.sub(r"^(table|container) \S+ of", r"each \1 of", grant.on),
        )
        for deployment in DEPLOYMENTS
        for grant in deployment.grants()
    }
    documented = [tuple(row[:3]) for row in section(page(SECURITY), "Who may do what")]

    assert sorted(documented) == sorted(granted)


def test_instances_are_kept_ready_for_functions_that_there_are() -> None:
    """A group of another name would be kept ready, and paid, for nothing."""
    code = (CHECKOUT / "function_app.py").read_text(encoding="utf-8")
    groups = {
        each["name"]
        for deployment in DEPLOYMENTS
        for each in deployment.one("Microsoft.Web/sites")["properties"]["functionAppConfig"][
            "scaleAndConcurrency"
        ]["alwaysReady"]
    }

    assert groups == {"http", "function:ingest_push_events"}
    assert '@app.function_name("ingest_push_events")' in code


def test_the_machine_that_deploys_gets_no_role() -> None:
    """A service principal that runs the deployment is given nothing in it."""
    isolated = next(each for each in DEPLOYMENTS if each.name == "isolated")

    assert {grant.who for grant in isolated.grants()} == {
        *("the app", "the query alerts", "operators"),
    }
    assert "44444444-4444" not in str(isolated.snapshot)


def test_eMabler_is_given_the_queue_only_where_it_is_named() -> None:  # noqa: N802 - its name
    """With `entra` and no principal nobody is let in; with one, that one may send."""
    by_name = {each.name: each for each in DEPLOYMENTS}

    assert [g.on for g in by_name["entra"].grants() if g.who == "eMabler"] == ["the queue"]
    assert {g for g in expected_grants(by_name["large"]) if g.who == "eMabler"} == set()


def test_what_is_watched_is_documented() -> None:
    """docs/security.md says of each type what goes to the workspace, or why nothing does."""
    documented = {row[0].strip("`"): row[1:] for row in section(page(SECURITY), "What is logged")}

    assert documented == {
        kind: [", ".join(sorted(logs)) or "none", ", ".join(sorted(metrics)) or "none"]
        for kind, (logs, metrics) in DIAGNOSED.items()
    } | {kind: ["none", why] for kind, why in NOT_DIAGNOSED.items()}


def test_role_ids_are_azure_s_and_stand_in_one_place() -> None:
    """infra/roles.bicep is right, and no other file of the template spells a role's id."""
    assert role_table() == BUILT_IN_ROLES
    for path in INFRA.rglob("*.bicep"):
        if path.name != "roles.bicep":
            assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", path.read_text("utf-8")), path


def test_the_template_silences_nothing() -> None:
    """No diagnostic is turned off, in a file or in the linter's configuration."""
    for path in INFRA.rglob("*.bicep"):
        assert "#disable-" not in path.read_text(encoding="utf-8"), path
    assert '"off"' not in (INFRA / "bicepconfig.json").read_text(encoding="utf-8")


def test_the_template_downloads_nothing() -> None:
    """Only raw resources and modules of this folder: no registry is asked when it is compiled."""
    for path in INFRA.rglob("*.bicep"):
        modules = re.findall(r"^module \w+ '([^']+)'", path.read_text("utf-8"), re.MULTILINE)
        assert all((path.parent / module).is_file() for module in modules), path


def test_the_queue_is_as_its_record_reasons() -> None:
    """docs/decisions/0008-outages.md and the queue name the same lock, limit and time to live."""
    text = (CHECKOUT / "docs/decisions/0008-outages.md").read_text(encoding="utf-8")
    record = {row[0]: row[1] for row in rows(text) if len(row) == 3}
    queue = DEPLOYMENTS[0].one("Microsoft.ServiceBus/namespaces/queues")["properties"]

    assert record["lock"] == f"{queue['lockDuration'].strip('PTM')} minutes"
    assert record["delivery limit"] == str(queue["maxDeliveryCount"])
    assert record["time to live"] == f"{queue['defaultMessageTimeToLive'].strip('PD')} days"
