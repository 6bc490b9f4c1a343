"""`python dev.py test`: format, lint and types of everything, then the tests.

With arguments for pytest the tests of the JavaScript are left out; `--only` as the first argument
leaves everything out but pytest.
"""

import sys

from local.commands.frame import ROOT, run_command
from local.commands.steps import Step, eslint, module, node, prettier, run_all

ONLY = "--only"
SIDE_BY_SIDE = ("-n", "auto", "--dist", "loadfile")
"""Files of tests run side by side, one for each core, each core with an Azurite of its own."""

TYPED = (
    "shared",
    "management",
    "local",
    "tests",
    "benchmarks",
    "function_app.py",
    "manage.py",
    "dev.py",
)


async def test() -> int:
    """Run the checks and the tests; give the exit code of the first step that failed."""
    arguments = sys.argv[1:]
    if arguments[:1] == [ONLY]:
        return run_all([Step("tests", module("pytest", *arguments[1:]))])
    return run_all(
        [
            *checks(),
            *([] if arguments else [javascript_tests()]),
            Step("tests", module("pytest", *(arguments or SIDE_BY_SIDE))),
        ]
    )


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


def javascript_tests() -> Step:
    """Give the step that runs the tests written in JavaScript, with Node's own runner."""
    files = sorted((ROOT / "tests").rglob("*.test.js"))
    return Step("tests of the JavaScript", [node(), "--test", *files], quiet=True)


if __name__ == "__main__":
    run_command(test)
