from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.functions_host.app_settings import AppSettings, load_app_settings
from local.functions_host.errors import HostError, MissingSettingError


def _write(folder: Path, document: object) -> Path:
    (folder / "local.settings.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """A setting that both name has the environment's value; the file gives the others."""
    app = _write(tmp_path, {"IsEncrypted": False, "Values": {"A": "file", "B": "file"}})
    settings = load_app_settings(app, {"B": "environment"})
    assert (settings.get("A"), settings.get("B")) == ("file", "environment")


def test_without_a_file_the_environment_is_all(tmp_path: Path) -> None:
    """The file is optional."""
    assert load_app_settings(tmp_path, {"A": "1"}).get("A") == "1"


def test_numbers_and_switches_become_text(tmp_path: Path) -> None:
    """Values that are not strings are read as .NET would print them for a setting."""
    settings = load_app_settings(_write(tmp_path, {"Values": {"N": 5, "S": True}}), {})
    assert (settings.get("N"), settings.get("S")) == ("5", "true")


@pytest.mark.parametrize("flag", [True, "true"])
def test_an_encrypted_file_is_refused_with_what_to_do(tmp_path: Path, flag: object) -> None:
    """IsEncrypted leads to one message that names the command which decrypts."""
    with pytest.raises(HostError, match="func settings decrypt") as caught:
        load_app_settings(_write(tmp_path, {"IsEncrypted": flag, "Values": {}}), {})
    assert caught.value.code == "local_settings_encrypted"


@pytest.mark.parametrize(
    "document",
    [[], {"Values": []}, {"Values": {"A": {}}}, {"Host": {"LocalHttpPort": "x"}}, {"Host": 1}],
)
def test_a_file_of_the_wrong_form_is_refused(tmp_path: Path, document: object) -> None:
    """What cannot be settings is an error, before anything starts."""
    with pytest.raises(HostError) as caught:
        load_app_settings(_write(tmp_path, document), {})
    assert caught.value.code == "local_settings_invalid"


def test_the_host_section_is_read(tmp_path: Path) -> None:
    """Port and CORS of the Host section are taken over."""
    section = {"LocalHttpPort": 7099, "CORS": "https://a.example, https://b.example"}
    host = load_app_settings(_write(tmp_path, {"Host": section}), {}).host
    assert host.http_port == 7099
    assert host.cors_origins == ("https://a.example", "https://b.example")


def test_names_are_compared_as_dotnet_configuration_does() -> None:
    """Case does not count, and `:` is `__`."""
    settings = AppSettings({"Bus__fullyQualifiedNamespace": "x"})
    assert settings.get("BUS:FullyQualifiedNamespace") == "x"


def test_references_are_resolved() -> None:
    """`%Name%` becomes the setting's value, wherever it stands in the text."""
    assert AppSettings({"Q": "events"}).resolve("a-%Q%-%q%") == "a-events-events"


@pytest.mark.parametrize("values", [{}, {"Q": ""}])
def test_a_missing_reference_names_the_setting(values: dict[str, str]) -> None:
    """An absent or empty setting is an error that says which."""
    with pytest.raises(MissingSettingError) as caught:
        AppSettings(values).resolve("%Q%")
    assert caught.value.setting == "Q"


def test_settings_below_a_prefix_are_found_by_their_path() -> None:
    """Overrides of host.json are found whichever separator they use."""
    settings = AppSettings({"Job__a__B": "1", "Job:c": "2", "Jobs__d": "3"})
    assert settings.under("Job") == {("a", "b"): "1", ("c",): "2"}
