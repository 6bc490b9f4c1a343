"""A run without the Bicep compiler says so where nobody overlooks it, and checks the rest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra.compiler import CHECKOUT, MISSING


@pytest.fixture
def without_compiler(tmp_path: Path) -> dict[str, str]:
    """An environment on whose PATH there is none, nor where the Azure CLI keeps one."""
    folder = str(tmp_path)
    return os.environ | {"PATH": folder, "AZURE_CONFIG_DIR": folder, "HOME": folder}


@pytest.mark.parametrize("split", [[], ["-n", "1", "--dist", "loadfile"]], ids=["one", "split"])
def test_what_was_not_compiled_is_told_last(
    without_compiler: dict[str, str], split: list[str]
) -> None:
    """The tests that need it are counted in a section of their own, also with workers; exit 0."""
    name = "tests/infra/test_template.py::test_the_template_is_formatted"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *split, name],
        cwd=CHECKOUT,
        env=without_compiler,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout
    assert "NOT CHECKED" in run.stdout
    assert f"1 tests of infra/: {MISSING}" in run.stdout
    assert run.stdout.index("NOT CHECKED") > run.stdout.rindex("SKIPPED")


def test_ci_tells_it_after_everything_else(without_compiler: dict[str, str]) -> None:
    """The last thing that .ci/run does is to say it again."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.infra.compiler"],
        cwd=CHECKOUT,
        env=without_compiler,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = (CHECKOUT / ".ci" / "run").read_text(encoding="utf-8").splitlines()

    assert (run.returncode, run.stderr) == (1, f"NOT CHECKED: {MISSING}\n")
    assert "tests.infra.compiler" in lines[-1]
