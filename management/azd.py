"""Settings of a deployed environment: what azd knows of it, and its secrets from the vault.

The outputs of the deployment are named as the app's settings (infra/main.bicep), and one of them,
APP_SETTINGS, is the JSON of all that the operator set; secrets are read with the Azure CLI, as
whoever runs the command. Nothing is written to a file.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from shared.errors import SettingError
from shared.settings import IDENTITY_SUFFIXES, SETTINGS

AZD = "azd"
FOR_COMMANDS = (
    "EMABLER_PUSH_URL",
    "AZURE_KEY_VAULT_NAME",
    "AZURE_SUBSCRIPTION_ID",
    "AZURE_RESOURCE_GROUP",
    "AZURE_FUNCTION_APP_NAME",
)
"""What is no setting of the app, and what commands look for all the same."""
_ENVIRONMENT_NAME = "AZURE_ENV_NAME"
_SECONDS = 60
_SECRETS = {
    setting.name: bool(setting.needed_by) and setting.where is None
    for setting in SETTINGS
    if setting.secret and setting.name not in IDENTITY_SUFFIXES
}
"""All but the connections, which are addresses here, and whether each deployment needs them."""
_INSTALL = {
    "azd": "install the Azure Developer CLI, or set the settings in the environment",
    "az": "install the Azure CLI and `az login`, or set the secrets in the environment",
}


def load_azd_environment(
    name: str | None, environ: Mapping[str, str], say: Callable[[str], None]
) -> dict[str, str]:
    """The settings of an azd environment (None: the one that is selected), the caller's above them.

    A secret that cannot be read is told and left out: what needs it says so, the rest works. One
    that nothing needs, and that the vault does not hold, is left out silently. What the caller's
    say otherwise is told by name.

    Raises:
        SettingError: azd is not there, or knows no such environment, or it was not provisioned, or
            the caller's values are those of another environment.
    """
    words = [AZD, "env", "get-values", "--output", "json"]
    if name:
        words += ["--environment", name]
    told = _values(words)
    _refuse_another(told.get(_ENVIRONMENT_NAME) or name, environ.get(_ENVIRONMENT_NAME))
    values = {
        key: value
        for key, value in {**told, **_app_settings(told)}.items()
        if (_is_ours(key) or key in FOR_COMMANDS) and value
    }
    if not any(key.startswith("DataStorageConnection") for key in values):
        which = f"the azd environment {name}" if name else "the selected azd environment"
        message = f"{which} was not provisioned. What to do: azd provision"
        raise SettingError(message, code="setting_missing")
    if others := sorted(key for key in values if environ.get(key, values[key]) != values[key]):
        say(f"set on this machine, and counts above the environment's: {', '.join(others)}")
    vault = told.get("AZURE_KEY_VAULT_NAME")
    wanted = [secret for secret in _SECRETS if secret not in environ]
    if vault and wanted:
        with ThreadPoolExecutor(len(wanted)) as pool:
            for setting, (value, why) in zip(
                wanted, pool.map(lambda each: _secret(vault, each), wanted), strict=True
            ):
                if value:
                    values[setting] = value
                elif why:
                    say(f"{setting} was not read from the vault {vault}: {why}")
    return {**values, **environ}


def secret_name(setting: str) -> str:
    """The name of a setting's secret in the vault, as infra/settings.bicep has it."""
    return setting.lower().replace("_", "-")


def _refuse_another(meant: str | None, exported: str | None) -> None:
    """Refuse a shell that holds the addresses of one environment, when another one is meant.

    Its addresses would count above, with the secrets of the one that is meant.
    """
    if meant and exported and meant != exported:
        message = (
            f"this shell holds the exported values of the azd environment {exported}, which would "
            f"count above those of {meant}. What to do: open a new shell for {meant}"
        )
        raise SettingError(message)


def _is_ours(name: str) -> bool:
    return name.partition("__")[0] in {setting.name for setting in SETTINGS}


def _app_settings(told: Mapping[str, str]) -> dict[str, str]:
    """What the operator set of the app, as text; nothing from a template that did not tell it."""
    text = told.get("APP_SETTINGS")
    if not text:
        return {}
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        message = "APP_SETTINGS of azd is no JSON object. What to do: azd env refresh"
        raise SettingError(message)
    return {key: str(value) for key, value in values.items()}


def _values(words: list[str]) -> dict[str, str]:
    run = run_tool(words)
    try:
        values = json.loads(run.stdout) if run.returncode == 0 else None
    except ValueError:
        values = None
    if not isinstance(values, dict):
        message = (
            f"azd tells no values: {last_line(run.stderr or run.stdout)}. "
            "What to do: azd env list, and azd env select NAME"
        )
        raise SettingError(message)
    return {key: value for key, value in values.items() if isinstance(value, str)}


def _secret(vault: str, setting: str) -> tuple[str, str]:
    """A secret, or empty and why not; empty both where it need not be there and is not."""
    name = secret_name(setting)
    words = ["az", "keyvault", "secret", "show", "--vault-name", vault, "--name", name]
    try:
        run = run_tool([*words, "--query", "value", "--output", "tsv"])
    except SettingError as error:
        return "", str(error)
    value = run.stdout.strip()
    if run.returncode == 0 and value:
        return value, ""
    if not _SECRETS[setting] and "SecretNotFound" in run.stderr:
        return "", ""
    return "", last_line(run.stderr)


def run_tool(words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run azd or az; what went wrong is in its exit code and its standard error.

    Raises:
        SettingError: It is not there, or does not answer.
    """
    program = shutil.which(words[0])
    if program is None:
        message = f"{words[0]} is not on PATH. What to do: {_INSTALL[words[0]]}"
        raise SettingError(message)
    try:
        return subprocess.run(  # noqa: S603 - words of ours, no shell
            [program, *words[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        message = f"{words[0]} did not answer within {_SECONDS} s. What to do: sign in again"
        raise SettingError(message) from error


def last_line(text: str) -> str:
    """The line of a tool's output that tells why."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason was given"
