"""Reads the command line, runs the command, and turns what goes wrong into a code and an exit.

Exit 0: done. 1: something was found wrong, or the store cannot be reached. 2: wrong usage or
settings. 130: stopped (Ctrl-C), 143: stopped (SIGTERM).
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from management.azd import AZD, load_azd_environment
from management.commands import COMMANDS
from management.context import Context
from management.environment import FILE, load_environment
from management.examples import shown
from management.output import Output
from management.running import run_command
from management.stopping import NothingDoneError, stopped, told_to_end
from management.streams import make_writable, write_no_more
from management.usage import WRONG_USAGE, Parser, wrong_range
from shared.errors import (
    EmablerFunctionsError,
    LeaseHeldError,
    LeaseLostError,
    RowRejectedError,
    SettingError,
)
from shared.rooms import Rooms

DONE, FOUND_WRONG = 0, 1

_EXAMPLES = """examples:
  python manage.py doctor
  python manage.py events list --charger CH-0042 --from 2026-11-01
  python manage.py sessions list --state open --json
  python manage.py sessions export --format parquet --output sessions.parquet
  python manage.py parked replay --reason bad_field --dry-run
  python manage.py tags import tags.csv --dry-run
  python manage.py authorize CH-0042 04A22B7F
  python manage.py reconcile --from 2026-11-01 --to 2026-11-07 --dry-run
  python manage.py findings list --state open
  python manage.py windows list
  python manage.py doctor --env azd
  python manage.py smoke --env azd

Settings come from the environment, over local.settings.json in the current folder, or with --env
azd over those of a deployed environment.
Exit codes: 0 done, 1 something was found wrong, 2 wrong usage or settings, 130 stopped (Ctrl-C),
143 stopped (SIGTERM)."""

_GROUPS = {
    "events": "the journal: every push event, once",
    "sessions": "charging sessions, folded from what push and REST say",
    "chargers": "the latest state of chargers and sockets",
    "parked": "messages that were put aside: look, bring back, put away",
    "tags": "the tags that may charge",
    "runs": "the runs of reconciliation",
    "windows": "as of when the store is proven equal to eMabler's books",
    "findings": "where the store and eMabler's books differ",
    "privacy": "one person's data, by their tag",
    "groups": "what tags have in common: scope, end, limit",
    "backup": "the tables of record as files: take, list, bring back, compare",
    "store": "the tables themselves",
}


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = Parser(
        prog="manage.py",
        description="Look into and look after the store of your eMabler integration.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = Parser(add_help=False)
    common.add_argument(
        "--json",
        action="store_true",
        help="one JSON object a line on standard output, messages on standard error",
    )
    common.add_argument(
        "--env",
        type=_env_argument,
        metavar="azd[:NAME]",
        help="work on the deployed environment that azd has selected, or on the one named",
    )
    groups = top.add_subparsers(dest="group", metavar="COMMAND", required=True)
    nested: dict[str, argparse._SubParsersAction[Parser]] = {}
    for command in COMMANDS:
        group, _, verb = command.name.partition(" ")
        if verb and group not in nested:
            nested[group] = groups.add_parser(
                group, help=_GROUPS[group], description=_GROUPS[group]
            ).add_subparsers(dest="verb", metavar="VERB", required=True)
        leaf = (nested[group] if verb else groups).add_parser(
            verb or group,
            help=command.help,
            description=fill(command.help),
            parents=[common],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.arguments(leaf)
        leaf.epilog = shown(command.name, below=leaf.epilog)
        leaf.set_defaults(command=command, parser=leaf)
    return top


def _env_argument(text: str) -> str:
    """The name after `azd:`; empty for the one that is selected."""
    kind, _, name = text.partition(":")
    if kind != AZD:
        message = f"{text!r} is no kind of environment. Example: azd, or azd:charging-test"
        raise argparse.ArgumentTypeError(message)
    return name


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code."""
    logging.getLogger("azure").setLevel(logging.WARNING)
    make_writable()
    options = _read(arguments)
    output = Output(as_json=options.json)
    if wrong := wrong_range(options):
        output.error("wrong_range", wrong)
        return WRONG_USAGE
    with told_to_end() as exit_code:
        try:
            return _run_telling(options, output)
        except KeyboardInterrupt as stop:
            writes = not (isinstance(stop, NothingDoneError) or _only_looks(options))
            output.say(stopped(options.command.name, how_far=output.how_far(), writes=writes))
            return exit_code()
        except BrokenPipeError:
            # Whoever read our rows has enough of them.
            write_no_more()
            return DONE
        except OSError as error:
            what = f"{error.filename or 'standard output'}: {error.strerror or error}"
            output.error(
                "file_unusable", f"{what}. What to do: give it room or rights, then repeat"
            )
            write_no_more()
            return FOUND_WRONG


def _only_looks(options: argparse.Namespace) -> bool:
    return any(getattr(options, name, False) for name in ("dry_run", "compare"))


def _read(arguments: Sequence[str]) -> argparse.Namespace:
    """The arguments; what no command knows is told with the usage of the command meant."""
    options, unknown = parser().parse_known_args(arguments)
    if unknown:
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return options


def _run_telling(options: argparse.Namespace, output: Output) -> int:
    """Run the command and tell the errors that have a code; the exit code."""
    try:
        if options.env is None:
            environ = load_environment(Path.cwd(), os.environ)
        else:
            environ = load_azd_environment(options.env or None, os.environ, output.say)
        code = asyncio.run(_run(options, output, environ))
        # Here, where a reader who has gone is no fault; when Python ends it would be one.
        sys.stdout.flush()
    except SettingError as error:
        output.error(error.code, _with_remedy(error, _where_settings_are(options)))
        return WRONG_USAGE
    except RowRejectedError as error:
        output.error(error.code, str(error))
        return WRONG_USAGE
    except EmablerFunctionsError as error:
        output.error(error.code, _with_remedy(error, _what_to_do(error)))
        return FOUND_WRONG
    return code


def _with_remedy(error: EmablerFunctionsError, remedy: str) -> str:
    """What is wrong and what to do, said once."""
    told = str(error)
    return told if "What to do:" in told else f"{told}. What to do: {remedy}"


def _where_settings_are(options: argparse.Namespace) -> str:
    if options.env is not None:
        return "`azd provision` sets it; docs/settings.md explains each setting"
    if Path(FILE).exists():
        return f"mend it in the environment or in {FILE}; docs/settings.md explains each setting"
    return (
        f"there is no {FILE} in this folder: run `python dev.py up`, which writes one, go where "
        "yours is, set it in the environment, or use --env azd"
    )


def _what_to_do(error: EmablerFunctionsError) -> str:
    match error:
        case LeaseHeldError():
            return "wait until that run ends (`python manage.py runs list`), then repeat"
        case LeaseLostError():
            return "nothing, another run goes on; repeat where it was a stretch by hand"
        case _:
            return "run `python manage.py doctor`"


async def _run(options: argparse.Namespace, output: Output, environ: dict[str, str]) -> int:
    rooms = Rooms(environ)
    try:
        return await run_command(Context(options, output, rooms, environ))
    finally:
        await rooms.close()
