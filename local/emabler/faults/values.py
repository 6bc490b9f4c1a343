"""Values as the field has them: numbers for names, other cases, nulls, sentinel dates.

Each function changes the item of a row, which is a JSON object in the making.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from local.emabler.faults.plan import Plan
from local.emabler.faults.rules import FaultName, Rule

type Item = dict[str, Any]

STATES = (
    "Online",
    "Error",
    "Offline",
    "Info",
    "Charging",
    "SuspendedCAR",
    "SuspendedCharger",
    "Preparing",
    "Finishing",
    "Reserved",
    "Booting",
    "Unavailable",
)
"""A charger's states; the older revision of the description has them as 0 to 11, in this order."""

SENTINEL = "0001-01-01T00:00:00Z"
MAY_BE_ABSENT = ("lastSeen", "lastUpdated", "startDate", "operationTimestamp")

_OTHER_CASE = {"SuspendedCharger": "SuspendedCHARGER", "SuspendedCAR": "SuspendedCar"}
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)")
_MICROSECONDS = 6


def _objects(item: Item) -> Iterator[Item]:
    yield item
    yield from item.get("sockets", ())


def _enums_as_numbers(item: Item, _rule: Rule, _plan: Plan, _number: int) -> None:
    if item.get("state") in STATES:
        item["state"] = STATES.index(item["state"])


def _status_case(item: Item, _rule: Rule, _plan: Plan, _number: int) -> None:
    for each in _objects(item):
        for name in ("state", "status"):
            if each.get(name) in _OTHER_CASE:
                each[name] = _OTHER_CASE[each[name]]


def _null_strings(item: Item, rule: Rule, plan: Plan, number: int) -> None:
    for name in [name for name, value in item.items() if value == ""]:
        how = rule.how or plan.choose(("nulled", "left_out"), "null_strings", number, name)
        if how == "left_out":
            del item[name]
        else:
            item[name] = None


def _sentinel_dates(item: Item, _rule: Rule, _plan: Plan, _number: int) -> None:
    for each in _objects(item):
        for name in MAY_BE_ABSENT:
            if name in each:
                each[name] = SENTINEL


def _long_fractions(item: Item, _rule: Rule, plan: Plan, number: int) -> None:
    for each in _objects(item):
        for name, value in each.items():
            found = _TIME.fullmatch(value) if isinstance(value, str) else None
            if found and len(found[2] or "") <= _MICROSECONDS and value != SENTINEL:
                digit = plan.choose((1, 2, 3, 4, 5, 6, 7, 8, 9), "long_fractions", number, name)
                fraction = (found[2] or "").ljust(_MICROSECONDS, "0")
                each[name] = f"{found[1]}.{fraction}{digit}{found[3]}"


def _unknown_fields(item: Item, _rule: Rule, _plan: Plan, number: int) -> None:
    item["somethingNew"] = {"since": number, "parts": [None, True, "text"]}


VALUE_FAULTS: dict[FaultName, Callable[[Item, Rule, Plan, int], None]] = {
    "status_case": _status_case,
    "enums_as_numbers": _enums_as_numbers,
    "null_strings": _null_strings,
    "sentinel_dates": _sentinel_dates,
    "long_fractions": _long_fractions,
    "unknown_fields": _unknown_fields,
}
"""The faults of values. Each is given the item, its rule, the plan and the call's number."""
