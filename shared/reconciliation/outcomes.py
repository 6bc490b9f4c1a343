"""What came of one session that REST lists."""

from __future__ import annotations

from enum import StrEnum

from shared.sessions.claims import Source
from shared.sessions.planning import Written


class Outcome(StrEnum):
    """What came of one session that REST lists.

    `CONFIRMED`: push told of it. `REPAIRED`: it was not in the store. `HISTORY`: it was not either,
    and ended before the store was first reconciled. `CHANGED`: REST's answer was another one.
    `UNCHANGED`: it is as before. `UNIDENTIFIED`: the row names no charger or has no id.
    """

    CONFIRMED = "confirmed"
    REPAIRED = "repaired"
    HISTORY = "history"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    UNIDENTIFIED = "unidentified"


WRITTEN = frozenset((Outcome.CONFIRMED, Outcome.REPAIRED, Outcome.HISTORY, Outcome.CHANGED))
"""What came of sessions that the store holds otherwise than before."""


def outcome_of(written: Written) -> Outcome:
    """Tell what a REST claim met: nothing, the session without one, or an answer of before."""
    before = [] if written.before is None else [c for c, _ in written.before.claims.values()]
    said = {(claim.key, claim.digest) for claim in before}
    if all((claim.key, claim.digest) in said for claim in written.added):
        return Outcome.UNCHANGED
    if any(claim.source is Source.REST for claim in before):
        return Outcome.CHANGED
    return Outcome.CONFIRMED if before else Outcome.REPAIRED
