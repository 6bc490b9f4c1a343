"""What every command does around its work: exit codes, one message for an error, Ctrl-C."""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NoReturn

from local.errors import LocalError

ROOT = Path(__file__).resolve().parent.parent.parent
STATE = ROOT / ".local"

DONE, FAILED, WRONG_USE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143


class Arguments(argparse.ArgumentParser):
    """A parser that answers wrong use in the one form of errors."""

    def __init__(self, command: str, description: str | None = None) -> None:
        """Make it; with a description it has a `--help` of its own, else dev.py's counts."""
        super().__init__(
            prog=f"python dev.py {command}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            add_help=description is not None,
            allow_abbrev=False,
        )
        self._command = command

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong.

        Raises:
            LocalError: always, `usage_wrong`.
        """
        raise LocalError(
            "usage_wrong", message, f"`python dev.py {self._command} --help` shows how"
        )


def run_command(work: Callable[[], Awaitable[int]]) -> NoReturn:
    """Run a command's work and exit with its code.

    Errors for people are one line on standard error and exit code 2. Ctrl-C and SIGTERM cancel
    the work, which stops what it started; the exit code is then 130 or 143.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace", line_buffering=True)  # type: ignore[union-attr]
    try:
        sys.exit(asyncio.run(_until_signalled(work)))
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BaseExceptionGroup as group:
        told = [error for error in group.exceptions if _is_for_people(error)]
        if len(told) != len(group.exceptions):
            raise
        print("\n".join(map(str, told)), file=sys.stderr)
        sys.exit(WRONG_USE)
    except Exception as error:
        if not _is_for_people(error):
            raise
        print(error, file=sys.stderr)
        sys.exit(WRONG_USE)


def _is_for_people(error: BaseException) -> bool:
    """Tell whether an error is one with a code and a remedy, of whichever part."""
    return isinstance(error, LocalError) or str(error).startswith("error: ")


async def _until_signalled(work: Callable[[], Awaitable[int]]) -> int:
    """Do the work as a task that a first signal cancels; later ones wait for it to stop."""
    task = asyncio.ensure_future(work())
    got: list[signal.Signals] = []

    def cancel(name: signal.Signals) -> None:
        if not got:
            got.append(name)
            print("\nstopping …", file=sys.stderr)
            task.cancel()

    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        # Windows' loop takes no handlers: there asyncio.run itself answers Ctrl-C.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(name, cancel, name)
    try:
        return await task
    except asyncio.CancelledError:
        if not got:
            raise
        print("stopped", file=sys.stderr)
        return INTERRUPTED if got[0] is signal.SIGINT else TERMINATED
