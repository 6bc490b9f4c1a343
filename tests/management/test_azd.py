"""`--env azd`: the settings of a deployed environment, from azd and the vault."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from management.azd import load_azd_environment, secret_name
from management.main import run
from shared.errors import SettingError

CHECKOUT = Path(__file__).resolve().parent.parent.parent
VALUES = {
    "AZURE_KEY_VAULT_NAME": "kv-1",
    "AZURE_LOCATION": "westeurope",
    "EMABLER_PUSH_URL": "https://app.example/api/emabler/push",
    "DataStorageConnection__tableServiceUri": "https://std1.table.core.windows.net/",
    "EMABLER_ENVIRONMENT": "test",
    "APP_SETTINGS": '{"STORE_BUCKETS": 8, "AUTHORIZATION_FALLBACK": "last-known"}',
    "PUSH_QUEUE_NAME": "",
}
SECRETS = {
    "emabler-api-key": "key-of-emabler",
    "tag-hash-key": "k" * 44,
    "webhook-authorization": "w" * 44,
}

Programs = Callable[..., None]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """An azd and an az that answer from tables, and note how they were called."""
    if os.name == "nt":
        pytest.skip("the stand-ins are scripts of a Unix shell")

    def make(
        values: object = VALUES, secrets: dict[str, str] | None = None, *, azd_code: int = 0
    ) -> None:
        answers = {
            "azd": f"print({json.dumps(values)!r}); sys.exit({azd_code})",
            "az": (
                f"secrets = {SECRETS if secrets is None else secrets!r}\n"
                "name = sys.argv[sys.argv.index('--name') + 1]\n"
                "value = secrets.get(name)\n"
                "missing = name.endswith(('-previous', 'kafka-password'))\n"
                "code = 'SecretNotFound' if missing else 'Forbidden'\n"
                "code = secrets.get('code', code)\n"
                "print(value) if value else sys.exit(f'first line\\n({code}) not {name}')"
            ),
        }
        for name, code in answers.items():
            path = tmp_path / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(
                f"#!{sys.executable}\nimport sys\n"
                f"with open({str(tmp_path / name)!r}, 'a') as calls:\n"
                f"    print(*sys.argv[1:], file=calls)\n{code}\n",
                encoding="utf-8",
            )
            path.chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return make


def test_settings_are_azd_s_and_secrets_the_vault_s(programs: Programs, tmp_path: Path) -> None:
    """The app's own settings that are not empty, and what commands look for; nothing else."""
    programs()
    said: list[str] = []

    assert load_azd_environment(None, {}, said.append) == {
        "DataStorageConnection__tableServiceUri": "https://std1.table.core.windows.net/",
        "EMABLER_ENVIRONMENT": "test",
        "EMABLER_PUSH_URL": "https://app.example/api/emabler/push",
        "AZURE_KEY_VAULT_NAME": "kv-1",
        "STORE_BUCKETS": "8",
        "AUTHORIZATION_FALLBACK": "last-known",
        "EMABLER_API_KEY": "key-of-emabler",
        "TAG_HASH_KEY": "k" * 44,
        "WEBHOOK_AUTHORIZATION": "w" * 44,
    }
    assert said == []
    assert (tmp_path / "azd").read_text() == "env get-values --output json\n"


def test_another_environment_can_be_named(programs: Programs, tmp_path: Path) -> None:
    """`azd:NAME` asks for that one."""
    programs()

    load_azd_environment("production", {}, print)

    assert (tmp_path / "azd").read_text().endswith("--environment production\n")


def test_the_caller_s_environment_stands_above(programs: Programs, tmp_path: Path) -> None:
    """What is set on this machine counts, and no secret is fetched in its place."""
    programs()

    mine = {"TAG_HASH_KEY": "mine", "STORE_BUCKETS": "2", "EMABLER_ENVIRONMENT": "test"}
    said: list[str] = []

    found = load_azd_environment(None, mine, said.append)

    assert (found["TAG_HASH_KEY"], found["STORE_BUCKETS"]) == ("mine", "2")
    assert said == ["set on this machine, and counts above the environment's: STORE_BUCKETS"]
    asked = (tmp_path / "az").read_text()
    assert "--name tag-hash-key " not in asked
    assert "--name tag-hash-key-previous " in asked


def test_a_shell_of_another_environment_is_refused(programs: Programs) -> None:
    """One environment's addresses never meet another one's secrets; its own values do no harm."""
    programs(values={**VALUES, "AZURE_ENV_NAME": "charging-prod"})

    with pytest.raises(SettingError, match="open a new shell for charging-prod"):
        load_azd_environment("charging-prod", {**VALUES, "AZURE_ENV_NAME": "charging-test"}, print)

    own = {**VALUES, "AZURE_ENV_NAME": "charging-prod"}
    assert load_azd_environment("charging-prod", own, print)["TAG_HASH_KEY"] == "k" * 44


def test_a_secret_that_cannot_be_read_is_told_and_left_out(programs: Programs) -> None:
    """Who may not read the vault can still look into the store; the reason is the CLI's own."""
    programs(secrets={"tag-hash-key": "k" * 44, "webhook-authorization": "w" * 44})
    said: list[str] = []

    found = load_azd_environment(None, {}, said.append)

    assert "EMABLER_API_KEY" not in found
    assert found["TAG_HASH_KEY"] == "k" * 44
    assert said == [
        "EMABLER_API_KEY was not read from the vault kv-1: (Forbidden) not emabler-api-key"
    ]


def test_a_previous_key_is_read_where_there_is_one(programs: Programs) -> None:
    """During a rotation an operator's machine finds tags under both keys, as the app does."""
    programs(secrets=SECRETS | {"tag-hash-key-previous": "p" * 44})
    said: list[str] = []

    found = load_azd_environment(None, {}, said.append)

    assert found["TAG_HASH_KEY_PREVIOUS"] == "p" * 44
    assert "WEBHOOK_AUTHORIZATION_PREVIOUS" not in found
    assert said == []


def test_a_password_of_kafka_is_read_where_there_is_one(programs: Programs) -> None:
    """Most deployments have none, and that is no word worth."""
    programs(secrets=SECRETS | {"kafka-password": "of the app"})
    said: list[str] = []

    assert load_azd_environment(None, {}, said.append)["KAFKA_PASSWORD"] == "of the app"
    programs(secrets=SECRETS)
    assert "KAFKA_PASSWORD" not in load_azd_environment(None, {}, said.append)
    assert said == []


def test_a_previous_key_that_may_not_be_read_is_told(programs: Programs) -> None:
    """Only a vault that holds none is silence: any other answer may hide one."""
    programs(secrets=SECRETS | {"code": "Forbidden"})
    said: list[str] = []

    load_azd_environment(None, {}, said.append)

    assert said == [
        f"{setting} was not read from the vault kv-1: (Forbidden) not {name}"
        for setting, name in (
            ("WEBHOOK_AUTHORIZATION_PREVIOUS", "webhook-authorization-previous"),
            ("TAG_HASH_KEY_PREVIOUS", "tag-hash-key-previous"),
            ("KAFKA_PASSWORD", "kafka-password"),
        )
    ]


@pytest.mark.parametrize(
    ("values", "code", "what"),
    [
        (VALUES, 1, "azd tells no values"),
        (["no", "object"], 0, "azd tells no values"),
        (VALUES | {"APP_SETTINGS": "[1]"}, 0, "APP_SETTINGS of azd is no JSON object"),
        (VALUES | {"APP_SETTINGS": "{"}, 0, "APP_SETTINGS of azd is no JSON object"),
        ({"AZURE_LOCATION": "westeurope"}, 0, "was not provisioned. What to do: azd provision"),
    ],
)
def test_what_azd_does_not_know_is_told(
    programs: Programs, values: object, code: int, what: str
) -> None:
    """No environment, no answer, nothing deployed yet: each says what to do."""
    programs(values, azd_code=code)

    with pytest.raises(SettingError, match=what) as error:
        load_azd_environment(None, {}, print)

    assert "What to do: " in str(error.value)


def test_without_azd_it_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A machine without azd: exit code 2, one line with what to do."""
    monkeypatch.setenv("PATH", str(tmp_path))

    assert run(["doctor", "--env", "azd"]) == 2
    assert "azd is not on PATH. What to do: install" in capsys.readouterr().err


def test_another_kind_of_environment_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Only azd is known."""
    with pytest.raises(SystemExit) as end:
        run(["doctor", "--env", "terraform"])

    assert end.value.code == 2
    assert "azd:charging-test" in capsys.readouterr().err


def test_names_of_secrets_are_the_template_s() -> None:
    """infra/settings.bicep names each secret as this does."""
    text = (CHECKOUT / "infra" / "settings.bicep").read_text(encoding="utf-8")
    table = text.partition("var secretNames = {")[2].partition("}")[0]
    rows = dict(re.findall(r"(\w+): '([\w-]+)'", table))

    assert len(rows) > 3
    assert rows == {setting: secret_name(setting) for setting in rows}
