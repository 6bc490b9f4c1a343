"""Constraints of route parameters, such as `int` in `{id:int}`.

The names and meanings are those of ASP.NET Core
(https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-constraints).
"""

import re
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

Constraint = Callable[[str], bool]

_CALL = re.compile(r"(?P<name>[A-Za-z]+)(?:\((?P<arguments>.*)\))?", re.DOTALL)
_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*")
_NUMBER = re.compile(r"\s*[+-]?(?:\d[\d,]*\.?\d*|\.\d+)\s*")
_FLOAT = re.compile(
    r"\s*[+-]?(?:(?:\d[\d,]*\.?\d*|\.\d+)(?:e[+-]?\d+)?|nan|infinity|∞)\s*", re.IGNORECASE
)
_INT_BITS = 31
_LONG_BITS = 63


def parse_constraint(text: str) -> Constraint:
    """The test that a constraint such as `int` or `length(1,5)` puts on a parameter's value.

    Raises:
        ValueError: There is no such constraint, or its arguments do not fit.
    """
    call = _CALL.fullmatch(text.strip())
    name = call["name"].lower() if call else ""
    if call is None or (name not in _PLAIN and name not in _WITH_ARGUMENTS):
        raise ValueError(f"'{text}' is no route constraint")
    if name in _PLAIN:
        if call["arguments"] is not None:
            raise ValueError(f"the route constraint '{name}' takes no arguments")
        return _PLAIN[name]
    if call["arguments"] is None:
        raise ValueError(f"the route constraint '{name}' needs arguments")
    if name == "regex":
        return _regex(call["arguments"])
    try:
        numbers = [int(argument) for argument in call["arguments"].split(",")]
        return _WITH_ARGUMENTS[name](*numbers)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the route constraint '{text}' has wrong arguments") from error


def _integer(bits: int) -> Constraint:
    def fits(value: str) -> bool:
        return bool(_INTEGER.fullmatch(value)) and -(1 << bits) <= int(value) < 1 << bits

    return fits


_is_long = _integer(_LONG_BITS)


def _is_guid(value: str) -> bool:
    try:
        UUID(value.strip().strip("(){}"))
    except ValueError:
        return False
    return True


def _is_instant(value: str) -> bool:
    for form in (None, "%m/%d/%Y", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M"):
        try:
            datetime.fromisoformat(value) if form is None else datetime.strptime(value, form)  # noqa: DTZ007  # only whether it can be read
        except ValueError:
            continue
        return True
    return False


def _regex(pattern: str) -> Constraint:
    try:
        compiled = re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"the regex of a route cannot be read: {error}") from error
    return lambda value: bool(compiled.search(value))


def _length(least: int, most: int | None = None) -> Constraint:
    highest = least if most is None else most
    return lambda value: least <= len(value) <= highest


def _range(least: int, most: int) -> Constraint:
    return lambda value: _is_long(value) and least <= int(value) <= most


_PLAIN: dict[str, Constraint] = {
    "int": _integer(_INT_BITS),
    "long": _is_long,
    "bool": lambda value: value.strip().lower() in {"true", "false"},
    "decimal": lambda value: bool(_NUMBER.fullmatch(value)),
    "double": lambda value: bool(_FLOAT.fullmatch(value)),
    "float": lambda value: bool(_FLOAT.fullmatch(value)),
    "guid": _is_guid,
    "datetime": _is_instant,
    "alpha": lambda value: bool(re.fullmatch(r"[A-Za-z]*", value)),
    "required": bool,
}
_WITH_ARGUMENTS: dict[str, Callable[..., Constraint]] = {
    "minlength": lambda least: lambda value: len(value) >= least,
    "maxlength": lambda most: lambda value: len(value) <= most,
    "length": _length,
    "min": lambda least: lambda value: _is_long(value) and int(value) >= least,
    "max": lambda most: lambda value: _is_long(value) and int(value) <= most,
    "range": _range,
    "regex": _regex,
}
