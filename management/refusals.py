"""What commands refuse."""

from __future__ import annotations

from pathlib import Path

from management.context import Context
from management.tag_key_check import tag_key
from management.usage import WRONG_USAGE
from shared.settings import AUTHORIZATION

_NAMES = ("TAG_HASH_KEY", "TAG_HASH_KEY_PREVIOUS", "TAG_SPELLINGS")


async def tags_unusable(context: Context) -> bool:
    """Whether tags cannot be named, for a setting that is wrong; then it was told.

    Raises:
        EmablerFunctionsError: `tag_key_differs`: the store's tags lie under another key.
        StoreUnavailableError: The store cannot be read now.
    """
    for problem in context.rooms.settings.problems_of(AUTHORIZATION):
        if problem.setting in _NAMES:
            context.output.error(problem.code, str(problem))
            return True
    # Under another key each tag would be unknown, and an import would write it a second time.
    await tag_key(context.rooms)
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
