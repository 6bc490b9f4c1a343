"""Options of the command line for the REST side: its faults and its habits."""

import argparse

import msgspec

from local.emabler.faults.faults import Faults
from local.emabler.faults.rules import FAULTS, BadRuleError, Rule, read_rule
from local.emabler.habits import BOUNDS, PERMISSIONS, Habits

_ABOUT_FAULTS = """\
Each fault has a name and a rate; options narrow it:

  --rest-fault throttled=0.1
  --rest-fault 'failing=1 status=503 after=60 until=120'
  --rest-fault 'late_sessions=0.2 seconds=900' --rest-fault 'truncated=1 first=3 last=3'

"""


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the options to a parser whose help keeps the lines of descriptions."""
    width = max(map(len, FAULTS))
    table = "\n".join(f"  {name:{width}}  {what}" for name, what in FAULTS.items())
    faulty = parser.add_argument_group("what goes wrong with the REST reads", _ABOUT_FAULTS + table)
    faulty.add_argument(
        "--rest-fault",
        action="append",
        default=[],
        type=_rule,
        metavar="NAME=RATE",
        help="a fault in force from the start; may be given several times "
        "(local/emabler/faults/rules.py tells the options)",
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
        type=lambda text: tuple(part for part in text.split(",") if part),
        default=PERMISSIONS,
        metavar="NAMES",
        help=f"what the key may do, by commas; by default all: {', '.join(PERMISSIONS)}",
    )
    habits.add_argument("--v2-calls-a-minute", type=int, help="then 429; by default no limit")
    habits.add_argument("--v3-calls-a-minute", type=int, help="then 429; by default no limit")


def faults(arguments: argparse.Namespace) -> Faults:
    """Make the faults that the command line asks for."""
    return Faults(seed=arguments.rest_seed, rules=arguments.rest_fault)


def habits(arguments: argparse.Namespace) -> Habits:
    """Make the habits that the command line asks for.

    Raises:
        SystemExit: a value cannot be used; the message says which.
    """
    said = {name: getattr(arguments, name) for name in Habits.__struct_fields__}
    try:
        return msgspec.convert(said, Habits)
    except msgspec.ValidationError as error:
        raise SystemExit(f"error: usage_wrong: {error}") from error


def _rule(text: str) -> Rule:
    try:
        return read_rule(text)
    except BadRuleError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
