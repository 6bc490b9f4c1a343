"""What we rely on of eMabler's REST API, held against its own description. Pure.

What is relied on is not written down twice: it is what the queries send and what the readers look
for. A declared type or value is tried on the reader itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from shared.emabler.calls import Call, FinishedSessionsQuery, OngoingSessionsQuery, Options
from shared.emabler.models.inventory import read_charger, read_socket, read_tag
from shared.emabler.models.push_configurations import (
    read_push_configuration,
    read_push_endpoint,
    read_push_message,
)
from shared.emabler.models.reading import Drift, Flaw, Item, fields_relied_on
from shared.emabler.models.sessions import read_finished_session, read_ongoing_session
from shared.emabler.openapi import Described, Operation, operation
from shared.emabler.paging import read_page

type Reader = Callable[[Item, Drift], object]

_SAMPLES: Mapping[str, tuple[object, ...]] = {
    # What a declared type may hold: a reader that takes any of them takes the type.
    "string": ("1", "2026-11-02T12:00:00Z", "true"),
    "integer": (1,),
    "number": (1.5, 1.0),
    "boolean": (True,),
    "array": ([], [{}]),
    "object": ({},),
}
_TYPES: Mapping[type, frozenset[str]] = {
    str: frozenset(("string",)),
    bool: frozenset(("boolean",)),
    int: frozenset(("integer", "number")),
    list: frozenset(("array",)),
}
_ASKED = datetime(2026, 11, 2, tzinfo=UTC)
_SHOWN_VALUES = 5

NOT_DESCRIBED = "not_described"
TOO_LARGE = "too_large"

ADVICE: Mapping[str, str] = {
    NOT_DESCRIBED: "what cannot be looked up there shows in answers only: `rest_drift` of the runs",
    Flaw.MISSING: "see in eMabler's release notes what takes its place, and look for a newer "
    "version of this app; until then what it told is missing",
    Flaw.WRONG_TYPE: "see in eMabler's release notes, and look for a newer version of this app; "
    "until then it is read as nothing",
    Flaw.UNKNOWN_VALUE: "it is kept as it comes; a newer version of this app may know it",
    TOO_LARGE: "lower it, or requests are refused",
}
"""What to do about each kind of difference."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that we rely on and that the description has otherwise, or not at all.

    `subject` and `flaw` are spelled as drift in answers is: `finished_session.timestampEnd`
    `missing`.
    """

    call: str
    subject: str
    flaw: str
    detail: str

    def __str__(self) -> str:
        return f"{self.call}: {self.subject} {self.flaw}: {self.detail}: {ADVICE[self.flaw]}"


@dataclass(frozen=True, slots=True)
class Reliance:
    """One call, what it sends, and who reads the items of its answer."""

    call: Call
    kind: str
    read: Reader
    sends: Mapping[str, Any]
    within: Mapping[str, tuple[str, Reader]] = field(default_factory=dict)
    sizes: Mapping[str, str] = field(default_factory=dict)


def relied_on(options: Options) -> Sequence[Reliance]:
    """All calls that the product makes, with every filter that it uses."""
    finished = FinishedSessionsQuery(
        started_from=_ASKED,
        started_to=_ASKED,
        ended_from=_ASKED,
        ended_to=_ASKED,
        chargers=["1"],
        rest_ids=[1],
        transactions=["1"],
    )
    ongoing = OngoingSessionsQuery(chargers=["1"])
    one_list = {"page": 1, "limit": options.list_page_size}
    sizes = {"limit": "EMABLER_LIST_PAGE_SIZE"}
    configurations = options.push_configurations
    return (
        Reliance(
            options.finished_sessions,
            "finished_session",
            read_finished_session,
            finished.body() | {"page": 1, "limit": options.page_size},
            sizes={"limit": "EMABLER_PAGE_SIZE"},
        ),
        Reliance(
            options.ongoing_sessions,
            "ongoing_session",
            read_ongoing_session,
            ongoing.parameters() | one_list,
            sizes=sizes,
        ),
        Reliance(
            options.chargers,
            "charger",
            read_charger,
            {"sortKey": "ChargerId"} | one_list,
            within={"sockets": ("socket", read_socket)},
            sizes=sizes,
        ),
        Reliance(options.tags, "tag", read_tag, {"sortKey": "TagId"} | one_list, sizes=sizes),
        Reliance(configurations, "push_configuration", read_push_configuration, {}),
        Reliance(
            configurations.below("{id}", "endpoints"), "push_endpoint", read_push_endpoint, {}
        ),
        Reliance(configurations.below("{id}", "messages"), "push_message", read_push_message, {}),
    )


def differences(description: Mapping[str, Any], options: Options) -> list[Difference]:
    """Where the description differs from what we rely on; what we do not use does not count."""
    return [
        difference
        for reliance in relied_on(options)
        for difference in _of_call(description, reliance)
    ]


def _of_call(description: Mapping[str, Any], reliance: Reliance) -> Iterator[Difference]:
    call = reliance.call
    described = operation(description, call.method, call.path)
    if described is None:
        setting = f"; check {call.setting}" if call.setting else ""
        yield Difference(str(call), "path", Flaw.MISSING, f"there is no such path{setting}")
        return
    yield from _of_request(described, reliance)
    answer = described.answers
    if answer is None:
        yield Difference(str(call), "answer", NOT_DESCRIBED, "it says not what is answered")
        return
    # The lists of push configurations may be bare ones: nobody documents them.
    if "array" not in answer.types():
        yield from _of_fields(str(call), "page", _read_page, answer)
        items = answer.field("items")
        answer = items if items is not None else answer
    yield from _of_items(str(call), reliance.kind, reliance.read, answer)
    item = answer.item()
    for name, (kind, read) in reliance.within.items():
        if item is not None and (inner := item.field(name)) is not None:
            yield from _of_items(str(call), kind, read, inner)


def _read_page(item: Item, drift: Drift) -> object:
    items = item.get("items", [])
    return (
        read_page({**item, "items": items}, 1, _ASKED, drift) if isinstance(items, list) else None
    )


def _of_request(described: Operation, reliance: Reliance) -> Iterator[Difference]:
    call = str(reliance.call)
    for name, value in reliance.sends.items():
        subject, takes = f"request.{name}", described.takes.get(name)
        if takes is None:
            yield Difference(call, subject, Flaw.MISSING, "it is not among what the call takes")
            continue
        types = takes.types()
        # A list in an address is a text there.
        in_body = reliance.call.method == "POST"
        if in_body and types and not types & _TYPES[type(value)]:
            declared = " or ".join(sorted(types))
            yield Difference(call, subject, Flaw.WRONG_TYPE, f"it is {declared} there")
        allowed = {str(each).casefold() for each in takes.allowed()}
        if allowed and str(value).casefold() not in allowed:
            yield Difference(call, subject, Flaw.UNKNOWN_VALUE, f"{value} is not allowed")
        most, setting = takes.at_most(), reliance.sizes.get(name)
        if setting and most is not None and value > most:
            detail = f"{setting} is {value}, and {most:g} is the most"
            yield Difference(call, subject, TOO_LARGE, detail)


def _of_items(call: str, kind: str, read: Reader, answer: Described) -> Iterator[Difference]:
    item = answer.item()
    if item is None:
        yield Difference(call, kind, NOT_DESCRIBED, "it says not what the items are")
    else:
        yield from _of_fields(call, kind, read, item)


def _of_fields(call: str, kind: str, read: Reader, described: Described) -> Iterator[Difference]:
    if not described.names():
        yield Difference(call, kind, NOT_DESCRIBED, "it describes no field of it")
        return
    for _, name in sorted(fields_relied_on(read)):
        subject, found = f"{kind}.{name}", described.field(name)
        if found is None:
            yield Difference(call, subject, Flaw.MISSING, "there is no such field")
            continue
        unknown = [
            each
            for each in found.allowed()
            if _flaws(read, kind, name, each) & {Flaw.UNKNOWN_VALUE, Flaw.WRONG_TYPE}
        ]
        if unknown:
            shown = ", ".join(repr(each)[:40] for each in unknown[:_SHOWN_VALUES])
            yield Difference(call, subject, Flaw.UNKNOWN_VALUE, f"{shown} may come")
        for type_ in sorted(found.types() if not found.allowed() else ()):
            samples = _SAMPLES.get(type_, ())
            if all(Flaw.WRONG_TYPE in _flaws(read, kind, name, each) for each in samples):
                yield Difference(call, subject, Flaw.WRONG_TYPE, f"it is {type_} there")


def _flaws(read: Reader, kind: str, name: str, value: object) -> set[Flaw]:
    """What the reader finds wrong with a field that has this value."""
    drift = Drift()
    read({name: value}, drift)
    return {flaw for of, field_, flaw in drift.flaws if (of, field_) == (kind, name)}
