"""A timer's schedule as a setting: the six fields that Azure Functions takes, seconds first."""

from __future__ import annotations

import re

_FIELDS = 6
_FIELD = re.compile(r"[\dA-Za-z*/,\-]+")


def schedule(value: str) -> str:
    """The schedule as it was written, where it can be one.

    Raises:
        ValueError: It has not six fields of the characters that schedules are made of.
    """
    fields = value.split()
    if len(fields) != _FIELDS or not all(map(_FIELD.fullmatch, fields)):
        raise ValueError("is no schedule of six fields, seconds first, such as 0 30 2 * * *")
    return value
