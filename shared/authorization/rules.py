"""The rules as one pure function: what is known of a tag, and now, into a decision."""

from __future__ import annotations

from datetime import datetime

from shared.authorization.taps import Cause, Decision
from shared.tags.records import Tag


def decide(tag: Tag | None, now: datetime) -> Decision:
    """Decide a tap. Validity begins at `valid_from` and ends before `valid_until`."""
    if tag is None:
        return Decision(allowed=False, cause=Cause.UNKNOWN_TAG)
    if tag.blocked:
        return Decision(allowed=False, cause=Cause.BLOCKED, tag_kind=tag.kind)
    if tag.valid_until is not None and now >= tag.valid_until:
        return Decision(allowed=False, cause=Cause.EXPIRED, tag_kind=tag.kind)
    if tag.valid_from is not None and now < tag.valid_from:
        return Decision(allowed=False, cause=Cause.NOT_YET_VALID, tag_kind=tag.kind)
    return Decision(allowed=True, cause=Cause.KNOWN_TAG, tag_kind=tag.kind)
