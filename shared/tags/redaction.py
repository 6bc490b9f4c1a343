"""A tag's id in texts and messages, in whatever spelling: found, and taken out. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from shared.identifiers import normalise_tag

ERASED_TEXT = "(erased)"
"""What stands in a text where a tag's id was."""

SHORTEST_IN_TEXT = 4
"""Shorter ids are looked for in fields of tags only: a text holds their letters by chance."""

_NO_PERSON = frozenset(
    ("chargerid", "transactionid", "evsetransactionid", "siteid", "externalsiteid", "sessionid")
)
"""Fields that name other things: what looks like the tag there is another's id."""

_SEPARATORS = r"[\s:\-._]*"
# With the zero bytes of UTF-16 in between.
_BYTE_SEPARATORS = rb"[\s:\-._\x00]*"


class TagText:
    """One tag's id, to be found and taken out."""

    def __init__(self, tag: str) -> None:
        self.normalised = normalise_tag(tag)
        self._in_text = len(self.normalised) >= SHORTEST_IN_TEXT
        letters = [re.escape(letter) for letter in self.normalised]
        self._text = re.compile(rf"(?<![^\W_]){_SEPARATORS.join(letters)}(?![^\W_])", re.IGNORECASE)
        encoded = [re.escape(letter.encode("utf-8", "surrogatepass")) for letter in self.normalised]
        self._bytes = re.compile(
            rb"(?<![A-Za-z0-9])" + _BYTE_SEPARATORS.join(encoded) + rb"(?![A-Za-z0-9])",
            re.IGNORECASE,
        )

    def is_in(self, text: str) -> bool:
        """Whether a text names the tag."""
        return self.without(text) != text

    def without(self, text: str) -> str:
        """The text, with `(erased)` where the tag stood."""
        if normalise_tag(text) == self.normalised:
            return ERASED_TEXT
        return self._text.sub(ERASED_TEXT, text) if self._in_text else text

    def without_in_body(self, body: bytes) -> bytes:
        """A message's bytes without the tag: in JSON its fields become null.

        A body that does not name it is given back as it is. Bytes that are no JSON keep their
        length: each byte of the id becomes an asterisk.
        """
        try:
            value = json.loads(body)
            if isinstance(value, str):
                value = json.loads(value)
        except (ValueError, RecursionError):
            return self._without_in_bytes(body)
        redacted = self._redact(value, "")
        if redacted != value:
            return json.dumps(redacted, ensure_ascii=False, separators=(",", ":")).encode(
                "utf-8", "surrogatepass"
            )
        return self._hidden(body, value)

    def _hidden(self, body: bytes, value: object) -> bytes:
        """Of a field that is named twice JSON shows the last one only: the first is dropped."""
        shown = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", "surrogatepass"
        )
        more = len(self._bytes.findall(body)) > len(self._bytes.findall(shown))
        return shown if self._in_text and more else body

    def _without_in_bytes(self, body: bytes) -> bytes:
        if not self._in_text:
            return body
        return self._bytes.sub(lambda match: b"*" * len(match[0]), body)

    def _redact(self, value: Any, name: str) -> Any:  # noqa: ANN401 - JSON is any of its types
        match value:
            case dict():
                return {
                    self.without(key) if self._in_text else key: self._redact(inner, key)
                    for key, inner in value.items()
                }
            case list():
                return [self._redact(inner, name) for inner in value]
            case str() | int() | float() if not isinstance(value, bool):
                return None if self._names(value, name.casefold()) else value
            case _:
                return value

    def _names(self, value: str | float, field: str) -> bool:
        if field in _NO_PERSON:
            return False
        # As ingestion reads a tag: 12345678.0 is the tag 12345678.
        whole = isinstance(value, float) and value.is_integer()
        text = str(int(value)) if whole else str(value)
        if "tag" in field and normalise_tag(text) == self.normalised:
            return True
        return self._in_text and isinstance(value, str) and self.is_in(value)
