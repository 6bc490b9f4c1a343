"""How the text of a setting becomes its value; ValueError says what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

MIN_SECRET_CHARACTERS = 32
_UNRESOLVED = "@Microsoft.KeyVault("

ENVIRONMENTS: Mapping[str, str] = {
    "test": "https://api.emabler.net/api/v2/cpo/",
    "staging": "https://api-staging.emabler.net/api/v2/cpo/",
    "production": "https://api.emabler.io/api/v2/cpo/",
}
"""eMabler's documented environments and the base addresses of their REST API."""


def text(value: str) -> str:
    """Any text."""
    return value


def secret(value: str) -> str:
    """A secret: long enough, and no reference that Key Vault did not resolve.

    Raises:
        ValueError: What is wrong, without the secret.
    """
    if value.startswith(_UNRESOLVED):
        raise ValueError("is a Key Vault reference that was not resolved")
    if len(value) < MIN_SECRET_CHARACTERS:
        message = f"has {len(value)} characters; a secret has at least {MIN_SECRET_CHARACTERS}"
        raise ValueError(message)
    return value


def key(value: str) -> str:
    """A key or connection string as it can travel in a header.

    Raises:
        ValueError: What is wrong, without the key.
    """
    if value.startswith(_UNRESOLVED):
        raise ValueError("is a Key Vault reference that was not resolved")
    # Such a key cannot travel in a header, and the HTTP client's error would tell it.
    if not (value.isascii() and value.isprintable()):
        raise ValueError("has characters that no key has")
    return value


def whole(least: int, most: int) -> Callable[[str], int]:
    """Reads a whole number within bounds."""

    def read(value: str) -> int:
        if not re.fullmatch(r"\d{1,9}", value) or not least <= int(value) <= most:
            message = f"is no whole number from {least} to {most}"
            raise ValueError(message)
        return int(value)

    return read


def names(value: str) -> str:
    """Names parted by commas.

    Raises:
        ValueError: It is no such list.
    """
    if not re.fullmatch(r"[\w.\-]+(?:,[\w.\-]+)*", value):
        raise ValueError("is no list of names parted by commas")
    return value


def seconds(most: float) -> Callable[[str], float]:
    """Reads a number of seconds up to a bound."""

    def read(value: str) -> float:
        if not re.fullmatch(r"\d{1,9}(?:\.\d{1,3})?", value) or float(value) > most:
            message = f"is no number of seconds from 0 to {most:g}"
            raise ValueError(message)
        return float(value)

    return read


def number(least: float, most: float) -> Callable[[str], float]:
    """Reads a number within bounds."""

    def read(value: str) -> float:
        if not re.fullmatch(r"\d{1,4}(?:\.\d{1,3})?", value) or not least <= float(value) <= most:
            message = f"is no number from {least:g} to {most:g}"
            raise ValueError(message)
        return float(value)

    return read


def environment(value: str) -> str:
    """One of eMabler's environments.

    Raises:
        ValueError: It is none.
    """
    if value not in ENVIRONMENTS:
        message = f"is none of {', '.join(ENVIRONMENTS)}"
        raise ValueError(message)
    return value


def url(value: str) -> str:
    """An http address that ends with a slash; plain http on this machine only.

    Raises:
        ValueError: It is none.
    """
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as error:
        raise ValueError("is no http address") from error
    local = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("is no http address")
    if parts.scheme == "http" and not local:
        raise ValueError("is not https: the API key would travel in the open")
    return value if value.endswith("/") else value + "/"


def path(value: str) -> str:
    """A relative path.

    Raises:
        ValueError: It is none.
    """
    if not re.fullmatch(r"[\w.\-]+(?:/[\w.\-]+)*", value):
        raise ValueError("is no relative path such as v3/transactions")
    return value


def one_of(*words: str) -> Callable[[str], str]:
    """Reads one of these words."""

    def read(value: str) -> str:
        if value not in words:
            message = f"is none of {', '.join(words)}"
            raise ValueError(message)
        return value

    return read


def some_of(*words: str) -> Callable[[str], tuple[str, ...]]:
    """Reads some of these words, parted by commas."""

    def read(value: str) -> tuple[str, ...]:
        given = tuple(value.split(","))
        if not set(given) <= set(words):
            message = f"is no list, parted by commas, of {', '.join(words)}"
            raise ValueError(message)
        return given

    return read
