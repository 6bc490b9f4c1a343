"""What came of one session that REST lists, and what is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from shared.instants import format_instant
from shared.reconciliation.differing import HashTag, change_of, replaced, says
from shared.reconciliation.findings import Finding, FindingClass
from shared.sessions.claims import Claim, Source
from shared.sessions.planning import Written
from shared.sessions.summary import Summary, fold
from shared.storage.rows import Value


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
    before = list(_before(written).values())
    said = {(claim.key, claim.digest, claim.gone) for claim in before}
    if all((claim.key, claim.digest, claim.gone) in said for claim in written.added):
        return Outcome.UNCHANGED
    if any(claim.source is Source.REST for claim in before):
        return Outcome.CHANGED
    # What only eMabler's list of ongoing sessions brought, push never told of.
    pushed = any(claim.source in (Source.START, Source.STOP) for claim in before)
    return Outcome.CONFIRMED if pushed else Outcome.REPAIRED


def _before(written: Written) -> Mapping[str, Claim]:
    stored = {} if written.before is None else written.before.claims
    return {key: claim for key, (claim, _) in stored.items()}


def together(first: Written, then: Written, *, dry_run: bool) -> Written:
    """What came of a session of which claims were written twice in a row.

    Of a dry run the second does not know what the first would have written.
    """
    added = {claim.key: claim for claim in (*first.added, *then.added)}
    both = replace(then, before=first.before, added=tuple(added.values()))
    if not dry_run:
        return both
    claims = {claim.key: claim for claim in (*first.claims, *then.added)}
    everything = tuple(claims[key] for key in sorted(claims))
    return replace(both, claims=everything, summary=fold(everything))


def change_told(
    written: Written, summary: Summary, as_of: datetime, hash_tag: HashTag
) -> Finding | None:
    """The finding that eMabler says of a session something else than before, one for all of it.

    Of items that it lists no more what they said stands beside what the item says that counts now.
    Where none counts that it lists, nothing is told here: the session may be missing.

    Args:
        written: What was written of it.
        summary: The session as it is by now, which pairing may have made another one.
        as_of: The instant before eMabler was asked.
        hash_tag: What stands for a tag.
    """
    before = _before(written)
    changed = [
        (before[claim.key], claim)
        for claim in written.added
        if claim.source is Source.REST and claim.key in before
    ]
    gone = [former for former, claim in changed if claim.gone and not former.gone]
    if gone:
        counting = summary.rest_claim
        if counting is None or counting.gone:
            return None
        return replaced(gone, counting, as_of, hash_tag)
    told = (change_of(former, claim, as_of, hash_tag) for former, claim in changed)
    return next((each for each in told if each is not None), None)


def push_says(summary: Summary) -> dict[str, Value]:
    """What a session without REST's word says, as a finding holds it."""
    values: dict[str, Value | None] = {
        "start": format_instant(summary.start) if summary.start else None,
        "end": format_instant(summary.end) if summary.end else None,
        "energy_wh": summary.energy_wh,
        "socket": summary.socket,
    }
    return {name: value for name, value in values.items() if value is not None}


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
