"""Options of the command line for the REST side: its faults and its habits."""

import argparse

from local.emabler.faults.faults import Faults
from local.emabler.faults.rules import FAULTS, PARTS, BadRuleError, Rule, read_rule
from local.emabler.habits import BOUNDS, PERMISSIONS, Habits, Permission

_ABOUT_FAULTS = """\
A fault has a name, a rate and options. PUT /_faults sets them while the program runs.

  --rest-fault throttled=0.1
  --rest-fault 'failing=1 status=503 after=60 until=120'
  --rest-fault 'late_sessions=0.2 seconds=900' --rest-fault 'truncated=1 first=3 last=3'

Faults:

{faults}

Options:

{parts}
"""


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser whose help keeps the lines of descriptions."""
    width = max(map(len, (*FAULTS, *PARTS)))
    faults, parts = (
        "\n".join(f"  {name:{width}}  {what}" for name, what in table.items())
        for table in (FAULTS, PARTS)
    )
    faulty = parser.add_argument_group(
        "what goes wrong with the REST reads", _ABOUT_FAULTS.format(faults=faults, parts=parts)
    )
    faulty.add_argument(
        "--rest-fault",
        action="append",
        default=[],
        type=_rule,
        metavar="NAME=RATE",
        help="a fault in force from the start; may be given several times",
    )
    faulty.add_argument("--rest-seed", type=int, default=0, help="what the rates are drawn from")
    habits = parser.add_argument_group("what is not documented about the REST reads")
    habits.add_argument(
        "--bounds",
        choices=BOUNDS,
        default="closed",
        help="which bounds of a time filter belong to it: both, the first only, none",
    )
    habits.add_argument(
        "--permissions",
        type=_permissions,
        default=PERMISSIONS,
        metavar="NAMES",
        help=f"what the key may do, by commas; by default all: {', '.join(PERMISSIONS)}",
    )
    habits.add_argument("--v2-calls-a-minute", type=_positive, help="then 429; by default no limit")
    habits.add_argument("--v3-calls-a-minute", type=_positive, help="then 429; by default no limit")


def faults(arguments: argparse.Namespace) -> Faults:
    """Make the faults that the command line asks for."""
    return Faults(seed=arguments.rest_seed, rules=arguments.rest_fault)


def habits(arguments: argparse.Namespace) -> Habits:
    """Make the habits that the command line asks for."""
    return Habits(**{name: getattr(arguments, name) for name in Habits.__struct_fields__})


def _rule(text: str) -> Rule:
    try:
        return read_rule(text)
    except BadRuleError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _permissions(text: str) -> tuple[Permission, ...]:
    names = {part.strip() for part in text.split(",") if part.strip()}
    unknown = names - set(PERMISSIONS)
    if unknown:
        raise argparse.ArgumentTypeError(
            f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(PERMISSIONS)}"
        )
    return tuple(name for name in PERMISSIONS if name in names)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1 on")
    return int(text)
