"""Reads fields of REST items tolerantly, and counts where they are not what we rely on.

eMabler calls its API a beta: texts may be null or absent, ids come as numbers or texts, enums as
names or numbers, times as sentinels such as `0001-01-01T00:00:00Z`. None of that is an error. What
nobody announced is *drift*: a field that is not there any more, has another type, or a value that
we do not know. A reader notes it into the `Drift` that it is given.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from shared.instants import parse_instant

type Item = Mapping[str, Any]
"""One item of a list as it came: a JSON object with all its fields, known to us or not."""

ENOUGH_ITEMS = 5
"""From so many items on, a field that none of them has is called vanished."""

MOST_CHARACTERS = 10_000
"""A longer text is none: no id is so long, and a column of the store takes 32 Ki."""

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
"""What lies before it is a sentinel of a server's date type, not an instant."""

_NEVER = datetime(9999, 1, 1, tzinfo=UTC)
_SENTINELS = ("0001-", "9999-")
_EXACT_FLOAT = 2**53
_BOOLEANS: Mapping[object, bool] = {"true": True, "false": False, "1": True, "0": False}


class Flaw(StrEnum):
    """How a field differs from what we rely on. Required is what identifies an item or page."""

    MISSING = "missing"
    REQUIRED_MISSING = "required_missing"
    WRONG_TYPE = "wrong_type"
    UNKNOWN_VALUE = "unknown_value"


class Drift:
    """Counts what readers met, by kind of item and field.

    `relied_on` are fields that a reader looked for and did not find; see `fields_relied_on`.
    """

    def __init__(self) -> None:
        self.items: Counter[str] = Counter()
        self.flaws: Counter[tuple[str, str, Flaw]] = Counter()
        self.relied_on: set[tuple[str, str]] = set()

    def note(self, kind: str, field: str, flaw: Flaw) -> None:
        """Count one field of one item."""
        self.flaws[kind, field, flaw] += 1

    def vanished(self) -> list[tuple[str, str]]:
        """Fields that not one of enough items had: kind and field.

        Servers leave out what is null: that a few items lack a field says nothing.
        """
        return sorted(
            (kind, field)
            for (kind, field, flaw), count in self.flaws.items()
            if flaw is Flaw.MISSING and count >= self.items[kind] >= ENOUGH_ITEMS
        )

    def told(self) -> dict[str, int]:
        """What is worth telling: `kind.field flaw` with its count; missing only where vanished."""
        gone = set(self.vanished())
        return {
            f"{kind}.{field} {flaw}": count
            for (kind, field, flaw), count in sorted(self.flaws.items())
            if flaw is not Flaw.MISSING or (kind, field) in gone
        }


class Fields:
    """The fields of one item, read by name. What cannot be read is None and noted.

    `wrong` names the fields that hold something which is not what they should hold: for a caller
    to whom "nothing" and "unreadable" are not the same.

    Each reading begins with what is usual, in one step: a run reads as many items as the fleet has
    sessions, and hardly one of them is odd.
    """

    def __init__(self, kind: str, item: Item, drift: Drift | None) -> None:
        self.kind = kind
        self.item = item
        self.wrong: set[str] = set()
        self._drift = drift
        if drift is not None:
            drift.items[kind] += 1

    def text(self, name: str, *, optional: bool = False) -> str | None:
        """A text, or a number as text: the number 7 is "7". Blank is none."""
        value = self.item.get(name)
        if (
            type(value) is str
            and 0 < len(value) <= MOST_CHARACTERS
            and value.isascii()
            and not value.isspace()
        ):
            return value
        if type(value) is int:
            return str(value)
        return self._read(name, as_text, optional=optional)

    def number(self, name: str, *, optional: bool = False) -> float | None:
        """A finite number, also as text."""
        value = self.item.get(name)
        if type(value) is int and -_EXACT_FLOAT < value < _EXACT_FLOAT:
            return float(value)
        return self._read(name, finite, optional=optional)

    def whole(self, name: str, *, below: int, optional: bool = False) -> int | None:
        """A whole number from 0 to below a bound, also as text."""
        value = self.item.get(name)
        if type(value) is int and 0 <= value < below:
            return value
        number = self.number(name, optional=optional)
        if number is None:
            return None
        if number.is_integer() and 0 <= number < below:
            return int(number)
        self._wrong(name, Flaw.UNKNOWN_VALUE)
        return None

    def instant(self, name: str, *, optional: bool = False) -> datetime | None:
        """An instant. Sentinels tell none: before 1970, or in the year 9999."""
        value = self.item.get(name)
        if type(value) is str and not value.startswith(_SENTINELS):
            usual = parse_instant(value)
            if usual is not None and _EARLIEST <= usual < _NEVER:
                return usual
        instant = self._read(name, _instant, optional=optional)
        return instant if instant is not None and _EARLIEST <= instant < _NEVER else None

    def flag(self, name: str, *, optional: bool = False) -> bool | None:
        """A boolean, also as text or number."""
        return self._read(
            name, lambda value: _BOOLEANS.get(str(value).strip().lower()), optional=optional
        )

    def one_of(self, name: str, names: Sequence[str], numbered: int = 0) -> str | None:
        """An enum's name: as it is spelled in `names`, or by its number among the first of them.

        Case and blanks do not count. A name that we do not know is kept as it came, and noted.
        """
        value = self.text(name)
        if value is None:
            return None
        if value.isdecimal() and value.isascii():
            if len(value) < 4 and int(value) < numbered:  # noqa: PLR2004 - no enum is that long
                return names[int(value)]
        else:
            known = {_folded(each): each for each in names}.get(_folded(value))
            if known is not None:
                return known
        self._note(name, Flaw.UNKNOWN_VALUE)
        return value

    def objects(self, name: str) -> list[Item]:
        """A list of objects; what is no object in it is left out and noted."""
        value = self._value(name, optional=False)
        if value is None:
            return []
        if not isinstance(value, list):
            self._wrong(name)
            return []
        found: list[Item] = [each for each in value if isinstance(each, dict)]
        if len(found) < len(value):
            self._wrong(name)
        return found

    def need(self, *names: str) -> None:
        """Note which of these, that together identify the item, it does not tell."""
        for name in names:
            if self._is_nothing(self.item.get(name)):
                self._note(name, Flaw.REQUIRED_MISSING)

    def _read[T](self, name: str, read: Callable[[Any], T | None], *, optional: bool) -> T | None:
        value = self._value(name, optional=optional)
        if value is None:
            return None
        found = read(value)
        if found is None:
            self._wrong(name)
        return found

    def _value(self, name: str, *, optional: bool) -> Any:  # noqa: ANN401 - JSON
        if name not in self.item:
            if self._drift is not None:
                self._drift.relied_on.add((self.kind, name))
            if not optional:
                self._note(name, Flaw.MISSING)
            return None
        value = self.item[name]
        return None if self._is_nothing(value) else value

    @staticmethod
    def _is_nothing(value: object) -> bool:
        return value is None or (isinstance(value, str) and not value.strip())

    def _wrong(self, name: str, flaw: Flaw = Flaw.WRONG_TYPE) -> None:
        self.wrong.add(name)
        self._note(name, flaw)

    def _note(self, name: str, flaw: Flaw) -> None:
        if self._drift is not None:
            self._drift.note(self.kind, name, flaw)


def finite(value: object) -> float | None:
    """A finite number, also as text; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def as_text(value: object) -> str | None:
    """A text, or a whole number as one; None where it is neither.

    Nor is half a surrogate pair text, which JSON can hold and no table can, nor what is longer than
    `MOST_CHARACTERS`.
    """
    match value:
        case bool():
            return None
        case int():
            return str(value)
        case float() if value.is_integer() and abs(value) < _EXACT_FLOAT:
            return str(int(value))
        case str() if len(value) <= MOST_CHARACTERS:
            try:
                value.encode()
            except UnicodeEncodeError:
                return None
            return value
    return None


def _instant(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    if value.startswith(_SENTINELS):
        # Their offset may carry them out of the calendar.
        return datetime.min.replace(tzinfo=UTC)
    return parse_instant(value)


def fields_relied_on(read: Callable[[Item, Drift], object]) -> set[tuple[str, str]]:
    """The fields that a reader relies on, as kind and field: those that it looks for."""
    drift = Drift()
    read({}, drift)
    return drift.relied_on


def _folded(name: str) -> str:
    return "".join(name.split()).casefold()
