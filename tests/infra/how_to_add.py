"""What to add to the template for a setting that is new in the code, ready to paste."""

from __future__ import annotations

import re

from shared.settings_checked import Setting


def declaration(setting: Setting) -> str:
    """The property of appSettingsType: a number with the bounds of its reader, else a text."""
    meaning = setting.meaning.replace("\\", "\\\\").replace("'", "\\'").replace("`", "")
    lines = [f"  @description('Optional. {meaning}')"]
    bounds = _bounds(setting)
    if bounds:
        lines += [f"  @minValue({bounds[0]})", f"  @maxValue({bounds[1]})"]
    else:
        lines += ["  @minLength(1)", "  @maxLength(200)"]
    return "\n".join([*lines, f"  {setting.name}: {'int' if bounds else 'string'}?"])


def how_to_add(setting: Setting) -> str:
    """All that belongs to a setting, in which files."""
    if setting.secret:
        secret = setting.name.lower().replace("_", "-")
        return (
            f"{setting.name} is in shared/settings.py and not in infra/settings.bicep. Add to "
            f"secretNames:\n  {setting.name}: '{secret}'\nand its name to requiredSecrets (each "
            "deployment has it; a resource in infra/modules/key-vault writes it) or to "
            "optionalSecretType and to optionalSecrets of tests/infra/parameters/large.bicepparam "
            "(it is there for a time).\nThen: python -m tests.infra.update"
        )
    example = setting.example if _bounds(setting) else f"'{setting.example}'"
    return (
        f"{setting.name} is in shared/settings.py and not in infra/settings.bicep. Add to "
        f"appSettingsType:\n\n{declaration(setting)}\n\nand to appSettings of "
        f"tests/infra/parameters/large.bicepparam:\n  {setting.name}: {example}\n"
        "(or to connectionSettings of infra/modules/function-app/main.bicep, where the template "
        "itself knows the value).\nThen: python -m tests.infra.update"
    )


def _bounds(setting: Setting) -> tuple[int, int] | None:
    """The least and the most of a whole number, as the setting's own reader tells them."""
    try:
        setting.read("no number")
    except ValueError as error:
        told = re.search(r"number(?: of seconds)? from (\d+) to (\d+)$", str(error))
        return (int(told[1]), int(told[2])) if told else None
    return None
