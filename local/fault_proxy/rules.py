"""A rule: which fault, for which calls, how often. Read from a line or from JSON, and checked.

| part | meaning |
|---|---|
| `service` | `table`, `blob` or `queue` |
| `table`, `container`, `queue` | the name, of that service only; `!name`: all but that one |
| `method` | the HTTP method |
| `kind` | `read` (`point` or `query`), `write` (`single` or `batch`), `manage`; several by commas |
| `nth` | the n-th matching call only, from 1; several by commas |
| `rate` | the share of matching calls, above 0 up to 1, drawn by the plan's seed |
| `count` | how often it happens; without it until it is cleared |
| `seconds` | `slow`, `late_write`: how long, else until `settle()`; `absent`: else until cleared |
| `before` | `slow`: `forwarding` (the default) or `answering` |
| `retry_after` | `busy`, `throttled`: the whole seconds of a `Retry-After` header |
| `code` | `error_after_write`, `late_write`, `refused`: the service's error code, see `CODES` |
| `inside` | `yes`: a transaction is answered 202 with the error inside, which no SDK retries |
| `how` | `absent`: `refuse` connections (the default) or `reset` them |

A part that is left out sets no limit. `error_after_write` and `late_write` choose writes unless
`kind` says otherwise, `missing_table` reads and writes of tables. Example:

    busy table=events kind=write rate=0.1 count=20 retry_after=1
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

import msgspec

from local.errors import LocalError
from local.fault_proxy.requests import KINDS, Call, Kind, KindName, Service

type FaultName = Literal[
    "slow",
    "busy",
    "throttled",
    "error_after_write",
    "late_write",
    "reset_before",
    "reset_after",
    "absent",
    "refused",
    "missing_table",
]

FAULTS: tuple[FaultName, ...] = get_args(FaultName.__value__)

CODES: Mapping[FaultName, tuple[str, ...]] = {
    "busy": ("ServerBusy",),
    "throttled": ("TooManyRequests",),
    "error_after_write": ("InternalError", "OperationTimedOut"),
    "late_write": ("OperationTimedOut", "InternalError"),
    "refused": (
        "AuthorizationPermissionMismatch",
        "AuthorizationFailure",
        "AuthenticationFailed",
        "NoAuthenticationInformation",
    ),
    "missing_table": ("TableNotFound",),
}
"""The error codes that a fault may answer with; the first one unless `code` says otherwise."""

_OPTIONS: Mapping[FaultName, frozenset[str]] = {
    "slow": frozenset(("seconds", "before")),
    "busy": frozenset(("retry_after", "inside")),
    "throttled": frozenset(("retry_after", "inside")),
    "error_after_write": frozenset(("code", "inside")),
    "late_write": frozenset(("code", "seconds", "inside")),
    "reset_before": frozenset(),
    "reset_after": frozenset(),
    "absent": frozenset(("seconds", "how")),
    "refused": frozenset(("code",)),
    "missing_table": frozenset(),
}
_ALL_OPTIONS = frozenset[str]().union(*_OPTIONS.values())
_LISTS = frozenset(("kind", "nth"))
_OF_SERVICE: Mapping[str, Service] = {"table": "table", "container": "blob", "queue": "queue"}
_DEFAULT_KINDS: Mapping[FaultName, frozenset[Kind]] = {
    "error_after_write": KINDS["write"],
    "late_write": KINDS["write"],
    "missing_table": KINDS["read"] | KINDS["write"],
}
_EVERY_KIND = frozenset[Kind]().union(*KINDS.values())


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One rule; the module's table tells the meaning of each part.

    Written out (`str(rule)`) it is the line that `parse_rule` reads.
    """

    fault: FaultName
    service: Service | None = None
    table: str | None = None
    container: str | None = None
    queue: str | None = None
    method: str | None = None
    kind: tuple[KindName, ...] = ()
    nth: tuple[Annotated[int, msgspec.Meta(ge=1)], ...] = ()
    rate: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    count: Annotated[int, msgspec.Meta(ge=1)] | None = None
    seconds: Annotated[float, msgspec.Meta(ge=0, le=86_400)] | None = None
    before: Literal["forwarding", "answering"] | None = None
    retry_after: Annotated[int, msgspec.Meta(ge=0)] | None = None
    code: str | None = None
    inside: bool = False
    how: Literal["refuse", "reset"] | None = None

    def __str__(self) -> str:
        said = msgspec.to_builtins(self)
        fault = said.pop("fault")
        return " ".join((fault, *(f"{name}={_written(value)}" for name, value in said.items())))

    @property
    def error_code(self) -> str:
        """The service's error code that it answers with; empty for faults without an answer."""
        return self.code or next(iter(CODES.get(self.fault, ())), "")

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of call that it chooses."""
        if self.kind:
            return frozenset[Kind]().union(*(KINDS[name] for name in self.kind))
        return _DEFAULT_KINDS.get(self.fault, _EVERY_KIND)

    @property
    def service_named(self) -> bool:
        """Whether it is about one service only."""
        return self.service is not None or any(getattr(self, part) for part in _OF_SERVICE)

    def matches(self, call: Call) -> bool:
        """Tell whether a call is one of those that it is about."""
        return (
            self.service in (None, call.service)
            and call.kind in self.kinds
            and (self.method is None or self.method.upper() == call.method.upper())
            and (self.fault != "missing_table" or call.service == "table")
            and all(
                call.service == service and _chosen(getattr(self, part), call.name)
                for part, service in _OF_SERVICE.items()
                if getattr(self, part) is not None
            )
        )


def parse_rule(line: str) -> Rule:
    """Read a rule from a line such as `busy table=events kind=write rate=0.1`.

    Raises:
        LocalError: `usage_wrong`, with what is wrong in it.
    """
    fault, *parts = line.split() or [""]
    said: dict[str, Any] = {"fault": fault}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals:
            raise _wrong(f"'{part}' in the rule '{line}' has no '='")
        if name in said:
            raise _wrong(f"the rule '{line}' names {name} twice")
        said[name] = value.split(",") if name in _LISTS else value
    if said.get("inside") in ("yes", "no"):
        said["inside"] = said["inside"] == "yes"
    return _read(said, strict=False)


def read_rule(said: object) -> Rule:
    """Read a rule from what JSON gave: a line, or an object with the parts of a rule.

    Raises:
        LocalError: `usage_wrong`, with what is wrong in it.
    """
    return parse_rule(said) if isinstance(said, str) else _read(said, strict=True)


def check(rule: Rule) -> Rule:
    """Give the rule back when it makes sense; one made in Python was not looked at yet.

    Raises:
        LocalError: `usage_wrong`, with what is wrong in it.
    """
    return _read(msgspec.to_builtins(rule), strict=True)


def _read(said: object, *, strict: bool) -> Rule:
    if isinstance(said, dict) and said.get("fault") not in FAULTS:
        raise _wrong(f"there is no fault '{said.get('fault', '')}', only {', '.join(FAULTS)}")
    try:
        rule = msgspec.convert(said, Rule, strict=strict)
    except msgspec.ValidationError as error:
        raise _wrong(f"a rule cannot be read: {error}") from error
    for problem in _problems(rule):
        raise _wrong(f"in the rule '{rule}' {problem}")
    return rule


def _problems(rule: Rule) -> list[str]:
    given = {name for name in _ALL_OPTIONS if getattr(rule, name) not in (None, False)}
    problems = [f"'{name}' is no option of {rule.fault}" for name in given - _OPTIONS[rule.fault]]
    if rule.code is not None and rule.code not in CODES.get(rule.fault, (rule.code,)):
        problems.append(f"the code is none of {', '.join(CODES[rule.fault])}")
    if rule.nth and rule.rate < 1:
        problems.append("nth and rate are both given, and only one can choose")
    named = [part for part in _OF_SERVICE if getattr(rule, part) is not None]
    services = {_OF_SERVICE[part] for part in named} | ({rule.service} if rule.service else set())
    if rule.fault == "missing_table":
        services.add("table")
    if len(services) > 1:
        problems.append(f"no call can match, since it asks for {' and '.join(sorted(services))}")
    if rule.fault in ("error_after_write", "late_write") and rule.kinds & KINDS["read"]:
        problems.append(f"{rule.fault} chooses reads, which write nothing")
    return sorted(problems)


def _chosen(wanted: str, name: str | None) -> bool:
    # Names of tables are case-insensitive; those of containers and queues are lower case anyway.
    others = wanted.startswith("!")
    return name is not None and (wanted.lower().removeprefix("!") == name.lower()) != others


def _written(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _wrong(what: str) -> LocalError:
    return LocalError(
        "usage_wrong", what, "write it as in `busy table=events kind=write rate=0.1 count=20`"
    )
