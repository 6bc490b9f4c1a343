"""Whether the deployed app has its secrets: what Azure says of its references to the vault.

An operator's machine reads the vault itself; that it can says nothing of the app.
Azure: Web Apps, Get App Settings Key Vault References.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from management.azd import last_line, run_tool
from management.checks import Finding
from shared.errors import SettingError

PLACE = ("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZURE_FUNCTION_APP_NAME")
"""What azd knows the app by."""

_CHECK = "the app's secrets"
_VERSION = "2022-03-01"
_WELL = "Resolved"


def references_finding(environ: Mapping[str, str]) -> Finding:
    """Which references of the app Azure could not resolve.

    Who may not ask is told where else it stands: it takes a role on the app, which operators of the
    data need not have.
    """
    subscription, group, app = (environ[name] for name in PLACE)
    url = (
        f"https://management.azure.com/subscriptions/{subscription}/resourceGroups/{group}"
        f"/providers/Microsoft.Web/sites/{app}/config/configreferences/appsettings"
        f"?api-version={_VERSION}"
    )
    try:
        run = run_tool(["az", "rest", "--method", "get", "--url", url])
        told = json.loads(run.stdout) if run.returncode == 0 else None
    except SettingError as error:
        return _unasked(str(error))
    except ValueError:
        told = None
    listed = told.get("value") if isinstance(told, dict) else None
    if not isinstance(listed, list):
        return _unasked(last_line(run.stderr) or "Azure's answer is no list")
    return _judged([each for each in listed if isinstance(each, dict)])


def _unasked(why: str) -> Finding:
    where = "The app says it in `settings.problems` of its status (docs/status.md)"
    return Finding(_CHECK, well=True, detail=f"not looked at: {why}. {where}")


def _judged(listed: list[dict[str, Any]]) -> Finding:
    states = {
        str(each.get("name")): str((each.get("properties") or {}).get("status")) for each in listed
    }
    wrong = [f"{name} {state}" for name, state in sorted(states.items()) if state != _WELL]
    if not wrong:
        return Finding(_CHECK, well=True, detail=f"{len(states)} references, each resolved")
    detail = (
        f"reference_unresolved: {', '.join(wrong)}. What to do: where a role was given minutes "
        "ago, wait and refresh (docs/deploy.md, Rotate secrets); else the secret is missing, or "
        "the vault cannot be reached from the network"
    )
    return Finding(_CHECK, well=False, detail=detail)
