"""What a query reads of the wide event: its fields, as what it takes them, with what it compares.

A query names the wide event `wide` (`extend wide = parse_json(Message)`) or reads a field of
`parse_json(Message)` at once; any other use of it could hide a field from this reading.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_WIDE = r"(?:wide|parse_json\(Message\))"
_FIELD = re.compile(rf"\b{_WIDE}\.(\w+)")
_READ = re.compile(rf"(\w+)\({_WIDE}\.(\w+)\)")
_COMPARED = re.compile(rf'tostring\({_WIDE}\.(\w+)\)\s*(?:==|!=|=~)\s*"([^"]*)"')
_EXPANDED = re.compile(rf"mv-expand kind=array \w+ = {_WIDE}\.(\w+)")
_NAMED = re.compile(r"extend wide = parse_json\(Message\)")

AS = {
    "text": {"tostring"},
    "instant": {"todatetime"},
    "boolean": {"tobool", "tostring"},
    "count": {"tolong"},
    "number": {"tolong"},
    "bytes": {"tolong"},
    "ms": {"todouble"},
    "s": {"todouble"},
}
"""Unit of a field in shared/telemetry.py → the conversions that fit it."""

_WHETHER = {"isnotnull", "isnull"}


@dataclass(frozen=True, slots=True)
class Reading:
    """A query without its comments."""

    text: str

    @classmethod
    def of(cls, query: str) -> Reading:
        return cls("\n".join(line for line in query.splitlines() if not line.startswith("//")))

    @property
    def fields(self) -> set[str]:
        """All fields of the wide event that it reads."""
        return set(_FIELD.findall(self.text))

    def reads(self) -> Iterator[tuple[str, str]]:
        """Each conversion with its field, and `mv-expand` with each bag that is taken apart."""
        for function, name in _READ.findall(self.text):
            if function not in _WHETHER:
                yield function, name
        for name in _EXPANDED.findall(self.text):
            yield "mv-expand", name

    def compares(self) -> Iterator[tuple[str, str]]:
        """Each field that is compared with a text, and that text."""
        yield from _COMPARED.findall(self.text)

    @property
    def hidden(self) -> int:
        """How often it uses the wide event in a way that this reading does not see."""
        seen = len(_NAMED.findall(self.text)) + len(
            re.findall(r"parse_json\(Message\)\.", self.text)
        )
        brackets = len(re.findall(rf"\b{_WIDE}\[", self.text))
        return self.text.count("parse_json(Message)") - seen + brackets


def fits(function: str, unit: str) -> bool:
    """Whether a field of this unit may be read so."""
    if unit.startswith("count by"):
        return function == "mv-expand"
    return function in AS[unit]
