"""Identifiers as keys: escaped, bounded in length, spread over buckets, hashed when personal.

Table Storage forbids slashes, backslashes, `#`, `?` and control characters in keys and allows
1 KiB; the separator between parts of a key is `|` here, so that is escaped as well.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from functools import lru_cache
from urllib.parse import unquote

MAX_ID_CHARACTERS = 255
"""Beyond this many code points it is no identifier of eMabler's; its message is parked."""

NAMELESS = "=none-"
"""How the transaction part of a session's key begins where no id identifies it."""

READABLE_CHARACTERS = 96
_PREFIX_CHARACTERS = 60
_UNSAFE = re.compile(r"[^A-Za-z0-9._\-]")
_NO_IDENTITY = re.compile(
    # Nothing; a number below zero; zero, however it is written.
    r"\s*(?:-(?:\d+\.?\d*|\.\d+)|\+?(?:0+\.?0*|\.0+))?\s*\Z"
)
_CHARGERS_AT_WORK = 4_096
"""What is remembered saves a microsecond: of more, ids that never come again would fill memory."""

_TAG_SEPARATORS = re.compile(r"[\s:\-._]+")


def _escape(match: re.Match[str]) -> str:
    return "".join(f"={byte:02X}" for byte in match.group().encode("utf-8", "surrogatepass"))


@lru_cache(maxsize=_CHARGERS_AT_WORK)
def key_part(identifier: str) -> str:
    """The identifier as one part of a key, readable where it can be.

    Letters, digits, `.`, `_` and `-` stay as they are; other characters become `=XX` for each
    byte of their UTF-8. An escaped form of up to 96 characters stays readable; a longer one
    becomes its beginning, `=~` and a 128-bit hash of the identifier, so that two long ones that
    begin alike stay apart. No escape yields `=~`.
    """
    escaped = _UNSAFE.sub(_escape, identifier)
    if len(escaped) <= READABLE_CHARACTERS:
        return escaped
    digest = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{escaped[:_PREFIX_CHARACTERS]}=~{digest}"


def identifier_of(part: str) -> str | None:
    """The identifier that a part of a key stands for; None where it is a hash."""
    if "=~" in part:
        return None
    return unquote(part.replace("=", "%"), errors="surrogatepass")


@lru_cache(maxsize=_CHARGERS_AT_WORK)
def bucket_of(charger: str, buckets: int) -> str:
    """The bucket of a charger, `0` to `buckets - 1`: a stable hash, the same in every process."""
    digest = hashlib.blake2b(charger.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return str(int.from_bytes(digest) % buckets)


def identifies_a_transaction(transaction: str | None) -> bool:
    """Whether a transaction id identifies anything: missing, blank, 0 and negative ones do not.

    Chargers that start offline report -1, 0 or nothing (OCPP 1.6 has no id then).
    """
    return transaction is not None and _NO_IDENTITY.fullmatch(transaction) is None


def normalise_tag(tag: str) -> str:
    """The tag as it is compared: upper case, without blanks and separators (`: - . _`).

    A tag that is nothing but separators stays as it is, so that no two of them become one.
    """
    return _TAG_SEPARATORS.sub("", tag).casefold().upper() or tag.strip()


def hash_tag(tag: str, key: bytes) -> str:
    """The keyed hash (HMAC-SHA-256, hex) of the normalised tag: what stands for a tag in keys.

    A plain hash would not do: card ids are short enough to try them all.
    """
    return hmac.new(key, normalise_tag(tag).encode("utf-8", "surrogatepass"), "sha256").hexdigest()
