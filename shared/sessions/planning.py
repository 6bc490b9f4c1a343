"""What a session's claims need written, decided from what is known of the session. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from shared.sessions.claims import Claim, Source, claim_row, without_person
from shared.sessions.indexes import index_rows
from shared.sessions.plausibility import USUAL, Limits
from shared.sessions.summary import Summary, fold, summary_row
from shared.storage import limits
from shared.storage.rows import Delete, Insert, Operation, Replace, Row, Upsert

_MAX_CLAIMS = 20
"""Claims of one session that one transaction takes: each is a row, an index row, and may replace
both, and all of it has to fit."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store holds of one session: read in one range, or remembered."""

    claims: Mapping[str, tuple[Claim, Row]]
    summary: Row | None


@dataclass(frozen=True, slots=True)
class Written:
    """What came of one session's claims: those that were new, and the summary of all."""

    session: str
    before: Stored | None
    added: tuple[Claim, ...]
    claims: tuple[Claim, ...]
    summary: Summary


@dataclass(frozen=True, slots=True)
class Plan:
    """What one session needs written, decided from what is known of it."""

    written: Written
    operations: list[Operation]


def likely_new(claims: Sequence[Claim]) -> bool:
    """Whether these claims most likely begin their session: a start does, a stop meets one."""
    return any(claim.source is Source.START for claim in claims)


@dataclass(frozen=True, slots=True)
class Part:
    """Claims of one session that go into one transaction, and what they need if it is new."""

    claims: list[Claim]
    as_new: Plan


def groups(
    bucket: str,
    sessions: Mapping[str, Sequence[Claim]],
    plausible: Limits = USUAL,
    *,
    fresh: bool = False,
) -> Iterator[dict[str, Part]]:
    """Sessions of one bucket in groups, each of which one transaction is certain to hold.

    Where all are taken for new (`fresh`), one that is not needs them cut anew.
    """
    group: dict[str, Part] = {}
    operations = size = 0
    for name, claims in sessions.items():
        for start in range(0, len(claims), _MAX_CLAIMS):
            part = list(claims[start : start + _MAX_CLAIMS])
            plan = plan_session(bucket, name, part, None, plausible)
            more = len(plan.operations)
            more_size = sum(map(limits.operation_bytes, plan.operations))
            if not fresh:
                # An end takes the session off the list of open ones, or changes what stands beside
                # the REST answer that counts; REST's may move within its own rows as well.
                more += any(c.source is not Source.START for c in part)
                more += sum(c.source is Source.REST for c in part)
                more_size *= 2
            full = operations + more > limits.MAX_OPERATIONS
            if group and (full or start or size + more_size > limits.MAX_TRANSACTION_BYTES):
                yield group
                group, operations, size = {}, 0, 0
            group[name] = Part(part, plan)
            operations += more
            size += more_size
    if group:
        yield group


def plan_session(
    bucket: str,
    session: str,
    claims: Sequence[Claim],
    stored: Stored | None,
    plausible: Limits = USUAL,
    *,
    raising: bool = False,
) -> Plan:
    """Decide what a session needs: claims that are not there, and what follows from all of them.

    `raising`: an equal REST answer that was observed later takes the place of the one before.
    """
    before = Stored({}, None) if stored is None else stored
    known = {key: claim for key, (claim, _) in before.claims.items()}
    operations: list[Operation] = []
    added: list[Claim] = []
    erased = any(claim.erased for claim in known.values())
    for told in claims:
        # What is told again of a session whose person was erased does not bring the person back.
        claim = without_person(told) if erased else told
        present = known.get(claim.key)
        if present is None:
            operations.append(Insert(claim_row(claim, bucket)))
        elif claim.key in before.claims and supersedes(claim, present, raising=raising):
            # Which session it was found to be part of is no word of eMabler's.
            claim = replace(claim, part_of=present.part_of) if present.part_of else claim
            row = claim_row(claim, bucket)
            operations.append(Replace(replace(row, etag=before.claims[claim.key][1].etag)))
        else:
            continue
        known[claim.key] = claim
        added.append(claim)
    everything = tuple(known[key] for key in sorted(known))
    summary = fold(everything, plausible)
    operations = _with_what_follows(bucket, session, before, everything, summary, operations)
    return Plan(Written(session, stored, tuple(added), everything, summary), operations)


def plan_as(
    bucket: str,
    session: str,
    claims: Mapping[str, Claim],
    before: Stored,
    plausible: Limits = USUAL,
) -> list[Operation]:
    """What makes a session hold these claims and no others, at least one: for pairing."""
    operations: list[Operation] = []
    for key, claim in claims.items():
        row = claim_row(claim, bucket)
        if key not in before.claims:
            operations.append(Insert(row))
        elif claim != before.claims[key][0]:
            operations.append(Replace(replace(row, etag=before.claims[key][1].etag)))
    operations += [
        Delete(bucket, key, row.etag)
        for key, (_, row) in before.claims.items()
        if key not in claims
    ]
    everything = tuple(claims[key] for key in sorted(claims))
    summary = fold(everything, plausible)
    return _with_what_follows(bucket, session, before, everything, summary, operations)


def _with_what_follows(
    bucket: str,
    session: str,
    before: Stored,
    claims: Sequence[Claim],
    summary: Summary,
    operations: list[Operation],
) -> list[Operation]:
    """Operations on claims, with those on the summary and on what finds the session."""
    row = summary_row(summary, bucket, session, before.summary.etag if before.summary else None)
    if before.summary is None:
        operations.append(Insert(row))
    elif operations or dict(row.columns) != dict(before.summary.columns):
        operations.append(Replace(row))
    if operations:
        operations += _index_operations(bucket, session, before, claims, summary)
    return operations


def _index_operations(
    bucket: str, session: str, before: Stored, claims: Sequence[Claim], summary: Summary
) -> Iterator[Operation]:
    """Bring the index rows from what the claims before gave to what all of them give."""
    old: dict[str, Row] = {}
    if before.summary is not None and before.claims:
        former = tuple(claim for claim, _ in before.claims.values())
        old = {row.key: row for row in index_rows(bucket, session, former, fold(former))}
    new = {row.key: row for row in index_rows(bucket, session, claims, summary)}
    for key, row in new.items():
        if key not in old or old[key].columns != row.columns:
            yield Upsert(row)
    for key in old:
        if key not in new:
            yield Delete(bucket, key)


def supersedes(claim: Claim, present: Claim, *, raising: bool = False) -> bool:
    """Only REST's answer for one of its ids changes; the one observed last stands.

    That it lists the item no more is an answer as well. Of two that were observed at one instant
    one that lists it does, else the larger by content. An equal one changes nothing, unless its
    later instant is to stand (`raising`).
    """
    equal = (claim.digest, claim.gone) == (present.digest, present.gone)
    if claim.observed is None or (equal and not raising):
        return False
    if present.observed is None:
        return True
    return (claim.observed, not claim.gone, claim.digest) > (
        present.observed,
        not present.gone,
        present.digest,
    )
