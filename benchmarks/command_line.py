"""What the command lines of all benchmarks have in common."""

from __future__ import annotations

import argparse
from typing import NoReturn

from local.errors import LocalError


class Options(argparse.ArgumentParser):
    """The options of one benchmark: help for people, wrong use in the one form of errors."""

    def __init__(self, name: str, description: str | None) -> None:
        super().__init__(
            prog=f"python dev.py bench {name}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self._name = name

    def add_count(self, option: str, default: int, what: str) -> None:
        """Add an option that is a number of at least 1."""
        self.add_argument(
            option, type=count, default=default, metavar="N", help=f"{what} (default: {default})"
        )

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong.

        Raises:
            LocalError: always, `usage_wrong`.
        """
        remedy = f"`python dev.py bench {self._name} --help` lists the options"
        raise LocalError("usage_wrong", message, remedy)


def count(text: str) -> int:
    """A number of at least 1, from the command line."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        message = f"{text!r} is no whole number above 0"
        raise argparse.ArgumentTypeError(message)
    return int(text)
