"""`local.settings.json`, the file that Functions tools read: a user's own, or one written here.

A file written here carries `"writtenBy": "dev.py up"` and may be written again; any other is the
user's, takes part, and is never touched. The environment stands above the file, as in Azure.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalError

MARKER = "writtenBy"
WRITTEN_BY = "dev.py up"
_EMULATED_BUS = "UseDevelopmentEmulator=true"


@dataclass(frozen=True)
class LocalSettings:
    """What a local.settings.json says.

    Attributes:
        values: the user's settings by name; none when the file is ours or missing. Left out are
            those that say nothing or name an emulator: the local Azure is that emulator.
        users_own: whether the file is the user's.
    """

    values: Mapping[str, str]
    users_own: bool


def read(path: Path) -> LocalSettings:
    """Read the file, if it is there.

    Raises:
        LocalError: `setting_wrong`, it cannot be read or has another shape.
    """
    if not path.exists():
        return LocalSettings({}, users_own=False)
    try:
        content = json.loads(path.read_text("utf-8-sig"))
        if content.get(MARKER) == WRITTEN_BY:
            return LocalSettings({}, users_own=False)
        given = {name: str(value) for name, value in content.get("Values", {}).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise LocalError(
            "setting_wrong",
            f"{path.name} cannot be read ({error})",
            'write JSON such as {"IsEncrypted": false, "Values": {"NAME": "value"}}, or delete it',
        ) from error
    values = {name: value for name, value in given.items() if not _means_the_local_one(value)}
    return LocalSettings(values, users_own=True)


def require_folder(path: Path) -> None:
    """Refuse, before anything starts, a file that cannot be written later.

    Raises:
        LocalError: `setting_wrong`.
    """
    if not path.parent.is_dir():
        raise LocalError(
            "setting_wrong",
            f"there is no folder {path.parent} for {path.name}",
            "make it, or give another file with --settings",
        )


def _means_the_local_one(value: str) -> bool:
    """Whether a value leaves the choice to the local Azure: empty, or the emulators' own names."""
    return not value or "UseDevelopmentStorage=true" in value or _EMULATED_BUS in value


def write(path: Path, settings: Mapping[str, str], *, port: int) -> None:
    """Write the settings of a running stack, readable for this user only.

    Args:
        path: the file; it is replaced.
        settings: the app settings by name.
        port: the port of the host, which `func start` then takes as well.
    """
    content = {
        "IsEncrypted": False,
        "Values": dict(sorted(settings.items())),
        "Host": {"LocalHttpPort": port},
        MARKER: WRITTEN_BY,
    }
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    fresh.replace(path)
