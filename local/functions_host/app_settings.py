"""App settings of a local run: `local.settings.json` below the process environment.

`func start` reads the same file; where both name a setting, the environment counts. Names are
compared as .NET configuration compares them: without case, `:` and `__` meaning the same
(https://learn.microsoft.com/azure/azure-functions/functions-develop-local#local-settings-file).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.functions_host.errors import HostError, MissingSettingError

FILE_NAME = "local.settings.json"
_REFERENCE = re.compile(r"%([^%]+)%")


@dataclass(frozen=True, slots=True)
class LocalHostOptions:
    """The `Host` section of `local.settings.json`, which only a local run reads."""

    http_port: int | None = None
    cors_origins: tuple[str, ...] = ()
    cors_credentials: bool = False


class AppSettings:
    """The settings that the app and its bindings see."""

    def __init__(self, values: Mapping[str, str], host: LocalHostOptions | None = None) -> None:
        """`values` by name, already merged; `host` is what only a local run reads."""
        self.values = dict(values)
        self.host = host or LocalHostOptions()
        self._by_key = {_key(name): value for name, value in self.values.items()}

    def get(self, name: str) -> str | None:
        """The value of a setting, or None where it is absent or empty."""
        return self.values.get(name) or self._by_key.get(_key(name)) or None

    def resolve(self, text: str) -> str:
        """`text` with each `%Name%` replaced by the setting of that name.

        Raises:
            MissingSettingError: A named setting is absent or empty.
        """

        def value(match: re.Match[str]) -> str:
            found = self.get(match[1])
            if found is None:
                raise MissingSettingError(match[1])
            return found

        return _REFERENCE.sub(value, text)

    def is_true(self, name: str) -> bool:
        """Whether a setting says yes, as Azure reads switches: `true` or `1`."""
        return (self.get(name) or "").strip().lower() in {"true", "1"}

    def under(self, prefix: str) -> dict[tuple[str, ...], str]:
        """Settings whose name starts with `prefix__`, by the remaining parts in lower case."""
        start = _key(prefix) + "__"
        return {
            tuple(key[len(start) :].split("__")): value
            for key, value in self._by_key.items()
            if key.startswith(start)
        }


def load_app_settings(app: Path, environment: Mapping[str, str]) -> AppSettings:
    """The settings for the app in folder `app`, the environment taking precedence.

    Raises:
        HostError: `local_settings_invalid` or `local_settings_encrypted`.
    """
    document = _read(app / FILE_NAME)
    encrypted = document.get("IsEncrypted")
    if encrypted is True or (isinstance(encrypted, str) and encrypted.lower() == "true"):
        raise HostError(
            "local_settings_encrypted",
            f"{FILE_NAME} is encrypted (IsEncrypted is true), so only func can read it",
            "run `func settings decrypt` in the app's folder, or set IsEncrypted to false and write"
            " the values anew",
        )
    values = {name: _text(name, value) for name, value in _section(document, "Values").items()}
    return AppSettings({**values, **environment}, _host_options(_section(document, "Host")))


def _key(name: str) -> str:
    return name.replace(":", "__").lower()


def _invalid(what: str, remedy: str) -> HostError:
    return HostError("local_settings_invalid", f"{FILE_NAME}: {what}", remedy)


def _read(path: Path) -> dict[str, object]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _invalid(f"it cannot be read as JSON ({error})", "correct the file") from error
    if not isinstance(document, dict):
        raise _invalid(
            "it does not hold one JSON object",
            'write {"IsEncrypted": false, "Values": {}} and put the settings under Values',
        )
    return document


def _section(document: Mapping[str, object], name: str) -> dict[str, object]:
    section = document.get(name)
    if section is None:
        return {}
    if not isinstance(section, dict):
        raise _invalid(f"'{name}' is not an object", f'write "{name}": {{…}}')
    return section


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise _invalid(f"Values.{name} is not a string", "write nested values as one JSON string")


def _host_options(section: Mapping[str, object]) -> LocalHostOptions:
    port = section.get("LocalHttpPort")
    if port is not None:
        try:
            port = int(str(port))
        except ValueError as error:
            raise _invalid("Host.LocalHttpPort is not a number", "name a port") from error
    origins = section.get("CORS", "")
    if not isinstance(origins, str):
        raise _invalid("Host.CORS is not a string", "name origins, separated by commas, or *")
    return LocalHostOptions(
        http_port=port,
        cors_origins=tuple(origin.strip() for origin in origins.split(",") if origin.strip()),
        cors_credentials=section.get("CORSCredentials") is True,
    )
