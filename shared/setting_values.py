"""How the text of an app setting is read; `ValueError` says what is wrong with it.

The message goes on where the name of the setting ends: "TAG_HASH_KEY has 5 characters; …".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

MIN_SECRET_CHARACTERS = 32
_UNRESOLVED = "@Microsoft.KeyVault("


def text(value: str) -> str:
    """Any text."""
    return value


def secret(value: str) -> str:
    """A secret of at least 32 characters."""
    if value.startswith(_UNRESOLVED):
        raise ValueError("is a Key Vault reference that was not resolved")
    if len(value) < MIN_SECRET_CHARACTERS:
        message = f"has {len(value)} characters; a secret has at least {MIN_SECRET_CHARACTERS}"
        raise ValueError(message)
    return value


def key(value: str) -> str:
    """A key or a connection string, as it can travel in a header."""
    if value.startswith(_UNRESOLVED):
        raise ValueError("is a Key Vault reference that was not resolved")
    # Such a key cannot travel in a header, and the HTTP client's error would tell it.
    if not (value.isascii() and value.isprintable()):
        raise ValueError("has characters that no key has")
    return value


def whole(least: int, most: int) -> Callable[[str], int]:
    """A whole number from `least` to `most`."""

    def read(value: str) -> int:
        if not re.fullmatch(r"\d{1,9}", value) or not least <= int(value) <= most:
            message = f"is no whole number from {least} to {most}"
            raise ValueError(message)
        return int(value)

    return read


def names(value: str) -> str:
    """Names parted by commas, as they are written."""
    if not re.fullmatch(r"[\w.\-]+(?:,[\w.\-]+)*", value):
        raise ValueError("is no list of names parted by commas")
    return value


def seconds(most: float) -> Callable[[str], float]:
    """A number of seconds from 0 to `most`."""

    def read(value: str) -> float:
        if not re.fullmatch(r"\d{1,9}(?:\.\d{1,3})?", value) or float(value) > most:
            message = f"is no number of seconds from 0 to {most:g}"
            raise ValueError(message)
        return float(value)

    return read


def one_of(*values: str) -> Callable[[str], str]:
    """One of these words."""

    def read(value: str) -> str:
        if value not in values:
            message = f"is none of {', '.join(values)}"
            raise ValueError(message)
        return value

    return read


def some_of(*values: str) -> Callable[[str], tuple[str, ...]]:
    """Some of these words, parted by commas."""

    def read(value: str) -> tuple[str, ...]:
        words = tuple(value.split(","))
        if not set(words) <= set(values):
            message = f"is no list, parted by commas, of {', '.join(values)}"
            raise ValueError(message)
        return words

    return read


def url(value: str) -> str:
    """An http address that ends with a slash; https unless it is this machine."""
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
    """A relative path."""
    if not re.fullmatch(r"[\w.\-]+(?:/[\w.\-]+)*", value):
        raise ValueError("is no relative path such as v3/transactions")
    return value
