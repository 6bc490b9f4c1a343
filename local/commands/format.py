"""`python dev.py format`: bring all code into the one format, and fix what linters can fix."""

from local.commands.frame import run_command
from local.commands.steps import Step, eslint, module, prettier, run_all


async def format_all() -> int:
    """Format and fix; give the exit code of what could not be fixed."""
    return run_all(
        [
            Step("format Python", module("ruff", "format", ".")),
            Step("fix Python", module("ruff", "check", "--fix", ".")),
            prettier("format JavaScript", "--write"),
            eslint("fix JavaScript", "--fix"),
        ]
    )


if __name__ == "__main__":
    run_command(format_all)
