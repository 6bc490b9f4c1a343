"""What a guard is, and how a deployment is held to all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.infra.deployment import Deployment

Guard = Callable[[Deployment], Iterator[str]]
GUARDS: dict[str, Guard] = {}


def guard(check: Guard) -> Guard:
    """Make a check one of the guards, under its own name."""
    GUARDS[check.__name__] = check
    return check


@guard
def whole(deployment: Deployment) -> Iterator[str]:
    """The compiler could evaluate all of it: what it cannot, it leaves out."""
    yield from map(str, deployment.diagnostics)


def violations(deployment: Deployment) -> list[str]:
    """All that breaks a promise, each with the guard that found it."""
    left_out = [f"whole: {what}" for what in GUARDS["whole"](deployment)]
    # Of half a deployment the other guards can tell nothing.
    return left_out or [
        f"{name}: {what}" for name, check in GUARDS.items() for what in check(deployment)
    ]


def differences(
    resource: Mapping[str, Any], expected: Mapping[str, Any], at: str = ""
) -> Iterator[str]:
    properties = resource["properties"]
    for part in at.split(".") if at else ():
        properties = properties[part]
    for name, value in expected.items():
        if properties.get(name) != value:
            yield f"{resource['name']}: {name} is {properties.get(name)!r}, not {value!r}"
