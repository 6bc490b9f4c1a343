"""Claims without a transaction id: found to belong together, or to a session that has an id.

A charger that starts offline reports no id, so that its start, its stop and what REST lists are
sessions of one claim each (docs/decisions/0005). They are one session when charger and socket are
the same and their starts lie within 2 s; where one of them tells no start, their ends do.

Claims that belong together are copied into one of their sessions, and the others say which session
they are part of. What is paired with what follows from the claims alone, in whatever order they
came (docs/decisions/0027).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from shared.sessions.claims import Claim, Source, without_person
from shared.sessions.plausibility import AGREEMENT

MOST_TOGETHER = 8
"""More sessions than these that seem to be one are none: all of a pairing is one transaction."""

_RANKS = {Source.REST: 1, Source.START: 2, Source.STOP: 3}

type Claims = Mapping[str, Claim]
"""A session's claims by their keys."""


def belong_together(one: Claim, other: Claim) -> bool:
    """Whether two claims are of one session, as far as socket and times tell."""
    if one.charger != other.charger or one.socket is None or one.socket != other.socket:
        return False
    if one.start is not None and other.start is not None:
        return agree(one.start, other.start)
    return one.end is not None and other.end is not None and agree(one.end, other.end)


def agree(one: datetime, other: datetime) -> bool:
    """Whether two instants are one, told twice."""
    return abs(one - other) <= AGREEMENT


def as_paired(sessions: Mapping[str, Claims]) -> dict[str, dict[str, Claim]]:
    """The claims that each of some sessions is to hold, once what belongs together is together.

    Sessions with an id are among them for those without: two of them never become one. Where two
    of them, or two REST items, would be one session, each claim stands alone.
    """
    own = {name: [_alone(each) for each in _own(claims)] for name, claims in sessions.items()}
    own = {name: claims for name, claims in own.items() if claims}
    # A copy whose own claim is gone, by its age, stays where it is.
    wanted = {
        name: _by_key(claims)
        | {
            key: claim
            for key, claim in sessions[name].items()
            if claim.within is not None and home_of(claim) not in own
        }
        for name, claims in own.items()
    }
    for group in _groups(own):
        if not _is_one_session(group, own):
            continue
        target = min(group, key=lambda name: _rank(name, own[name]))
        erased = any(claim.erased for claim in own[target])
        for name in group:
            if name == target:
                continue
            wanted[name] = _by_key(replace(claim, part_of=target) for claim in own[name])
            for claim in own[name]:
                copied = without_person(claim) if erased and not claim.erased else claim
                copied = replace(copied, within=target)
                # Of an item that got an id later its own session says more.
                wanted[target].setdefault(copied.key, copied)
    return wanted


def home_of(copied: Claim) -> str:
    """The session that a copied claim comes from."""
    return replace(copied, within=None).session


def _own(claims: Claims) -> Iterator[Claim]:
    return (claim for claim in claims.values() if claim.within is None)


def _alone(claim: Claim) -> Claim:
    return claim if claim.part_of is None else replace(claim, part_of=None)


def _by_key(claims: Iterable[Claim]) -> dict[str, Claim]:
    return {claim.key: claim for claim in claims}


def _groups(own: Mapping[str, Sequence[Claim]]) -> Iterator[list[str]]:
    """Sessions that belong together, each with the next: those without an id, and their kin."""
    left = set(own)
    while left:
        group = [min(left)]
        left -= {group[0]}
        for name in group:
            kin = sorted(other for other in left if _are_kin(own[name], own[other]))
            group += kin
            left -= set(kin)
        if len(group) > 1:
            yield group


def _are_kin(one: Sequence[Claim], other: Sequence[Claim]) -> bool:
    if not (one[0].is_nameless or other[0].is_nameless):
        return False
    return any(belong_together(mine, theirs) for mine in one for theirs in other)


def _is_one_session(group: Sequence[str], own: Mapping[str, Sequence[Claim]]) -> bool:
    with_id = [name for name in group if not own[name][0].is_nameless]
    # What eMabler lists no more is no second item: it may list it as another one by now.
    items = {
        claim.name
        for name in group
        for claim in own[name]
        if claim.source is Source.REST and not claim.gone
    }
    return len(group) <= MOST_TOGETHER and len(with_id) <= 1 and len(items) <= 1


def _rank(name: str, claims: Sequence[Claim]) -> tuple[int, bool, float, str]:
    """Which session of several holds them all: one with an id, else REST's, which has one name.

    Of REST's items the one that is listed, else that which vanished last.
    """
    first = claims[0]
    rank = _RANKS.get(first.source, 0) if first.is_nameless else 0
    vanished = first.observed.timestamp() if first.gone and first.observed is not None else 0.0
    return rank, first.gone, -vanished, name
