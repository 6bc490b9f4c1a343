"""A timer's schedule as a setting: the six fields that Azure Functions takes, seconds first.

Azure: "Timer trigger for Azure Functions", NCRONTAB expressions. A host that cannot read one leaves
the function out, and says so in the log of its start only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ITEM = re.compile(r"(?:\*|([^-/*]+)(?:-([^-/*]+))?)(?:/(\d+))?", re.ASCII)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@dataclass(frozen=True, slots=True)
class _Field:
    """One field: what it is called, its least and its greatest number, and names for them."""

    name: str
    least: int
    greatest: int
    names: tuple[str, ...] = ()

    def takes(self, text: str) -> bool:
        return all(self._is_item(item) for item in text.split(","))

    def _is_item(self, item: str) -> bool:
        found = _ITEM.fullmatch(item)
        if found is None:
            return False
        first, last, step = found.groups()
        numbers = [self._number(text) for text in (first, last) if text is not None]
        in_order = all(
            number is not None and self.least <= number <= self.greatest for number in numbers
        ) and numbers == sorted(numbers, key=lambda number: number or 0)
        return in_order and (step is None or int(step) > 0)

    def _number(self, text: str) -> int | None:
        if text.isascii() and text.isdigit():
            return int(text)
        short = text.casefold()[:3]
        return self.names.index(short) + self.least if short in self.names else None


_FIELDS = (
    _Field("seconds", 0, 59),
    _Field("minutes", 0, 59),
    _Field("hours", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 0, 6, _DAYS),
)


def schedule(value: str) -> str:
    """The schedule as it was written, where the host can read it.

    Raises:
        ValueError: It has not six fields, or one of them is not of its range.
    """
    texts = value.split()
    if len(texts) != len(_FIELDS):
        raise ValueError("is no schedule of six fields, seconds first, such as 0 30 2 * * *")
    for text, field in zip(texts, _FIELDS, strict=True):
        if not field.takes(text):
            bounds = f"{field.least} to {field.greatest}"
            message = (
                "is no schedule of six fields, seconds first: "
                f"{text} are no {field.name} ({bounds})"
            )
            raise ValueError(message)
    return value
