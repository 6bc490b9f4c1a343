"""What is wrong with a command line itself, told as every other error is: a code, what to do."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

WRONG_USAGE = 2


_DASH = re.compile(r"-[^-h]")
"""A word that begins with one dash: no option of ours does, but for -h."""


class Parser(argparse.ArgumentParser):
    """A parser that answers wrong use with the error `usage_wrong`, below the line of usage."""

    _words: Sequence[str] = ()

    def parse_known_args(  # type: ignore[override] # argparse overloads it by the namespace's type
        self,
        args: Sequence[str] | None = None,
        namespace: Any = None,  # noqa: ANN401 - argparse's own
    ) -> tuple[Any, list[str]]:
        """As its base does; the words are kept for what is to be said of them."""
        self._words = () if args is None else args
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong and end the process with exit code 2."""
        self.print_usage(sys.stderr)
        remedy = f"`python {self.prog} --help` explains each argument"
        if any(map(_DASH.match, self._words)):
            remedy += (
                "; an id that begins with a dash comes last, after the word --, or as --charger=-ID"
            )
        self.exit(WRONG_USAGE, f"error: usage_wrong: {message}. What to do: {remedy}\n")


def wrong_range(options: argparse.Namespace) -> str | None:
    """What is wrong with `--from` and `--to`, where a command has both and both are given."""
    start, end = getattr(options, "start", None), getattr(options, "end", None)
    if start is None or end is None or start < end:
        return None
    return "--from is not before --to. Example: --from 2026-11-01 --to 2026-11-30"
