"""The faults by name, and a rule: which fault, how often, when, for which reads.

On the command line a rule is a line such as `throttled=0.1 retry_after=2 on=transactions`; the
control routes take lines, and objects of a rule's parts. `FAULTS` and `PARTS` tell what there is.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args

import msgspec

from local.emabler.habits import Permission
from local.emabler.operations import OperationName

type FaultName = Literal[
    "permission_missing",
    "throttled",
    "throttled_without_hint",
    "failing",
    "timing_out",
    "late_sessions",
    "changing_sessions",
    "poisoned_sessions",
    "moving_pages",
    "empty_page_with_more",
    "short_page",
    "repeated_rows",
    "outside_window",
    "wrong_total",
    "enums_as_numbers",
    "status_case",
    "null_strings",
    "sentinel_dates",
    "long_fractions",
    "unknown_fields",
    "truncated",
]

FAULTS: Mapping[FaultName, str] = MappingProxyType(
    {
        "permission_missing": "403, as if the key's operator lacked the permission",
        "throttled": "429 with `Retry-After`",
        "throttled_without_hint": "429 without `Retry-After`",
        "failing": "500 with the older error body, or 502, 503, 504 with a page of HTML",
        "timing_out": "no answer; the connection is closed in the end",
        "late_sessions": "a finished session appears only some time after its end",
        "changing_sessions": "a session has less energy, and every second one an earlier end, "
        "until it was listed once",
        "poisoned_sessions": "500 with the older error body in the place of each page that a "
        "certain session stands on",
        "moving_pages": "rows are inserted before a page, so that rows come twice, "
        "or removed, so that rows are skipped",
        "empty_page_with_more": "an empty page that says there is a next one; "
        "the rows follow there",
        "short_page": "fewer rows than there are for the page; the others follow on the next one",
        "repeated_rows": "rows come twice on one page",
        "outside_window": "rows that the filters exclude",
        "wrong_total": "`totalRecords` is not the number of rows",
        "enums_as_numbers": "a charger's `state` is a number from 0 to 11",
        "status_case": "`SuspendedCharger` and `SuspendedCAR` in another case",
        "null_strings": "empty strings are null, or left out",
        "sentinel_dates": "times that may be absent are `0001-01-01T00:00:00Z`",
        "long_fractions": "times have seven fractional digits",
        "unknown_fields": "rows have a field that nobody documents",
        "truncated": "the connection is closed in the middle of the body",
    }
)
"""Each fault and what it does. When several want a call, the earlier comes first."""

PARTS: Mapping[str, str] = MappingProxyType(
    {
        "rate": "the share of calls, from 0 to 1; of sessions where the fault is one of sessions",
        "on": "`transactions`, `ongoing`, `chargers`, `tags`, `push`, some by commas: these reads",
        "after": "seconds since the rules were set: the fault begins then",
        "until": "seconds since the rules were set: the fault ends then",
        "first": "the first call, counted from 1 when the rules were set",
        "last": "the last call, counted likewise",
        "retry_after": "`throttled`: the seconds of the header; 1 unless said",
        "status": "`failing`: 500, 502, 503 or 504; drawn for each call unless said",
        "permission": "`permission_missing`: only the reads that need this one",
        "how": "`moving_pages`: `inserted` or `removed`, `null_strings`: `nulled` or `left_out`; "
        "drawn unless said",
        "rows": "how many rows a fault of pages touches at most; 3 unless said",
        "seconds": "`timing_out`: how long a call is held, 300 unless said; `late_sessions`: how "
        "long after its end a session appears, 3600; `changing_sessions`: how long after it was "
        "listed it changes, 0",
    }
)
"""Each part of a rule beside the fault's name. A part that is left out sets no limit."""

OF_SESSIONS: tuple[FaultName, ...] = (
    "late_sessions",
    "changing_sessions",
    "poisoned_sessions",
)
"""Faults whose rate is a share of sessions, not of calls."""

_OPTIONS: Mapping[FaultName, frozenset[str]] = MappingProxyType(
    {
        "permission_missing": frozenset(("permission",)),
        "throttled": frozenset(("retry_after",)),
        "failing": frozenset(("status",)),
        "timing_out": frozenset(("seconds",)),
        "late_sessions": frozenset(("seconds",)),
        "changing_sessions": frozenset(("seconds",)),
        "moving_pages": frozenset(("how", "rows")),
        "short_page": frozenset(("rows",)),
        "repeated_rows": frozenset(("rows",)),
        "outside_window": frozenset(("rows",)),
        "null_strings": frozenset(("how",)),
    }
)
_ALL_OPTIONS = frozenset[str]().union(*_OPTIONS.values())
_HOWS: Mapping[str, tuple[str, ...]] = {
    "moving_pages": ("inserted", "removed"),
    "null_strings": ("nulled", "left_out"),
}
_LISTS = ("on",)


class BadRuleError(ValueError):
    """A rule makes no sense. The message is for people."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule; `PARTS` tells the meaning of each part."""

    fault: FaultName
    rate: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    on: tuple[OperationName, ...] = ()
    after: Annotated[float, msgspec.Meta(ge=0)] | None = None
    until: Annotated[float, msgspec.Meta(ge=0)] | None = None
    first: Annotated[int, msgspec.Meta(ge=1)] | None = None
    last: Annotated[int, msgspec.Meta(ge=1)] | None = None
    retry_after: Annotated[int, msgspec.Meta(ge=0)] | None = None
    status: Literal[500, 502, 503, 504] | None = None
    permission: Permission | None = None
    how: Literal["inserted", "removed", "nulled", "left_out"] | None = None
    rows: Annotated[int, msgspec.Meta(ge=1)] | None = None
    seconds: Annotated[float, msgspec.Meta(ge=0)] | None = None

    def __str__(self) -> str:
        options = [
            f"{name}={_written(value)}"
            for name in self.__struct_fields__
            if name not in {"fault", "rate"} and (value := getattr(self, name)) not in {None, ()}
        ]
        return " ".join([f"{self.fault}={_written(self.rate)}", *options])


def read_rule(said: object) -> Rule:
    """Read a rule from a line or from an object of its parts, and check it.

    Raises:
        BadRuleError: it names no fault, or parts that the fault does not have.
    """
    parts = _parts(said) if isinstance(said, str) else said
    if not isinstance(parts, dict):
        raise BadRuleError("a rule is a line such as 'throttled=0.1', or an object of its parts")
    _check_name(parts.get("fault"))
    try:
        rule = msgspec.convert(parts, Rule, strict=not isinstance(said, str))
    except msgspec.ValidationError as error:
        raise BadRuleError(f"{parts['fault']}: {error}") from error
    _check_options(rule)
    return rule


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _parts(line: str) -> dict[str, Any]:
    head, *options = line.split()[:] or [""]
    name, equals, rate = head.partition("=")
    parts: dict[str, Any] = {"fault": name} | ({"rate": rate} if equals else {})
    for option in options:
        key, _, value = option.partition("=")
        if key in {"", "fault", "rate"} or key in parts:
            raise BadRuleError(f"'{option}' is no part of a rule, or stands there twice")
        parts[key] = value.split(",") if key in _LISTS else value
    return parts


def _check_name(name: object) -> None:
    if name not in get_args(FaultName.__value__):
        raise BadRuleError(f"'{name}' is no fault; there are {', '.join(FAULTS)}")


def _check_options(rule: Rule) -> None:
    given = {name for name in _ALL_OPTIONS if getattr(rule, name) is not None}
    foreign = given - _OPTIONS.get(rule.fault, frozenset())
    if foreign:
        raise BadRuleError(f"{rule.fault} has no part {', '.join(sorted(foreign))}")
    if rule.how is not None and rule.how not in _HOWS[rule.fault]:
        raise BadRuleError(f"{rule.fault}: how is one of {', '.join(_HOWS[rule.fault])}")
