"""What the command lines of all benchmarks have in common."""

from __future__ import annotations

import argparse

from local.commands.frame import Arguments


class Options(Arguments):
    """The options of one benchmark, with a help for people."""

    def __init__(self, name: str, description: str | None) -> None:
        super().__init__(f"bench {name}", description or "")

    def add_count(self, option: str, default: int, what: str) -> None:
        """Add an option that is a number of at least 1."""
        self.add_argument(
            option, type=count, default=default, metavar="N", help=f"{what} (default: {default})"
        )


def count(text: str) -> int:
    """A number of at least 1, from the command line."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        message = f"{text!r} is no whole number above 0"
        raise argparse.ArgumentTypeError(message)
    return int(text)
