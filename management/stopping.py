"""What is said when somebody stops a command: what became of its work, and the way on.

Ctrl-C stops it, and so does a SIGTERM: of a pipeline that is cancelled, or a machine going down.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

INTERRUPTED, TERMINATED = 130, 143

_AGAIN = "run the command again"
_FILE = "a file that it was to write is as it was before, and rows that were printed are not all"
_EACH = "what is done stays done"
_MEANWHILE: Mapping[str, tuple[str, str]] = {
    "smoke": (
        "what was sent may still arrive",
        "take it out with `python manage.py smoke --clean MARK` and the mark told above",
    ),
    "sessions export": (_FILE, _AGAIN),
    "findings export": (_FILE, _AGAIN),
    "tags export": (_FILE, _AGAIN),
    "groups export": (_FILE, _AGAIN),
    "privacy export": (_FILE, _AGAIN),
    "chargers refresh": (_EACH, _AGAIN),
    "parked replay": (_EACH, "run the command again for the others; twice does no harm"),
    "parked discard": (_EACH, "run the command again for the others"),
    "parked collect": (_EACH, "run the command again for the others"),
    "findings resolve": (_EACH, "run the command again for the others"),
    "tags import": ("what was written stays", "run the command again: it writes the others"),
    "groups import": (
        "what was written stays",
        "run the command again: it writes the others",
    ),
    "tags rehash": (
        "what was moved stays so, and each tag is found",
        "run the command again: it moves the others",
    ),
    "reconcile": (
        "what was confirmed, repaired and found stays",
        "run the command again: a run goes on from the front, a stretch by hand begins anew",
    ),
    "privacy erase": (
        "the tag may be erased in part",
        "run the command again, which makes it whole",
    ),
    "rebuild": (
        "what was mended stays so",
        "run the command again, which looks at all of it anew",
    ),
    "backup take": ("what was copied stays", "run the command again, or let the timer go on"),
    "backup restore": (
        "the backup may be restored in part",
        "start no app on that store, and run the same command again, which goes on",
    ),
}


class NothingDoneError(KeyboardInterrupt):
    """Stopped while it was asked: nothing was done."""


def stopped(command: str, *, how_far: str, writes: bool) -> str:
    """The line for a command that was stopped; `how_far` it had come, where that is known.

    `writes`: False where it was only to look, or was stopped before it began.
    """
    became, remedy = _MEANWHILE.get(command, ("", _AGAIN))
    if not writes:
        became, remedy = "nothing was written", _AGAIN
    told = f"stopped after {how_far}" if how_far else "stopped"
    return (f"{told}: {became}" if became else told) + f". What to do: {remedy}"


@contextmanager
def told_to_end() -> Iterator[Callable[[], int]]:
    """Within it a SIGTERM does what Ctrl-C does; yields what tells the exit code of the stop."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: INTERRUPTED
        return
    codes = [INTERRUPTED]

    def as_ctrl_c(_number: int, _frame: FrameType | None) -> None:
        codes.append(TERMINATED)
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGTERM, as_ctrl_c)
    try:
        yield lambda: codes[-1]
    finally:
        signal.signal(signal.SIGTERM, before)


def read_line() -> str:
    """A line of standard input, without blanks around it.

    The event loop would hear of a Ctrl-C only after the line has come; here it ends the wait.

    Raises:
        NothingDoneError: Somebody stopped it.
    """
    if threading.current_thread() is not threading.main_thread():
        return sys.stdin.readline().strip()
    before = signal.signal(signal.SIGINT, _end_the_wait)
    try:
        return sys.stdin.readline().strip()
    finally:
        signal.signal(signal.SIGINT, before)


def _end_the_wait(_number: int, _frame: FrameType | None) -> None:
    raise NothingDoneError
