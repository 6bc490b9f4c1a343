"""Reading settings from the environment: each value, and all that is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.settings_checked import Problem, Setting


def read_values(
    settings: Sequence[Setting], environ: Mapping[str, str], suffixes: Mapping[str, str]
) -> tuple[dict[str, Any], list[Problem]]:
    """The value of each setting by its name, and what is wrong or missing, in their order.

    `suffixes` are appended to the names of connections that may be an address and an identity.
    """
    values: dict[str, Any] = {}
    problems: dict[str, Problem] = {}
    for setting in settings:
        raw = environ.get(setting.name, "").strip()
        suffix = suffixes.get(setting.name)
        if suffix:
            values[setting.name + suffix] = environ.get(setting.name + suffix, "").strip() or None
            values[setting.name + "__clientId"] = environ.get(setting.name + "__clientId") or None
        values[setting.name] = setting.default
        if raw:
            try:
                values[setting.name] = setting.read(raw)
            except ValueError as error:
                problems[setting.name] = _problem(setting, "setting_wrong", str(error))
    # Only now: whether a setting is needed may be another one's doing.
    for setting in settings:
        name = setting.name
        if setting.is_needed(values) and name not in problems:
            present = values[name] or values.get(name + suffixes.get(name, ""))
            if not present:
                problems[name] = _problem(setting, "setting_missing", "is not set")
    return values, [problems[each.name] for each in settings if each.name in problems]


def _problem(setting: Setting, code: str, what: str) -> Problem:
    message = f"{setting.name} {what}. {setting.meaning} Example: {setting.example}"
    return Problem(setting.name, code, message, setting.needed_by or setting.heeded_by)
