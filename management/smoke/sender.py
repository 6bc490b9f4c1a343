"""The key that eMabler sends with, where a deployment gives it one."""

from __future__ import annotations

from collections.abc import Mapping

from management.azd import run_tool
from shared.errors import SettingError

_SECRET = "emabler-service-bus"  # noqa: S105 - the name of the vault's secret, as infra/ has it


def sender_connection(environ: Mapping[str, str]) -> str:
    """The connection string that eMabler sends with, from the vault of a deployed environment.

    Empty where there is none, or where the caller may not read it.
    """
    vault = environ.get("AZURE_KEY_VAULT_NAME")
    if not vault:
        return ""
    words = ["az", "keyvault", "secret", "show", "--vault-name", vault, "--name", _SECRET]
    try:
        run = run_tool([*words, "--query", "value", "--output", "tsv"])
    except SettingError:
        return ""
    return run.stdout.strip() if run.returncode == 0 else ""
