"""Reading the fields of a message: tolerant of how a value is written, strict on what it may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from shared.errors import Fault
from shared.identifiers import MAX_ID_CHARACTERS
from shared.instants import EPOCH_OF_CHARGERS, parse_instant
from shared.push.json_reading import found

MAX_TEXT_CHARACTERS = 4096
_MAX_AHEAD = timedelta(days=1)
_MAX_BEHIND = timedelta(days=-365)
_MAX_SOCKET = 2**31 - 1


class FieldReader:
    """The fields of one message, with all faults and flags met on the way.

    What is written as eMabler documents it is read at once; the methods whose names begin with
    `_unusual` take the rest.
    """

    flags: tuple[str, ...] = ()

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = fields
        self.faults: list[Fault] = []

    def flag(self, name: str) -> None:
        """Note once that something was odd."""
        if name not in self.flags:
            self.flags += (name,)

    def fault(self, name: str, expected: str, value: object) -> None:
        """Note that a field cannot be."""
        self.faults.append(Fault(name, expected, found(value)))

    def adopt(self, inner: FieldReader, path: str) -> None:
        """Take over what the reader of a part of the message met."""
        self.faults.extend(replace(each, field=path + each.field) for each in inner.faults)
        for name in inner.flags:
            self.flag(name)

    def text(self, name: str, longest: int = MAX_TEXT_CHARACTERS) -> str | None:
        """A text, or a number written as its text; null, empty and blank are absent."""
        value = self.fields.get(name)
        if type(value) is str and len(value) <= longest:
            return None if value.isspace() else value or None
        return None if value is None else self._unusual_text(name, value, longest)

    def _unusual_text(self, name: str, value: object, longest: int) -> str | None:
        text = as_text(value)
        if text is None and not isinstance(value, str):
            self.fault(name, "text", value)
        elif text is not None and len(text) > longest:
            expected = f"at most {longest} characters"
            self.faults.append(Fault(name, expected, f"{len(text)} characters"))
            return None
        return text

    def identifier(self, name: str) -> str | None:
        """An identifier: a text of at most 255 characters; the number 7 is "7", "007" stays."""
        return self.text(name, MAX_ID_CHARACTERS)

    def required_identifier(self, name: str) -> str:
        """An identifier that must be there; its absence is a fault."""
        faults = len(self.faults)
        value = self.text(name, MAX_ID_CHARACTERS)
        if value is None:
            if len(self.faults) == faults:
                self.fault(name, "an identifier", self.fields.get(name))
            return ""
        return value

    def socket(self, name: str = "socketId") -> int:
        """A socket's number, 0 or more; its absence is a fault."""
        value = self.fields.get(name)
        if type(value) is int and 0 <= value <= _MAX_SOCKET:
            return value
        number = as_number(value)
        if number is None or not number.is_integer() or not 0 <= number <= _MAX_SOCKET:
            self.fault(name, "a whole number from 0 on", value)
            return 0
        return int(number)

    def number(self, name: str) -> float | None:
        """A finite number, or a text that is one; null and empty are absent."""
        value = self.fields.get(name)
        if value is None:
            return None
        number = as_number(value)
        if number is None and not _is_blank(value):
            self.fault(name, "a number", value)
        return number

    def instant(self, *names: str) -> datetime | None:
        """The first of these fields that is there: the generations name one thing differently.

        An instant that cannot be read counts as none and is flagged.
        """
        for name in names:
            value = self.fields.get(name)
            if value is None:
                continue
            instant = parse_instant(value) if type(value) is str else None
            if instant is not None:
                return instant
            if not _is_blank(value):
                self.flag("time_unreadable")
                return None
        return None

    def event_instant(self, device: datetime | None, received: datetime | None) -> datetime | None:
        """The event's own time: the device's when plausible, else the time of reception."""
        if device is None:
            self.flag("device_time_missing")
        elif is_plausible(device, received):
            return device
        else:
            self.flag("device_time_implausible")
        return received


def _is_blank(value: object) -> bool:
    return isinstance(value, str) and (not value or value.isspace())


def as_text(value: object) -> str | None:
    """A text or a number as text; None for anything else, and for a text that is blank."""
    if isinstance(value, str):
        return None if _is_blank(value) else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def as_number(value: object) -> float | None:
    """A finite float from a JSON number or a text that is one; else None."""
    if isinstance(value, str):
        # What Python reads as a number beyond what others do.
        if not value.isascii() or "_" in value:
            return None
    elif isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    # -0.0 equals 0.0 but is written otherwise, and infinity minus itself is no number.
    return number + 0.0 if number - number == 0 else None


def is_plausible(device: datetime, received: datetime | None) -> bool:
    """Whether a device's clock can have been right.

    Not before 2015; and, where the time of reception is known, not more than a day after it nor
    more than 365 days before it. The limits themselves are plausible.
    """
    if device < EPOCH_OF_CHARGERS:
        return False
    return received is None or _MAX_BEHIND <= device - received <= _MAX_AHEAD
