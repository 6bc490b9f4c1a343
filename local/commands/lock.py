"""`python dev.py lock`: make the lock files of Python packages anew, with hashes.

uv does it, from PyPI, in a virtual environment of its own below `.local`. The files name no
registry: they work with whichever one a machine is set to.
"""

import os
import sys
import venv
from pathlib import Path

from local.commands.frame import FAILED, ROOT, STATE, run_command
from local.commands.steps import Step, run_all

# What is locked: input below the root → the lock file.
LOCKS = {
    "requirements.in": "requirements.txt",
    "requirements-dev.in": "requirements-dev.txt",
    "local/requirements-node.in": "local/requirements-node.txt",
}
# Pinned, so that a lock file changes when its input does and not when uv does.
UV = "uv==0.13.9"
OPTIONS = ("--universal", "--python-version", "3.13", "--generate-hashes", "--no-header")


async def lock() -> int:
    """Make the lock files; give 0, or the code of the step that failed."""
    home = STATE / "lock-venv"
    uv = home.joinpath(*(("Scripts", "uv.exe") if os.name == "nt" else ("bin", "uv")))
    python = uv.with_name("python.exe" if os.name == "nt" else "python")
    if not uv.exists():
        venv.create(home, with_pip=True, clear=True)
        if code := Step("uv", [python, "-m", "pip", "install", "--quiet", UV]).run():
            return code
    code = run_all(
        [
            Step(target, [uv, "pip", "compile", "--quiet", *OPTIONS, source, "-o", target])
            for source, target in LOCKS.items()
        ]
    )
    return code or _refuse_addresses([ROOT / target for target in LOCKS.values()])


def _refuse_addresses(files: list[Path]) -> int:
    """Fail when a lock file holds an address: it would tie everybody to one registry."""
    held = [file.name for file in files if "://" in file.read_text("utf-8")]
    if held:
        print(f"these lock files hold an address: {', '.join(held)}", file=sys.stderr)
    return FAILED if held else 0


if __name__ == "__main__":
    run_command(lock)
