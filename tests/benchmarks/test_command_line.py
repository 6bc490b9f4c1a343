"""The benchmarks' command lines: wrong use is one error with a code, before anything starts."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from local.errors import LocalError

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
NAMES = sorted(path.parent.name for path in BENCHMARKS.glob("*/__main__.py"))
COUNTED = {"retention": "--rows", "sessions": "--sessions", "tags": "--tags"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("words", [["--nonsense"], ["{count}", "0"], ["{count}", "many"]])
async def test_wrong_use_is_told_with_its_code(
    monkeypatch: pytest.MonkeyPatch, name: str, words: list[str]
) -> None:
    """An unknown option and a count below 1 name the command whose help shows how."""
    option = COUNTED.get(name, "--rounds")
    monkeypatch.setattr("sys.argv", [name, *(word.format(count=option) for word in words)])
    benchmark = importlib.import_module(f"benchmarks.{name}.__main__")

    with pytest.raises(LocalError) as caught:
        await benchmark.main()

    assert str(caught.value).startswith("error: usage_wrong: ")
    assert f"`python dev.py bench {name} --help`" in str(caught.value)
