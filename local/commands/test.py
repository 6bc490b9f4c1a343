"""`python dev.py test`: format, lint and types of everything, then the tests.

Arguments go to pytest; `--only` as the first one leaves everything out but pytest.
"""

import sys

from local.commands.frame import ROOT, run_command
from local.commands.steps import Step, eslint, module, prettier, run_all

ONLY = "--only"
SIDE_BY_SIDE = ("-n", "auto", "--dist", "loadfile")
"""Files of tests run side by side, one for each core, each core with an Azurite of its own."""

TYPED = (
    "shared",
    "management",
    "local",
    "tests",
    "benchmarks",
    "infra/figures.py",
    "function_app.py",
    "manage.py",
    "dev.py",
)


async def test() -> int:
    """Run the checks and the tests; give the exit code of the first step that failed."""
    arguments = sys.argv[1:]
    if arguments[:1] == [ONLY]:
        return run_all([Step("tests", module("pytest", *arguments[1:]))])
    return run_all([*checks(), Step("tests", module("pytest", *(arguments or SIDE_BY_SIDE)))])


def checks() -> list[Step]:
    """Give the checks that come before the tests, the quick ones first."""
    there = [name for name in TYPED if (ROOT / name).exists()]
    return [
        Step("format of Python", module("ruff", "format", "--check", ".")),
        Step("lint of Python", module("ruff", "check", ".")),
        prettier("format of JavaScript", "--check"),
        eslint("lint of JavaScript", "--max-warnings", "0"),
        Step("types", module("mypy", *there)),
    ]


if __name__ == "__main__":
    run_command(test)
