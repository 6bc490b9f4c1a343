"""Routes of HTTP functions: templates as Azure writes them, matched as its host matches them.

Templates follow ASP.NET Core routing
(https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-templates): literals without
regard to case, `{name}`, `{name?}`, `{name=default}`, `{name:constraint}`, catch-alls `{*rest}`
and several parameters in one segment such as `{name}.{format}`. Azure's host tries the functions
in the order of their names and takes the first that matches path *and* method: a path that exists
with other methods only is therefore 404, not 405 (its routes carry the methods as a constraint).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote

from local.functions_host.route_constraints import Constraint, parse_constraint

_TOKEN = re.compile(r"\{\{|\}\}|\{(?P<body>(?:[^{}]|\{\{|\}\})*)\}")


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    constraints: tuple[Constraint, ...]
    default: str | None
    optional: bool
    rest: bool


class _Segment(NamedTuple):
    """A pattern for one part between slashes; its groups are `parameters` in order."""

    pattern: re.Pattern[str]
    parameters: tuple[_Parameter, ...]

    @property
    def sole(self) -> _Parameter | None:
        """The parameter, where it is the whole segment."""
        whole = len(self.parameters) == 1 and self.pattern.pattern == "(.+)"
        return self.parameters[0] if whole else None


class Route:
    """A compiled template."""

    def __init__(self, template: str) -> None:
        """Compile `template`, which carries the route prefix already.

        Raises:
            ValueError: It is not a template; the message says why.
        """
        if template.startswith(("/", "~")):
            raise ValueError("a route does not start with / or ~")
        parts = [part for part in _split(template) if part]
        self._segments = [_segment(part) for part in parts]
        for segment in self._segments[:-1]:
            if any(parameter.rest for parameter in segment.parameters):
                raise ValueError("a catch-all parameter must come last")
        for segment in self._segments:
            for parameter in segment.parameters:
                if (parameter.optional or parameter.rest) and segment.sole is None:
                    raise ValueError(
                        f"{{{parameter.name}}} must be a segment of its own to be optional"
                    )

    def match(self, path: str) -> dict[str, str] | None:
        """The route parameters in an undecoded `path`, or None when it does not match."""
        parts = path.strip("/").split("/") if path.strip("/") else []
        values: dict[str, str] = {}
        for position, segment in enumerate(self._segments):
            sole = segment.sole
            if sole is not None and sole.rest:
                rest = _decode("/".join(parts[position:]))
                parts = parts[:position]
                if not _take(values, sole, rest):
                    return None
            elif position >= len(parts):
                if sole is None or not _take(values, sole, ""):
                    return None
            elif not _match_segment(segment, _decode(parts[position]), values):
                return None
        return None if len(parts) > len(self._segments) else values


def _decode(part: str) -> str:
    # ASP.NET decodes a path once, but leaves an escaped slash as it is.
    return unquote(part.replace("%2F", "%252F").replace("%2f", "%252f"))


def _match_segment(segment: _Segment, part: str, values: dict[str, str]) -> bool:
    match = segment.pattern.fullmatch(part)
    if not match:
        return False
    return all(
        _take(values, parameter, value)
        for parameter, value in zip(segment.parameters, match.groups(), strict=True)
    )


def _take(values: dict[str, str], parameter: _Parameter, value: str) -> bool:
    """Put a parameter's value in, if it meets the constraints; absent ones take their default."""
    if not value:
        if parameter.default is None:
            return parameter.optional or parameter.rest
        value = parameter.default
    if not all(constraint(value) for constraint in parameter.constraints):
        return False
    values[parameter.name] = value
    return True


def _split(template: str) -> list[str]:
    """The segments of a template; a slash inside braces (in a regex) does not part them."""
    parts, depth = [""], 0
    for character in template:
        depth += (character == "{") - (character == "}")
        if character == "/" and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _segment(text: str) -> _Segment:
    pattern, position = "", 0
    parameters: list[_Parameter] = []
    for token in _TOKEN.finditer(text):
        pattern += _literal(text[position : token.start()])
        position = token.end()
        if token["body"] is None:
            pattern += re.escape(token[0][0])
        else:
            parameters.append(_parameter(token["body"]))
            pattern += "(.+)"
    pattern += _literal(text[position:])
    return _Segment(re.compile(pattern, re.IGNORECASE | re.DOTALL), tuple(parameters))


def _literal(text: str) -> str:
    if "{" in text or "}" in text:
        raise ValueError(f"'{text}' has a brace that is not closed or opened")
    return re.escape(text)


def _parameter(body: str) -> _Parameter:
    body = body.replace("{{", "{").replace("}}", "}")
    name, *constraints = _outside_parentheses(body, ":")
    default = None
    last = constraints[-1] if constraints else name
    before, equals, after = last.partition("=")
    if equals and "(" not in before:
        default, last = after, before
    optional = last.endswith("?")
    last = last.removesuffix("?")
    if constraints:
        constraints[-1] = last
    else:
        name = last
    bare = name.lstrip("*")
    if not bare or "/" in bare:
        raise ValueError(f"'{{{body}}}' names no parameter")
    return _Parameter(
        name=bare,
        constraints=tuple(parse_constraint(text) for text in constraints),
        default=default,
        optional=optional,
        rest=name != bare,
    )


def _outside_parentheses(text: str, separator: str) -> list[str]:
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


@dataclass(frozen=True, slots=True)
class RouteEntry[T]:
    """A route with the methods it takes (upper case; empty for all) and what it leads to."""

    route: Route
    methods: frozenset[str]
    target: T


class RouteTable[T]:
    """The routes of an app, in the order in which they are tried."""

    def __init__(self, entries: Iterable[RouteEntry[T]]) -> None:
        self._entries = list(entries)

    def find(self, method: str, path: str) -> tuple[T, Mapping[str, str]] | None:
        """The first entry for this method and undecoded path, with its route parameters."""
        for entry in self._entries:
            if entry.methods and method.upper() not in entry.methods:
                continue
            values = entry.route.match(path)
            if values is not None:
                return entry.target, values
        return None
