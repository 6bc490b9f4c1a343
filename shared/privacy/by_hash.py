"""Ids of tags of which only the keyed hash is known, found in texts and messages. Pure.

Whatever in a text may be an id is hashed and looked up. That costs a hash for each word, so it is
done where a hash is all that there is: when a backup is restored from before an erasure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from shared.identifiers import MAX_ID_CHARACTERS, hash_tag, normalise_tag
from shared.storage.rows import Value

MOST_WORDS = 10
"""Of how many words between separators an id is put together: the bytes of a long card id."""

_MOST_SEEN = 100_000
_WORDS = re.compile(r"[^\W_]+(?:[\s:\-._]+[^\W_]+)*")
_SEPARATORS = re.compile(r"[\s:\-._]+")
_QUOTED = re.compile(r'"([^"\\]{1,255})"')
_CHUNKS = re.compile(r"[^\s\"',;()\[\]{}<>]{1,255}")
_ESCAPES = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_WHITE = {"n": " ", "r": " ", "t": " ", "b": " ", "f": " "}
_INSTANTS = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?")
_ESCAPED_TWICE = 2


def possible_ids(text: str) -> Iterator[str]:
    """All in a text that may be a tag's id, normalised: words, and what separators join.

    In JSON also whole strings, and what is written with escapes, once or twice. No instants.
    """
    yield normalise_tag(text[:MAX_ID_CHARACTERS])
    for _ in range(_ESCAPED_TWICE + 1):
        yield from _of_plain(_INSTANTS.sub("|", text))
        if "\\" not in text:
            return
        text = _ESCAPES.sub(_unescaped, text)


def _of_plain(text: str) -> Iterator[str]:
    for quoted in _QUOTED.finditer(text):
        yield normalise_tag(quoted[1])
    for chunk in _CHUNKS.finditer(text):
        yield normalise_tag(chunk[0])
    for run in _WORDS.finditer(text):
        words = [word.casefold().upper() for word in _SEPARATORS.split(run[0])]
        for first in range(len(words)):
            joined = ""
            for word in words[first : first + MOST_WORDS]:
                joined += word
                yield joined


def _unescaped(match: re.Match[str]) -> str:
    code, letter = match.groups()
    return chr(int(code, 16)) if code else _WHITE.get(letter, letter)


class HashedTags:
    """Looks for tags by their hashes; `found` are the ids that it met, normalised, by hash."""

    def __init__(self, hashes: set[str], keys: Sequence[bytes]) -> None:
        self._hashes = hashes
        self._keys = keys
        self._seen: set[str] = set()
        self.found: dict[str, str] = {}

    def look_at_row(self, columns: Mapping[str, Value]) -> None:
        """Look at all texts of a row, and at its message."""
        pieces = [
            columns[name]
            for name in sorted(columns)
            if name == "body" or (name.startswith("body_") and name != "body_blob")
        ]
        if pieces:
            # Joined: an id may lie across two of them.
            self.look_at_bytes(
                b"".join(
                    piece if isinstance(piece, bytes) else _bytes(str(piece)) for piece in pieces
                )
            )
        for name, value in columns.items():
            if isinstance(value, str) and not name.startswith("body"):
                self.look_at(value)

    def look_at_bytes(self, content: bytes) -> None:
        """Look at a message: JSON or whatever it is, also with the zero bytes of UTF-16."""
        self.look_at(content.decode(errors="replace"))
        if b"\x00" in content:
            self.look_at(content.replace(b"\x00", b"").decode(errors="replace"))

    def look_at(self, text: str) -> None:
        """Look at a text."""
        for possible in possible_ids(text):
            # Names of fields, chargers and states come again and again.
            if possible in self._seen:
                continue
            if len(self._seen) >= _MOST_SEEN:
                self._seen.clear()
            self._seen.add(possible)
            for key in self._keys:
                if (hashed := hash_tag(possible, key)) in self._hashes:
                    self.found[hashed] = normalise_tag(possible)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
