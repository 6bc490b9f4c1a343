"""The architecture: imports run one way, modules are small, errors stand in one tree."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

import shared
import shared.errors
from shared.errors import EmablerFunctionsError

CHECKOUT = Path(__file__).resolve().parent.parent
CAPABILITIES = (
    "ingestion",
    "authorization",
    "reconciliation",
    "inventory",
    "retention",
    "privacy",
    "backup",
)
OTHERS_THAN_PRODUCT = (
    "local",
    "management",
    "tests",
    "benchmarks",
    "function_app",
    "manage",
    "dev",
)
THIRD_PARTY_OF_SHARED = {"azure", "httpx", "msgspec", "opentelemetry"}


@cache
def files(*roots: str, suffix: str = ".py") -> tuple[Path, ...]:
    found: list[Path] = []
    for root in roots:
        for folder, folders, names in (CHECKOUT / root).walk():
            if "node_modules" in folders:
                folders.remove("node_modules")
            found += [folder / name for name in names if name.endswith(suffix)]
    return tuple(sorted(found))


def imported(text: str, folders: Sequence[str]) -> set[str]:
    """The full names of all that a module imports, wherever in it, also for types only."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = folders[: len(folders) - node.level + 1] if node.level else ()
            module = ".".join(part for part in (*parts, node.module) if part)
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


@cache
def imports(path: Path) -> frozenset[str]:
    text = path.read_text(encoding="utf-8")
    return frozenset(imported(text, path.relative_to(CHECKOUT).parent.parts))


def offending(paths: Iterable[Path], *forbidden: str) -> list[str]:
    return [
        f"{path.relative_to(CHECKOUT)}: {name}"
        for path in paths
        for name in sorted(imports(path))
        if any(name == each or name.startswith(f"{each}.") for each in forbidden)
    ]


def top_level(names: Iterable[str]) -> set[str]:
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"__future__"}


def test_the_reader_of_imports_sees_all_of_them() -> None:
    """Imports in functions, for types only and relative ones are imports too."""
    lines = [
        "import a.b",
        "from c import d, e as f",
        "if x:",
        "    import g",
        "def h():",
        "    from i.j import k",
        "from . import l",
        "from ..m import n",
    ]

    found = imported("\n".join(lines), ("o", "p"))

    assert found == {"a.b", "c.d", "c.e", "g", "i.j.k", "o.p.l", "o.m.n"}


def test_the_product_knows_nothing_of_what_is_around_it() -> None:
    """The deployed package imports neither the local Azure nor the command line nor a test."""
    assert len(files("shared")) > 40
    assert offending(files("shared"), *OTHERS_THAN_PRODUCT) == []


def test_the_local_azure_shares_no_code_with_the_product() -> None:
    """The simulator and the host know the product from outside: no misreading proves itself."""
    assert len(files("local")) > 20
    assert offending(files("local"), "shared", "management", "function_app") == []


def test_the_command_line_knows_the_product_only() -> None:
    """An operator's commands need no local Azure."""
    assert offending(files("management"), "local", "tests", "function_app") == []


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_capabilities_do_not_import_each_other(capability: str) -> None:
    """What two capabilities share lies below both of them."""
    others = [f"shared.{each}" for each in CAPABILITIES if each != capability]

    assert offending(files(f"shared/{capability}"), *others) == []


@pytest.mark.parametrize(
    ("layer", "above"),
    [
        ("push", "sessions chargers tags storage messaging"),
        ("emabler", "push sessions chargers tags storage messaging"),
        ("storage", "push emabler sessions chargers tags messaging"),
        ("messaging", "push emabler sessions chargers tags storage"),
        ("sessions", "chargers"),
        ("chargers", "sessions tags"),
        ("tags", "sessions chargers push"),
        ("parked", "sessions chargers tags push emabler"),
    ],
)
def test_lower_layers_know_nothing_of_higher_ones(layer: str, above: str) -> None:
    """Imports run one way: rooms, capabilities, what they share, the wire and the gateways."""
    names = [*above.split(), *CAPABILITIES, "rooms", "webhook"]

    assert offending(files(f"shared/{layer}"), *(f"shared.{name}" for name in names)) == []


def test_errors_instants_and_identifiers_stand_below_all() -> None:
    """What every room may use uses nothing but the standard library."""
    for name in ("errors", "instants", "identifiers"):
        assert top_level(imports(CHECKOUT / "shared" / f"{name}.py")) == set()


def test_the_wire_is_pure() -> None:
    """Reading push events and REST answers needs no SDK and no HTTP client, only a JSON reader."""
    names = ("calls", "contract", "openapi", "paging", "refusals", "retries", "rate")
    emabler = (CHECKOUT / "shared" / "emabler" / f"{name}.py" for name in names)
    pure = (*files("shared/push", "shared/emabler/models"), *emabler)

    assert set().union(*(top_level(imports(path)) for path in pure)) == {"shared", "msgspec"}


def test_each_sdk_has_its_gateway() -> None:
    """Tables, Service Bus, HTTP and telemetry are spoken in one place each."""
    places = {
        "azure.data": {"shared/storage/azure.py", "shared/storage/connect.py"},
        "azure.servicebus": {
            "shared/messaging/connect.py",
            "shared/messaging/dead_letters.py",
            "shared/messaging/queue.py",
        },
        "httpx": {"shared/emabler/exchange.py"},
        "azure.identity": {
            "shared/azure_monitor.py",
            "shared/messaging/connect.py",
            "shared/storage/connect.py",
        },
        "azure.monitor": {"shared/azure_monitor.py"},
        "opentelemetry": {"shared/azure_monitor.py", "shared/otel_spans.py"},
        "azure.functions": set[str](),
    }

    for sdk, allowed in places.items():
        assert {each.partition(":")[0] for each in offending(files("shared"), sdk)} == allowed


def test_the_product_uses_few_libraries() -> None:
    """What is deployed beside the standard library is Microsoft's SDKs and a few small ones."""
    used = set().union(*(top_level(imports(path)) for path in files("shared")))

    assert used - {"shared"} == THIRD_PARTY_OF_SHARED


def test_the_functions_bind_and_call() -> None:
    """function_app.py knows the Functions library, the standard library and the product."""
    names = imports(CHECKOUT / "function_app.py")

    assert top_level(names) == {"azure", "shared"}
    assert {name for name in names if name.startswith("azure")} == {"azure.functions"}


def test_manage_starts_on_any_python() -> None:
    """manage.py itself imports the standard library; what needs packages comes after the check."""
    path = CHECKOUT / "manage.py"
    module = ast.parse(path.read_text(encoding="utf-8"))
    at_top = ast.Module([node for node in module.body if not isinstance(node, ast.FunctionDef)], [])
    names = {
        alias.name if isinstance(node, ast.Import) else str(node.module)
        for node in ast.walk(at_top)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }

    assert top_level(names) == set()
    assert top_level(imports(path)) == {"management"}


@pytest.mark.parametrize("suffix", [".py", ".js", ".cjs"])
def test_modules_are_small(suffix: str) -> None:
    """No module of the product or of the local Azure has more than 400 lines: one subject each."""
    roots = ("shared", "management", "local")
    paths = (*files(*roots, suffix=suffix), *CHECKOUT.glob(f"*{suffix}"))
    lines = {
        str(path.relative_to(CHECKOUT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in paths
    }

    assert {name: count for name, count in lines.items() if count > 400} == {}


def test_every_module_says_what_it_is() -> None:
    """Each module of the product and of its command line opens with a docstring."""
    silent = [
        str(path.relative_to(CHECKOUT))
        for path in files("shared", "management", "local")
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]

    assert silent == []


def drawn_tree(text: str) -> dict[str, str]:
    """Each name of a drawn tree with that of its parent; the root's is empty."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in text.splitlines():
        match = re.match(r"((?:│   |    )*(?:├── |└── )?)(\w+)(?:  |$)", line)
        if match:
            depth = len(match[1]) // 4
            path[depth:] = [match[2]]
            parents[match[2]] = path[depth - 1] if depth else ""
    return parents


def all_errors(error: type[Exception]) -> Iterator[type[Exception]]:
    yield error
    for kind in error.__subclasses__():
        yield from all_errors(kind)


def test_every_error_stands_in_the_drawn_tree() -> None:
    """The docstring of shared/errors.py draws each error of the product in its place."""
    for module in pkgutil.walk_packages(shared.__path__, "shared."):
        importlib.import_module(module.name)
    drawn = drawn_tree((shared.errors.__doc__ or "").split("```")[1])
    errors = [
        each for each in all_errors(EmablerFunctionsError) if each.__module__.startswith("shared.")
    ]

    assert len(errors) > 10
    assert drawn == {
        error.__name__: error.__base__.__name__
        if error is not EmablerFunctionsError and error.__base__
        else ""
        for error in errors
    }


def test_every_error_is_raised_from_one_module_s_tree() -> None:
    """All errors of the product are defined in shared/errors.py, each with a code of its own."""
    errors = [
        each for each in all_errors(EmablerFunctionsError) if each.__module__.startswith("shared.")
    ]
    codes = [str(vars(error).get("code")) for error in errors]

    assert {error.__module__ for error in errors} == {"shared.errors"}
    assert all(re.fullmatch(r"[a-z]+(?:_[a-z]+)*", code) for code in codes)
    assert len(set(codes)) == len(codes)
    assert all(error.__doc__ for error in errors)
