"""Reads an OpenAPI description as far as a contract needs it: operations, fields, types. Pure.

Whatever the description holds, nothing raises: what cannot be read is not described.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_MOST_STEPS = 32
"""Of references and of parts within parts: a description may refer to itself."""

_COMBINED = ("allOf", "anyOf", "oneOf")
_EMPTY: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Described:
    """One schema of a description, with all references resolved as they are met."""

    whole: Mapping[str, Any]
    schema: Mapping[str, Any]

    def types(self) -> frozenset[str]:
        """The JSON types that it declares; empty where it declares none."""
        found: set[str] = set()
        for part in self._parts():
            declared = part.get("type")
            found |= {each for each in _listed(declared) if isinstance(each, str)}
            if isinstance(declared, str):
                found.add(declared)
        return frozenset(found - {"null"})

    def allowed(self) -> list[object]:
        """The values that it allows, null left out; empty where it names none."""
        return [
            value
            for part in self._parts()
            for value in _listed(part.get("enum"))
            if value is not None
        ]

    def at_most(self) -> float | None:
        """The largest number that it allows; None where it says none."""
        found = [part.get("maximum") for part in self._parts()]
        numbers = [n for n in found if isinstance(n, int | float) and not isinstance(n, bool)]
        return min(numbers, default=None)

    def field(self, name: str) -> Described | None:
        """A field of an object; None where it has none of that name."""
        for part in self._parts():
            fields = _object(part.get("properties"))
            if name in fields:
                return Described(self.whole, _object(fields[name]))
        return None

    def names(self) -> frozenset[str]:
        """The names of all fields that it describes."""
        return frozenset(name for part in self._parts() for name in _object(part.get("properties")))

    def item(self) -> Described | None:
        """What a list's items are; None where it is no list that says."""
        for part in self._parts():
            if isinstance(part.get("items"), dict):
                return Described(self.whole, part["items"])
        return None

    def _parts(self) -> Iterator[Mapping[str, Any]]:
        """The schema and all that it refers to or is combined of."""
        waiting = [self.schema]
        for _ in range(_MOST_STEPS):
            if not waiting:
                return
            part = _resolved(self.whole, waiting.pop())
            yield part
            waiting += [_object(each) for how in _COMBINED for each in _listed(part.get(how))]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: what it takes, by name, and what it answers; None: not described."""

    takes: Mapping[str, Described]
    answers: Described | None


def operation(whole: Mapping[str, Any], method: str, path: str) -> Operation | None:
    """The operation of a path, which may stand below a base path; None where there is none.

    A part of the path in braces, such as `{id}`, is any part in braces.
    """
    for template, item in _object(whole.get("paths")).items():
        if not _is_path(str(template), path):
            continue
        described = _object(_resolved(whole, _object(item)).get(method.lower()))
        if described:
            return Operation(
                _parameters(whole, _object(item), described) | _body(whole, described),
                _answer(whole, described),
            )
    return None


def _is_path(template: str, path: str) -> bool:
    found, wanted = (each.strip("/").casefold().split("/") for each in (template, path))
    return len(found) >= len(wanted) and all(
        one == other or (one[:1] == "{" and other[:1] == "{")
        for one, other in zip(found[-len(wanted) :], wanted, strict=True)
    )


def _parameters(whole: Mapping[str, Any], *places: Mapping[str, Any]) -> dict[str, Described]:
    listed = [
        _resolved(whole, _object(each))
        for place in places
        for each in _listed(place.get("parameters"))
    ]
    return {
        str(each.get("name")): Described(whole, _object(each.get("schema")))
        for each in listed
        if each.get("in") == "query"
    }


def _body(whole: Mapping[str, Any], described: Mapping[str, Any]) -> dict[str, Described]:
    body = _content(whole, _resolved(whole, _object(described.get("requestBody"))))
    if body is None:
        return {}
    return {name: field for name in body.names() if (field := body.field(name)) is not None}


def _answer(whole: Mapping[str, Any], described: Mapping[str, Any]) -> Described | None:
    answers = _object(described.get("responses"))
    for status in ("200", "2XX", "default"):
        if status in answers:
            return _content(whole, _resolved(whole, _object(answers[status])))
    return None


def _content(whole: Mapping[str, Any], holder: Mapping[str, Any]) -> Described | None:
    for kind, content in _object(holder.get("content")).items():
        schema = _object(_object(content).get("schema"))
        if "json" in str(kind) and schema:
            return Described(whole, schema)
    return None


def _resolved(whole: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    for _ in range(_MOST_STEPS):
        reference = part.get("$ref")
        if not isinstance(reference, str):
            return part
        found: object = whole
        for step in reference.removeprefix("#/").split("/"):
            found = _object(found).get(step.replace("~1", "/").replace("~0", "~"))
        part = _object(found)
    return _EMPTY


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else _EMPTY


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
