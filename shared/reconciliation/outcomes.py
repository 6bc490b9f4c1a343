"""What came of one session that REST lists."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from shared.reconciliation.comparing import HashTag, says
from shared.reconciliation.findings import Finding, FindingClass
from shared.sessions.claims import Claim, Source
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
    # What only eMabler's list of ongoing sessions brought, push never told of.
    pushed = any(claim.source in (Source.START, Source.STOP) for claim in before)
    return Outcome.CONFIRMED if pushed else Outcome.REPAIRED


def missing_in_store(rest: Claim, as_of: datetime, hash_tag: HashTag) -> Finding:
    """The finding that push never told of a session that REST lists."""
    return Finding(
        FindingClass.MISSING_IN_STORE,
        rest.session,
        as_of,
        charger=rest.charger,
        transaction=rest.transaction,
        emabler=says(rest, hash_tag),
        end=rest.end,
    )
