"""What commands refuse before they begin."""

from __future__ import annotations

from management.context import Context
from shared.settings import AUTHORIZATION

_NAMES = ("TAG_HASH_KEY", "TAG_HASH_KEY_PREVIOUS", "TAG_SPELLINGS")


def tags_unusable(context: Context) -> bool:
    """Whether tags cannot be named, for a setting that is wrong; then it was told."""
    for problem in context.rooms.settings.problems_of(AUTHORIZATION):
        if problem.setting in _NAMES:
            context.output.error(problem.code, str(problem))
            return True
    return False
