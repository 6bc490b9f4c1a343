"""The compiled template, and the templates of its modules, as they are committed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.infra.compiler import INFRA


def main_template() -> dict[str, Any]:
    """infra/main.json."""
    compiled: dict[str, Any] = json.loads((INFRA / "main.json").read_text(encoding="utf-8"))
    return compiled


def templates(
    template: dict[str, Any] | None = None, name: str = "main"
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The template and those of its modules, each by the name that the parent knows it by."""
    template = template if template is not None else main_template()
    yield name, template
    for symbol, resource in resources_of(template).items():
        properties = resource.get("properties", {})
        nested = properties.get("template") if isinstance(properties, dict) else None
        if nested:
            yield from templates(nested, symbol)


def resources_of(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The resources of a template by symbol; a simple one has none, and names stand in."""
    resources = template["resources"]
    if isinstance(resources, dict):
        return resources
    return {each["name"]: each for each in resources}


def resolved(declaration: dict[str, Any], template: dict[str, Any]) -> dict[str, Any]:
    """A declaration of a type with the type that it refers to."""
    while "$ref" in declaration:
        name = declaration["$ref"].removeprefix("#/definitions/")
        rest = {key: value for key, value in declaration.items() if key != "$ref"}
        declaration = template["definitions"][name] | rest
    return declaration


def definition(ending: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A type of the main template by the end of its name, with that template."""
    template = main_template()
    (name,) = (each for each in template["definitions"] if each.split(".")[-1] == ending)
    return template["definitions"][name], template
