"""Settings as every command meets them: the environment over `local.settings.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from shared.errors import SettingError

FILE = "local.settings.json"


def load_environment(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The settings of the folder's file, with those of the environment taking precedence.

    Raises:
        SettingError: The file is there and cannot be used.
    """
    path = folder / FILE
    if not path.exists():
        return dict(environ)
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        message = f"{FILE} cannot be read: {error}. Example: local.settings.sample.json"
        raise SettingError(message) from error
    values = content.get("Values") if isinstance(content, dict) else None
    if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
        message = f"{FILE} has no object Values of texts. Example: local.settings.sample.json"
        raise SettingError(message)
    if content.get("IsEncrypted") is True:
        message = f"{FILE} is encrypted. What to do: func settings decrypt"
        raise SettingError(message)
    return {**values, **environ}
