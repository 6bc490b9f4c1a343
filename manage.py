"""The operator's command line. `python manage.py --help` lists what it can do.

It may be started with any Python 3: where that one is too old or lacks the packages, the
environment that `python dev.py setup` made (`.venv`) takes over.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
OLDEST_PYTHON = (3, 13)
WRONG_USAGE = 2


def _can_run_here() -> bool:
    return sys.version_info >= OLDEST_PYTHON and all(map(find_spec, ("aiohttp", "rich", "httpx")))


def _environment_python() -> Path:
    folder = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
    return HERE / ".venv" / folder


def main() -> int:
    """Run the command line, here or in the environment; the exit code."""
    if _can_run_here():
        from management.main import run  # noqa: PLC0415 - only where its packages are there

        return run(sys.argv[1:])
    python = _environment_python()
    if not python.exists() or Path(sys.executable) == python:
        print(
            "error: environment_missing: this Python lacks the packages that manage.py needs. "
            "What to do: run `python dev.py setup`, which makes them a place of their own.",
            file=sys.stderr,
        )
        return WRONG_USAGE
    command = [str(python), str(HERE / "manage.py"), *sys.argv[1:]]
    if os.name != "nt":
        # Signals then reach the command itself, with nothing between.
        os.execv(command[0], command)  # noqa: S606 - no shell is wanted
    process = subprocess.Popen(command)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            # The command got the Ctrl-C as well, and says what it leaves.
            continue


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
