"""Run programs one after another, each with a line that tells its time."""

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local.commands.frame import ROOT
from local.errors import LocalError

LOCAL = ROOT / "local"
ESLINT = LOCAL / "node_modules" / "eslint" / "bin" / "eslint.js"
PRETTIER = LOCAL / "node_modules" / "prettier" / "bin" / "prettier.cjs"
JAVASCRIPT = ("local/broker", "local/azurite_launcher.cjs", "tests/broker")


@dataclass(frozen=True)
class Step:
    """One program to run in the foreground.

    Attributes:
        label: what the line says.
        words: the program and its arguments.
        cwd: the working folder.
        quiet: show the output only when the program fails.
    """

    label: str
    words: Sequence[str | Path]
    cwd: Path = ROOT
    quiet: bool = False

    def run(self) -> int:
        """Run it; give its exit code."""
        print(f"── {self.label}")
        began = time.monotonic()
        done = subprocess.run(
            self.words,
            cwd=self.cwd,
            check=False,
            stdout=subprocess.PIPE if self.quiet else None,
            stderr=subprocess.STDOUT if self.quiet else None,
        )
        if self.quiet and done.returncode:
            print(done.stdout.decode("utf-8", "replace"))
        result = "ok" if done.returncode == 0 else f"failed ({done.returncode})"
        print(f"   {result}, {time.monotonic() - began:.1f} s")
        return done.returncode


def run_all(steps: Sequence[Step]) -> int:
    """Run steps until one fails; give its exit code, or 0."""
    for step in steps:
        if code := step.run():
            return code
    return 0


def module(name: str, *arguments: str) -> list[str | Path]:
    """Give the words that run a Python module of the virtual environment."""
    return [sys.executable, "-m", name, *arguments]


def eslint(label: str, *arguments: str) -> Step:
    """Make the step that lints the JavaScript of local/ and tests/.

    Raises:
        LocalError: `part_missing`, Node or eslint is not installed.
    """
    config = LOCAL / "eslint.config.mjs"
    words: list[str | Path] = [node(), _tool(ESLINT), "--config", config]
    return Step(label, [*words, *arguments, *JAVASCRIPT])


def prettier(label: str, *arguments: str) -> Step:
    """Make the step that checks, or brings about, the format of the JavaScript.

    Raises:
        LocalError: `part_missing`, Node or prettier is not installed.
    """
    config = LOCAL / ".prettierrc.json"
    words: list[str | Path] = [node(), _tool(PRETTIER), "--config", config, "--log-level", "warn"]
    return Step(label, [*words, *arguments, *JAVASCRIPT])


def _tool(path: Path) -> Path:
    if not path.exists():
        what = f"{path.stem} is not installed"
        raise LocalError("part_missing", what, "run `python dev.py test`")
    return path


def node() -> str:
    """Find Node on PATH.

    Raises:
        LocalError: `part_missing`.
    """
    found = shutil.which("node")
    if found is None:
        raise LocalError("part_missing", "Node is not on PATH", "run this by `python dev.py …`")
    return found
