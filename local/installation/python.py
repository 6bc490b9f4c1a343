"""The right Python, and `.venv` made with it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

from local.installation.steps import (
    ROOT,
    InstallationError,
    ask,
    fingerprint,
    read_stamp,
    step,
    write_stamp,
)

OLDEST = (3, 13)
VENV = ROOT / ".venv"
VENV_PYTHON = VENV.joinpath(*(("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")))
REQUIREMENTS = ROOT / "requirements-dev.txt"


def install_python_packages() -> None:
    """Make .venv and install requirements-dev.txt, unless that was done with the same inputs.

    Raises:
        InstallationError: `python_missing` or `install_failed`.
    """
    if VENV_PYTHON.exists() and read_stamp("python").get("inputs") == _inputs():
        return
    if not _usable([str(VENV_PYTHON)], "pip"):
        python = find_python()
        step(
            f"virtual environment with {python}",
            [python, "-m", "venv", "--clear", str(VENV)],
            log="venv",
            remedy="read the log; on Debian and Ubuntu the package python3.13-venv is needed",
        )
    pip("Python packages", REQUIREMENTS, log="pip")
    write_stamp("python", {"inputs": _inputs()})


def pip(label: str, requirements: Path, *, log: str) -> None:
    """Install into .venv: only what the file's hashes allow, only what needs no compiler.

    Raises:
        InstallationError: `install_failed`.
    """
    options = ("--require-hashes", "--only-binary", ":all:", "--no-input")
    command = [str(VENV_PYTHON), "-m", "pip", "install", "--disable-pip-version-check"]
    step(
        label,
        [*command, *options, "-r", str(requirements)],
        log=log,
        remedy="read the log; is the network there, and a proxy set where one is needed?",
    )


def _inputs() -> str:
    """What .venv follows from: the lock file, the Python in it, the machine."""
    return fingerprint([REQUIREMENTS, VENV / "pyvenv.cfg"], platform.machine())


def find_python() -> str:
    """Find a Python that is new enough and can make virtual environments; give its path.

    Raises:
        InstallationError: `python_missing`.
    """
    crippled = ""
    for words in _candidates():
        if _usable(words, "venv, ensurepip"):
            return ask([*words, "-c", "import sys; print(sys.executable)"]) or words[0]
        if not crippled and _usable(words, "sys"):
            crippled = " ".join(words)
    if crippled:
        raise InstallationError(
            "python_missing",
            f"{crippled} is new enough but cannot make virtual environments (no ensurepip)",
            "install its venv package (Debian, Ubuntu: `apt install python3.13-venv`)",
        )
    raise InstallationError(
        "python_missing",
        f"no Python 3.13 or later was found (this is {platform.python_version()})",
        "install one from python.org, with your package manager, with `pyenv install 3.13` or "
        "with `uv python install 3.13`; it may stand beside the one you have",
    )


def _candidates() -> list[list[str]]:
    """Where a Python may be, the best first. A shim on PATH may refuse to run: each is asked."""
    names = ("python3.13", "python3.14", "python3.15", "python3", "python")
    found = [[sys.executable], *([path] for path in map(shutil.which, names) if path)]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for version in ("3.13", "3.14", "3.15"):
        # The second is where pyenv-win puts them.
        for place in (
            f"versions/{version}*/bin/python",
            f"pyenv-win/versions/{version}*/python.exe",
        ):
            found.extend([str(path)] for path in sorted(pyenv.glob(place)))
    if shutil.which("py"):
        found.extend(["py", f"-{version}"] for version in ("3.13", "3.14"))
    if shutil.which("uv"):
        known = ask(["uv", "python", "find", "--no-python-downloads", ">=3.13"])
        found.extend([[known]] if known else [])
    return found


def _usable(words: list[str], modules: str) -> bool:
    """Ask a Python: is it a CPython, new enough, and does it have these modules?"""
    told = ask(
        [
            *words,
            "-c",
            f"import sys, {modules}; print(sys.implementation.name, *sys.version_info[:2])",
        ]
    )
    name, _, version = told.partition(" ")
    numbers = tuple(int(part) for part in version.split() if part.isdigit())
    return name == "cpython" and numbers >= OLDEST
