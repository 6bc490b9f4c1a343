"""Every parameter and every setting of the template is described, bounded and in step."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from shared.settings import IDENTITY_SUFFIXES, SETTINGS
from tests.infra.compiler import INFRA
from tests.infra.deployment import Deployment
from tests.infra.how_to_add import declaration, how_to_add
from tests.infra.template import definition, main_template, resolved, resources_of, templates
from tests.infra.test_deployment import DEPLOYMENTS

PLATFORM = {
    # Of the host and of Application Insights, not of the app.
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "AzureFunctionsJobHost",
    "AzureWebJobsStorage",
    # What TELEMETRY brings with it: of the host, the worker and the exporters.
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "PYTHON_ENABLE_OPENTELEMETRY",
}
LARGE: Deployment = next(each for each in DEPLOYMENTS if each.name == "large")


def set_by_the_template() -> set[str]:
    """The settings of the deployment that sets everything, without the platform's own."""
    return {name.partition("__")[0] for name in LARGE.app_settings} - PLATFORM


@pytest.mark.parametrize("name", [setting.name for setting in SETTINGS])
def test_each_setting_of_the_code_is_set_by_the_template(name: str) -> None:
    """Code and template are in step; the message says what to add where."""
    (setting,) = (each for each in SETTINGS if each.name == name)

    assert name in set_by_the_template(), how_to_add(setting)


def test_the_template_sets_nothing_that_the_code_does_not_read() -> None:
    """A setting that was dropped from the code is dropped from the template."""
    unknown = set_by_the_template() - {setting.name for setting in SETTINGS}

    assert unknown == set(), f"take {sorted(unknown)} out of infra/settings.bicep"


def test_what_opentelemetry_needs_comes_with_it_and_only_then() -> None:
    """Host and worker are told that the app sends its own lines exactly where it does."""
    plain = next(each for each in DEPLOYMENTS if each.name == "plain").app_settings
    needed = {
        "AzureFunctionsJobHost__telemetryMode": "OpenTelemetry",
        "PYTHON_ENABLE_OPENTELEMETRY": "true",
    }

    assert LARGE.app_settings["TELEMETRY"] == "opentelemetry"
    assert needed.items() <= LARGE.app_settings.items()
    assert not plain.keys() & {*needed, "TELEMETRY", "OTEL_TRACES_SAMPLER"}


def test_secrets_are_those_of_the_code() -> None:
    """What the code calls a secret refers to the vault, connections with an identity aside."""
    references = {name for name, value in LARGE.app_settings.items() if "KeyVault(" in value}

    assert (
        references
        == {setting.name for setting in SETTINGS if setting.secret} - IDENTITY_SUFFIXES.keys()
    )


def test_a_setting_that_nobody_set_has_the_code_s_default() -> None:
    """The plain deployment sets what the code has no default for, or the template knows better."""
    plain = next(each for each in DEPLOYMENTS if each.name == "plain").app_settings
    needed = {s.name for s in SETTINGS if s.needed_by and s.default is None and s.where is None}
    needed.add("BLOB_SOFT_DELETE_DAYS")

    assert {name.partition("__")[0] for name in plain} - PLATFORM == needed
    assert all(plain.values())


def setting_types() -> dict[str, dict[str, Any]]:
    declared, template = definition("appSettingsType")
    return {name: resolved(each, template) for name, each in declared["properties"].items()}


@pytest.mark.parametrize("name", setting_types())
def test_bounds_of_a_setting_are_the_code_s(name: str) -> None:
    """The template takes what the code takes: both limits are read, what lies beyond is not."""
    declared = setting_types()[name]
    (setting,) = (each for each in SETTINGS if each.name == name)
    if declared["type"] != "int":
        assert setting.read(LARGE.app_settings[name]) is not None
        return

    for value in (declared["minValue"], declared["maxValue"]):
        assert setting.read(str(value)) == value
    for value in (declared["minValue"] - 1, declared["maxValue"] + 1):
        with pytest.raises(ValueError, match="from"):
            setting.read(str(value))


def test_backups_are_kept_as_long_as_the_code_says() -> None:
    """Where an operator sets nothing, the account deletes a day after the app does."""
    (setting,) = (each for each in SETTINGS if each.name == "BACKUP_KEEP_DAYS")
    text = (INFRA / "settings.bicep").read_text(encoding="utf-8")

    assert re.findall(r"^var defaultBackupKeepDays = (\d+)$", text, re.MULTILINE) == [
        str(setting.default)
    ]


def test_how_to_add_a_setting_is_told_ready_to_paste() -> None:
    """The message has the declaration with the code's own bounds, or the secret's row."""
    by_name = {setting.name: setting for setting in SETTINGS}

    for name, declared in setting_types().items():
        expected = f"{name}: {'int' if declared['type'] == 'int' else 'string'}?"
        told = declaration(by_name[name])
        assert expected in told
        if declared["type"] == "int":
            assert f"@minValue({declared['minValue']})" in told
            assert f"@maxValue({declared['maxValue']})" in told
    assert "TAG_HASH_KEY: 'tag-hash-key'" in how_to_add(by_name["TAG_HASH_KEY"])
    assert "STORE_BUCKETS: 4" in how_to_add(by_name["STORE_BUCKETS"])


def test_no_other_setting_can_be_set() -> None:
    """A name that the app does not know is refused by the compiler, not ignored by the app."""
    declared, _ = definition("appSettingsType")

    assert declared["additionalProperties"] is False
    assert declared["properties"].keys() <= {setting.name for setting in SETTINGS}


def parameters() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for module, template in templates():
        for name, declared in template["parameters"].items():
            yield f"{module}.{name}", declared, template


def test_each_parameter_says_whether_it_is_needed() -> None:
    """`Required.` has no default, `Optional.` and `Conditional.` have one; outputs say what."""
    for name, declared, _ in parameters():
        description = declared.get("metadata", {}).get("description", "")
        needed = "defaultValue" not in declared and not declared.get("nullable")
        expected = r"Required\. \S" if needed else r"(Optional|Conditional)\. \S"
        assert re.match(expected, description), f"{name}: {description!r}"
    for module, template in templates():
        for name, declared in template.get("outputs", {}).items():
            assert declared.get("metadata", {}).get("description"), f"{module}.{name}"


def test_each_property_of_a_type_is_described() -> None:
    """Objects are typed, property by property."""
    for module, template in templates():
        for kind, declared in template.get("definitions", {}).items():
            for name, each in declared.get("properties", {}).items():
                assert each.get("metadata", {}).get("description"), f"{module} {kind}.{name}"


def test_each_parameter_of_the_template_is_bounded() -> None:
    """What an operator sets has a length, a range or a list of values; objects have a type."""
    template = main_template()
    for name, declared in template["parameters"].items():
        kind = resolved(declared, template)
        if "allowedValues" in kind or kind["type"] == "bool":
            continue
        if kind["type"] == "int":
            assert {"minValue", "maxValue"} <= kind.keys(), name
        elif kind["type"] in ("string", "securestring"):
            secret = kind["type"] == "securestring"
            assert ("minLength" if secret else "maxLength") in kind, name
        elif kind["type"] == "array":
            assert "maxLength" in kind, name
            assert "items" in kind, name
        else:
            assert "properties" in kind or "additionalProperties" in kind, name


def test_secrets_are_secure_from_end_to_end() -> None:
    """The three secrets are secure parameters wherever they pass, and no output is one."""
    secure = {name for name, declared, _ in parameters() if declared.get("type") == "securestring"}

    assert secure == {
        f"{module}.{name}"
        for module in ("main", "keyVault")
        for name in ("emablerApiKey", "tagHashKey", "webhookAuthorization")
    }
    for module, template in templates():
        for name, declared in template.get("outputs", {}).items():
            assert not declared["type"].startswith("secure"), f"{module}.{name}"


def test_a_second_deployment_writes_no_secret_over() -> None:
    """A secret is written where the vault has none: what was rotated stays."""
    written = {
        f"{module}.{symbol}": resource.get("@options", {})
        for module, template in templates()
        for symbol, resource in resources_of(template).items()
        if resource["type"] == "Microsoft.KeyVault/vaults/secrets" and not resource.get("existing")
    }

    assert written == {
        "keyVault.emablerApiKeySecret": {"onlyIfNotExists": []},
        "keyVault.tagHashKeySecret": {"onlyIfNotExists": []},
        "keyVault.webhookAuthorizationSecret": {"onlyIfNotExists": []},
        # The connection string follows the key of its rule, which may be made anew at any time.
        "serviceBus.senderSecret": {},
    }


def test_azd_answers_each_parameter() -> None:
    """main.parameters.json names parameters of the template; azd asks for or makes the rest."""
    text = (INFRA / "main.parameters.json").read_text(encoding="utf-8")
    given: dict[str, dict[str, Any]] = json.loads(text)["parameters"]
    template = main_template()
    declared = template["parameters"]

    assert given.keys() <= declared.keys()
    for name, parameter in declared.items():
        made = parameter.get("metadata", {}).get("azd", {}).get("type") == "generate"
        assert name in given or "defaultValue" in parameter or made, name
        if made:
            assert parameter["metadata"]["azd"]["config"] == {"length": 44, "noSpecial": True}
    for name, answer in given.items():
        kind = resolved(declared[name], template)["type"]
        value = answer["value"]
        if not isinstance(value, str):
            assert value == ([] if kind == "array" else {}), name
            continue
        match = re.fullmatch(r"\$\{[A-Z_]+(?:=([^${}]+))?\}", value)
        assert match, f"{name}: {value}"
        assert kind not in ("array", "object"), f"{name}: azd makes no {kind} of text"
        if match[1] is not None:
            # azd makes true and 7 of "true" and "7", where the parameter asks for that.
            default = resolved(declared[name], template).get("defaultValue")
            assert match[1] == json.dumps(default).strip('"'), name
