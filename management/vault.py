"""When the secrets of a deployed environment end, as its vault tells whoever may list them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from management.azd import last_line, run_tool
from management.checks import Finding
from shared.errors import SettingError
from shared.instants import parse_instant

VAULT = "AZURE_KEY_VAULT_NAME"
NOTICE = timedelta(days=30)
"""Azure gives notice of an end so long before it."""

_CHECK = "secrets' ends"


def vault_finding(vault: str, now: datetime) -> Finding:
    """Which secrets end soon, or have none. What has ended can still be read."""
    words = ["az", "keyvault", "secret", "list", "--vault-name", vault]
    query = "[].{name: name, end: attributes.expires}"
    try:
        run = run_tool([*words, "--query", query, "--output", "json"])
        listed = json.loads(run.stdout) if run.returncode == 0 else None
    except SettingError as error:
        return Finding(_CHECK, well=False, detail=f"vault_unreadable: {error}")
    except ValueError:
        listed = None
    if not isinstance(listed, list):
        detail = f"vault_unreadable: {last_line(run.stderr)}"
        return Finding(_CHECK, well=False, detail=detail)
    ends = {str(each["name"]): parse_instant(str(each.get("end") or "")) for each in listed}
    return _judged(ends, now)


def _judged(ends: dict[str, datetime | None], now: datetime) -> Finding:
    soon = {name: end for name, end in ends.items() if end is not None and end - now <= NOTICE}
    if soon:
        told = ", ".join(f"{name} {_when(end, now)}" for name, end in sorted(soon.items()))
        detail = f"secret_expiring: {told}. What to do: docs/runbooks/secret_expiring.md"
        return Finding(_CHECK, well=False, detail=detail)
    first = min((end for end in ends.values() if end is not None), default=None)
    without = sorted(name for name, end in ends.items() if end is None)
    parts = [f"the first on {first:%Y-%m-%d}"] if first else []
    parts += [f"without an end: {', '.join(without)}"] if without else []
    return Finding(_CHECK, well=True, detail="; ".join(parts) or "the vault holds no secret")


def _when(end: datetime, now: datetime) -> str:
    return f"{'ended' if end <= now else 'ends'} on {end:%Y-%m-%d}"
