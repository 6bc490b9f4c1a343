"""Commands that change something: who does it, and whether they mean it."""

from __future__ import annotations

import argparse
import getpass
import sys

from management.context import Context
from management.stopping import read_line


def text_argument(text: str) -> str:
    """A text for the trace, that says something."""
    if not text.strip():
        message = 'a text is needed. Example: "ticket 4711"'
        raise argparse.ArgumentTypeError(message)
    return text


def name_argument(parser: argparse.ArgumentParser) -> None:
    """The argument `--as`."""
    parser.add_argument(
        "--as",
        dest="name",
        type=text_argument,
        metavar="NAME",
        help="whose doing it is, for the trace (otherwise the user signed in on this machine)",
    )


def sure_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments `--dry-run` and `--yes`."""
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, do nothing")
    parser.add_argument(
        "--yes", action="store_true", help="do not ask; needed where nobody can be asked"
    )


def whose(options: argparse.Namespace) -> str:
    """The name for the trace."""
    if options.name:
        return str(options.name)
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"


def confirmed(context: Context, what: str, number: int) -> bool:
    """Whether the caller means it: they type the number that they were told.

    `what` says what would be done. Where nobody can be asked, `--yes` has to be given.
    """
    output = context.output
    if context.options.yes:
        return True
    if not sys.stdin.isatty():
        output.error("not_confirmed", f"{what}. What to do: look with --dry-run, then give --yes")
        return False
    output.say(f"{what}. Type {number} to go on:")
    if read_line() == str(number):
        return True
    output.error("not_confirmed", "that was another number; nothing was done")
    return False
