"""The blob containers that the code uses."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec


def containers_of_the_code() -> set[str]:
    """`ALL_CONTAINERS` of shared/storage/containers.py; none while there is no such module."""
    name = "shared.storage.containers"
    return set(import_module(name).ALL_CONTAINERS) if find_spec(name) else set()
