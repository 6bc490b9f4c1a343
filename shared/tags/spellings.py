"""Other spellings of one card: readers turn its bytes round, or fill its number up with zeros."""

from __future__ import annotations

import re
from collections.abc import Sequence

from shared.identifiers import hash_tag, normalise_tag

REVERSED, PADDED = "reversed", "padded"
SPELLINGS = (REVERSED, PADDED)

_HEX = re.compile(r"(?:[0-9A-F]{2}){2,32}")
_UID_DIGITS = (8, 14, 20)
"""Hexadecimal digits of a card's number: 4, 7 or 10 bytes (ISO/IEC 14443-3)."""


def spellings_of(tag: str, kinds: Sequence[str]) -> list[str]:
    """The normalised tag, then its other spellings of these kinds, each once.

    Only hexadecimal numbers have any. Padded: without the zeros in front, and filled up with them
    to 4, 7 or 10 bytes. Reversed: the bytes of each of those from the last to the first.
    """
    own = normalise_tag(tag)
    found = [own]
    if PADDED in kinds and re.fullmatch(r"[0-9A-F]{1,64}", own):
        digits = own.lstrip("0") or "0"
        found.append(digits)
        found += [digits.zfill(width) for width in _UID_DIGITS if len(digits) <= width]
    if REVERSED in kinds:
        found += [bytes.fromhex(each)[::-1].hex().upper() for each in found if _HEX.fullmatch(each)]
    return list(dict.fromkeys(found))


def hashes_of(tag: str, keys: Sequence[bytes], kinds: Sequence[str] = ()) -> list[str]:
    """The hashes under which a tag may lie: its own under the current key first.

    `keys` are the current key and, while tags are moved, the previous one.
    """
    return [hash_tag(each, key) for each in spellings_of(tag, kinds) for key in keys]
