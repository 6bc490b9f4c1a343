"""What is wrong with a command line itself, told as every other error is: a code, what to do."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

WRONG_USAGE = 2


class Parser(argparse.ArgumentParser):
    """A parser that answers wrong use with the error `usage_wrong`, below the line of usage."""

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong and end the process with exit code 2."""
        self.print_usage(sys.stderr)
        remedy = f"`python {self.prog} --help` explains each argument"
        self.exit(WRONG_USAGE, f"error: usage_wrong: {message}. What to do: {remedy}\n")


def wrong_range(options: argparse.Namespace) -> str | None:
    """What is wrong with `--from` and `--to`, where a command has both and both are given."""
    start, end = getattr(options, "start", None), getattr(options, "end", None)
    if start is None or end is None or start < end:
        return None
    return "--from is not before --to. Example: --from 2026-11-01 --to 2026-11-30"
