"""Chance that is the same everywhere: numbers drawn from a hash of what they are drawn for.

Python's own generators promise the same numbers for one version only. Here a number is a function
of the seed and of the names given, and of nothing else: no order of calls, no platform.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

_BITS = 53
_STEPS: Final = float(1 << _BITS)
_WORD_BYTES = 8


class Chance:
    """A stream of numbers for one subject, such as a seed, a charger and a purpose."""

    def __init__(self, *subject: object) -> None:
        self._key = "\x1f".join(map(str, subject)).encode()
        self._drawn = 0

    def share(self) -> float:
        """Draw a number from 0 (included) to 1 (excluded)."""
        word = hashlib.blake2b(
            self._key, digest_size=_WORD_BYTES, salt=self._drawn.to_bytes(_WORD_BYTES)
        ).digest()
        self._drawn += 1
        return (int.from_bytes(word) >> (_WORD_BYTES * 8 - _BITS)) / _STEPS

    def whole(self, lowest: int, highest: int) -> int:
        """Draw a whole number; both ends are included."""
        return lowest + int(self.share() * (highest - lowest + 1))

    def one_of[T](self, choices: Sequence[T]) -> T:
        """Draw one of several, each as likely."""
        return choices[self.whole(0, len(choices) - 1)]

    def weighted[T](self, choices: Sequence[tuple[T, float]]) -> T | None:
        """Draw one of several by its probability; None with what is left to 1."""
        left = self.share()
        for choice, probability in choices:
            if left < probability:
                return choice
            left -= probability
        return None

    def happens(self, rate: float) -> bool:
        """Whether something of this probability comes about."""
        return self.share() < rate
