"""Reading the fields of a message: tolerant of how a value is written, strict on what it may be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from shared.errors import Fault
from shared.identifiers import MAX_ID_CHARACTERS
from shared.instants import EPOCH_OF_CHARGERS, parse_instant
from shared.push.json_reading import found

MAX_TEXT_CHARACTERS = 4096
_MAX_AHEAD = timedelta(days=1)
_MAX_BEHIND = timedelta(days=365)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)


class FieldReader:
    """The fields of one message (or one sample of it), with all faults and flags met on the way."""

    def __init__(self, fields: Mapping[str, Any], path: str = "") -> None:
        self.fields = fields
        self.faults: list[Fault] = []
        self.flags: list[str] = []
        self._path = path

    def flag(self, name: str) -> None:
        """Note once that something was odd."""
        if name not in self.flags:
            self.flags.append(name)

    def fault(self, name: str, expected: str, value: object) -> None:
        """Note that a field cannot be."""
        self.faults.append(Fault(self._path + name, expected, found(value)))

    def text(self, name: str, longest: int = MAX_TEXT_CHARACTERS) -> str | None:
        """A text, or a number written as its text; null, empty and blank are absent."""
        value = self.fields.get(name)
        match value:
            case None:
                return None
            case str():
                text = value
            case float() if value.is_integer():
                text = str(int(value))
            case int() | float() if not isinstance(value, bool):
                text = str(value)
            case _:
                self.fault(name, "text", value)
                return None
        if len(text) > longest:
            self.faults.append(
                Fault(self._path + name, f"at most {longest} characters", f"{len(text)} characters")
            )
            return None
        return text if text.strip() else None

    def identifier(self, name: str) -> str | None:
        """An identifier: a text of at most 255 characters; the number 7 is "7", "007" stays."""
        return self.text(name, MAX_ID_CHARACTERS)

    def required_identifier(self, name: str) -> str:
        """An identifier that must be there; its absence is a fault."""
        value = self.identifier(name)
        if value is None and not any(fault.field == self._path + name for fault in self.faults):
            self.fault(name, "an identifier", self.fields.get(name))
        return value or ""

    def socket(self, name: str = "socketId") -> int:
        """A socket's number, 0 or more; its absence is a fault."""
        value = self.fields.get(name)
        number: int | None = None
        match value:
            case bool():
                pass
            case int():
                number = value
            case float() if value.is_integer():
                number = int(value)
            case str() if _INTEGER.fullmatch(value.strip()):
                number = int(value)
        if number is None or not 0 <= number < 2**31:
            self.fault(name, "a whole number from 0 on", value)
            return 0
        return number

    def number(self, name: str) -> float | None:
        """A finite number, or a text that is one; null and empty are absent."""
        value = self.fields.get(name)
        number = as_number(value)
        if number is None and not (value is None or (isinstance(value, str) and not value.strip())):
            self.fault(name, "a number", value)
        return number

    def instant(self, name: str) -> datetime | None:
        """An instant; one that cannot be read counts as none and is flagged."""
        value = self.fields.get(name)
        if value is None or value == "":
            return None
        instant = parse_instant(value) if isinstance(value, str) else None
        if instant is None:
            self.flag("time_unreadable")
        return instant

    def first_instant(self, *names: str) -> datetime | None:
        """The first of several fields that is there: the generations name one thing differently."""
        for name in names:
            if self.fields.get(name) is not None:
                return self.instant(name)
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


def as_number(value: object) -> float | None:
    """A finite float from a JSON number or a text that is one; else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float) or (
        isinstance(value, str) and _NUMBER.fullmatch(value.strip())
    ):
        try:
            number = float(value)
        except OverflowError:
            return None
        # -0.0 equals 0.0 but is written otherwise, and infinity minus itself is no number.
        return number + 0.0 if number - number == 0 else None
    return None


def is_plausible(device: datetime, received: datetime | None) -> bool:
    """Whether a device's clock can have been right.

    Not before 2015; and, where the time of reception is known, not more than a day after it nor
    more than 365 days before it. The limits themselves are plausible.
    """
    if device < EPOCH_OF_CHARGERS:
        return False
    if received is None:
        return True
    return received - _MAX_BEHIND <= device <= received + _MAX_AHEAD if received.year > 1 else False
