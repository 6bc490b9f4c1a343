"""What commands refuse."""

from __future__ import annotations

from pathlib import Path

from management.context import Context
from management.usage import WRONG_USAGE
from shared.settings import AUTHORIZATION

_NAMES = ("TAG_HASH_KEY", "TAG_HASH_KEY_PREVIOUS", "TAG_SPELLINGS")


def tags_unusable(context: Context) -> bool:
    """Whether tags cannot be named, for a setting that is wrong; then it was told."""
    for problem in context.rooms.settings.problems_of(AUTHORIZATION):
        if problem.setting in _NAMES:
            context.output.error(problem.code, str(problem))
            return True
    return False


def file_unusable(context: Context, path: str | Path, error: Exception) -> int:
    """Tell that a file cannot be read or written, and why; the exit code.

    Raises:
        BrokenPipeError: That was it: whoever read standard output has enough, which is no fault.
    """
    if isinstance(error, BrokenPipeError):
        raise error
    why = (error.strerror if isinstance(error, OSError) else None) or error
    remedy = "look at its name, its folder and your rights there"
    context.output.error("file_unusable", f"{path}: {why}. What to do: {remedy}")
    return WRONG_USAGE
