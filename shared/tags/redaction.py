"""A tag's id in texts and messages, in whatever spelling: found, and taken out. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from shared.identifiers import normalise_tag
from shared.instants import parse_instant
from shared.tags.no_tags import (
    is_decimal,
    is_of_others,
    is_of_tags,
    is_time,
    parts_of_bytes,
    parts_of_text,
)

ERASED_TEXT = "(erased)"
"""What stands in a text where a tag's id was."""

SHORTEST_IN_TEXT = 4
"""Shorter ids are looked for in fields of tags only: a text holds their letters by chance."""

_SEPARATORS = r"[\s:\-._]*"
_FIELD = re.compile(rb'"([^"\\]{1,255})"\s*:\s*(")?[^"\\,{}\[\]]*\Z')
_LONGEST_FIELD_BYTES = 1024


class TagText:
    """One tag's id, to be found and taken out.

    Times, other things' ids and measured values stay, whatever digits they have
    (`shared.tags.no_tags`).
    """

    def __init__(self, tag: str) -> None:
        self.normalised = normalise_tag(tag)
        self._in_text = len(self.normalised) >= SHORTEST_IN_TEXT
        letters = [re.escape(letter) for letter in self.normalised]
        self._text = re.compile(rf"(?<![^\W_]){_SEPARATORS.join(letters)}(?![^\W_])", re.IGNORECASE)
        encoded = [re.escape(letter.encode("utf-8", "surrogatepass")) for letter in self.normalised]
        self._bytes = re.compile(
            rb"(?<![A-Za-z0-9])" + _SEPARATORS.encode().join(encoded) + rb"(?![A-Za-z0-9])",
            re.IGNORECASE,
        )

    def is_in(self, text: str) -> bool:
        """Whether a text names the tag."""
        return self.without(text) != text

    def without(self, text: str) -> str:
        """The text, with `(erased)` where the tag stood."""
        if self._is_tag(text):
            return ERASED_TEXT
        if not self._in_text or self._text.search(text) is None:
            return text
        parts = parts_of_text(text)
        parts[::2] = [self._text.sub(_erased, part) for part in parts[::2]]
        # The tag itself may be written as a UUID.
        parts[1::2] = [ERASED_TEXT if self._is_tag(part) else part for part in parts[1::2]]
        return "".join(parts)

    def _is_tag(self, text: str) -> bool:
        same = normalise_tag(text) == self.normalised
        return same and not is_time(text) and not is_decimal(text)

    def without_in_column(self, name: str, text: str) -> str:
        """A column's text without the tag: a text that is JSON stays JSON."""
        if is_of_tags(name) and normalise_tag(text) == self.normalised:
            return ERASED_TEXT
        if text[:1] in ("{", "["):
            try:
                value = json.loads(text)
            except (ValueError, RecursionError):
                return self.without(text)
            redacted = self._redact(value, name, self._erased_text)
            return text if redacted == value else json.dumps(redacted)
        return self.without(text) if self._in_text else text

    def without_in_body(self, body: bytes) -> bytes:
        """A message's bytes without the tag: in JSON its fields become null.

        A body that does not name it is given back as it is. Bytes that are no JSON keep their
        length: each byte of the id becomes an asterisk.
        """
        hidden: list[tuple[str, Any]] = []
        try:
            value = _read(body, hidden)
            if isinstance(value, str):
                value = _read(value, hidden)
        except (ValueError, RecursionError):
            return self._without_in_bytes(body)
        redacted = self._redact(value, "", _null)
        # Of a field that is named twice JSON shows the last one only: the first is dropped.
        if redacted == value and not any(
            self._redact({name: inner}, "", _null) != {name: inner} for name, inner in hidden
        ):
            return body
        return json.dumps(redacted, ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", "surrogatepass"
        )

    def _erased_text(self, text: str) -> str:
        left = self.without(text)
        return ERASED_TEXT if left == text else left

    def _without_in_bytes(self, body: bytes) -> bytes:
        if not self._in_text:
            return body
        # Without the zero bytes of UTF-16; each byte that is left knows where it stood.
        places = [place for place, byte in enumerate(body) if byte] if b"\x00" in body else None
        plain = body.replace(b"\x00", b"")
        if self._bytes.search(plain) is None:
            return body
        left, at = bytearray(body), 0
        for number, part in enumerate(parts_of_bytes(plain)):
            for match in () if number % 2 else self._bytes.finditer(part):
                first, last = at + match.start(), at + match.end() - 1
                if not self._names_in_bytes(
                    match[0], plain[max(first - _LONGEST_FIELD_BYTES, 0) : first]
                ):
                    continue
                if places is not None:
                    first, last = places[first], places[last]
                left[first : last + 1] = b"*" * (last + 1 - first)
            at += len(part)
        return bytes(left)

    def _names_in_bytes(self, found: bytes, before: bytes) -> bool:
        """Whether what was found is the tag, by the field of a broken message that it stands in."""
        text = found.decode(errors="replace")
        field = _FIELD.search(before)
        if field is None:
            return not is_decimal(text)
        name, quoted = field[1].decode(errors="replace"), field[2] is not None
        if is_of_tags(name):
            return True
        return quoted and not is_of_others(name, text) and not is_decimal(text)

    def _redact(
        self,
        value: Any,  # noqa: ANN401 - JSON is any of its types
        name: str,
        erased: Callable[[str], str | None],
    ) -> Any:  # noqa: ANN401
        match value:
            case dict():
                return {
                    self.without(key) if self._in_text else key: self._redact(inner, key, erased)
                    for key, inner in value.items()
                }
            case list():
                return [self._redact(inner, name, erased) for inner in value]
            case str() | int() | float() if not isinstance(value, bool):
                return erased(str(value)) if self._names(value, name) else value
            case _:
                return value

    def _names(self, value: str | float, field: str) -> bool:
        # As ingestion reads a tag: 12345678.0 is the tag 12345678.
        whole = isinstance(value, float) and value.is_integer()
        text = str(int(value)) if whole else str(value)
        if is_of_tags(field) and normalise_tag(text) == self.normalised:
            return True
        return (
            self._in_text
            and isinstance(value, str)
            and not is_of_others(field, value)
            and parse_instant(value) is None
            and self.is_in(value)
        )


def _read(text: bytes | str, hidden: list[tuple[str, Any]]) -> Any:  # noqa: ANN401 - any JSON
    """Read JSON; `hidden` gets the fields that a later one of the same name hides."""

    def pairs(fields: list[tuple[str, Any]]) -> dict[str, Any]:
        shown = dict(fields)
        if len(shown) < len(fields):
            last = {name: place for place, (name, _) in enumerate(fields)}
            hidden.extend(each for place, each in enumerate(fields) if last[each[0]] != place)
        return shown

    return json.loads(text, object_pairs_hook=pairs)


def _null(_text: str) -> None:
    return None


def _erased(match: re.Match[str]) -> str:
    return match[0] if is_decimal(match[0]) else ERASED_TEXT
