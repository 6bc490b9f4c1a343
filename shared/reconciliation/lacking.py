"""Sessions with REST items that a window's picture lacks, with all the REST items that they have.

EMabler may list one session by several items. It is missing only where none of them is listed, in
whichever window each of them ended; where one is, those that are not are gone
(docs/decisions/0038).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.emabler.models.sessions import FinishedSession
from shared.identifiers import identifier_of, identifies_a_transaction, key_part
from shared.reconciliation.comparing import Told, session_of
from shared.reconciliation.pairing import home_of
from shared.sessions.claims import Claim, Source
from shared.sessions.reading import read_session
from shared.storage.rows import Tables
from shared.storage.together import all_done


@dataclass(frozen=True, slots=True)
class Lacking:
    """A session of which the picture lacks a REST row.

    `told` is that row, with the latest end of all items; of several rows the first by its item's
    id. `items` are the REST ids of all its items, each with its digest (None where the row alone
    tells, or where the item is gone). `claims` is all that the session holds where it has several
    items, else nothing.
    """

    told: Told
    items: Mapping[str, str | None]
    claims: Collection[Claim] = ()

    @property
    def charger_part(self) -> str:
        """The charger as a part of a key."""
        return self.told.charger_part

    @property
    def names(self) -> str:
        """The REST ids in their order, as a finding tells them."""
        return ",".join(sorted(map(key_part, self.items)))

    def is_listed_in(self, items: Iterable[FinishedSession]) -> bool:
        """Whether one of eMabler's items is one of the session's."""
        return any(map(self._is_of_it, items))

    def standing_as_before(self, items: Iterable[FinishedSession]) -> set[tuple[str, str]]:
        """Charger and REST id of the session's items that eMabler lists as the store has them."""
        return {
            (self.charger_part, item.rest_id)
            for item in items
            if self._is_of_it(item) and self.items[item.rest_id] == item.digest
        }

    def gone(
        self,
        items: Iterable[FinishedSession],
        answered: Mapping[tuple[str, str], datetime],
        *,
        raising: bool = False,
    ) -> list[Claim]:
        """The REST claims of items that eMabler does not list, as they are to stand: gone.

        None where it lists no other item of the session, save of a session without an id: what
        comes in its place is another session until they are paired.

        Args:
            items: What eMabler lists.
            answered: Charger and REST id of what it was asked for, and whole answers came on, or
                of what it lists in some session: as of when.
            raising: Also those that are gone already, as of now.
        """
        listed = {item.rest_id for item in items if self._is_of_it(item)}
        if not (listed or self.told.is_nameless):
            return []
        return [
            replace(claim, gone=True, observed=answered[self.charger_part, claim.name])
            for claim in _rest_items(self.claims)
            if (self.charger_part, claim.name) in answered
            and claim.name not in listed
            and (raising or not claim.gone)
        ]

    def with_gone(self, gone: Iterable[Claim]) -> Lacking:
        """The session with claims of it that are gone."""
        claims = {claim.key: claim for claim in (*self.claims, *gone)}
        return replace(self, claims=tuple(claims.values()))

    def _is_of_it(self, item: FinishedSession) -> bool:
        if item.rest_id not in self.items or key_part(item.charger) != self.charger_part:
            return False
        # A sole item that is of another session by now has moved, which is told where it is.
        if not self.claims or not identifies_a_transaction(item.transaction):
            return True
        return session_of(item) == self.told.session


async def read_lacking(
    tables: Tables, rows: Sequence[Told], known: Mapping[str, Collection[Claim]]
) -> list[Lacking]:
    """The sessions of rows that a picture lacks; only those with several REST items are read.

    `known` are sessions with what they hold by now.

    Raises:
        StoreUnavailableError: The store cannot be read now.
    """
    sessions: dict[str, list[Told]] = defaultdict(list)
    for told in sorted(rows, key=lambda each: each.name):
        sessions[told.session].append(told)
    return await all_done(
        _of_session(tables, each, known.get(name)) for name, each in sessions.items()
    )


async def with_claims(tables: Tables, lacking: Lacking) -> Lacking:
    """A session with all that it holds, though it has one item only.

    Raises:
        StoreUnavailableError: The store cannot be read now.
    """
    return of_claims([lacking.told], await _read(tables, lacking.told))


def of_claims(rows: Sequence[Told], claims: Collection[Claim]) -> Lacking:
    """A session from rows of it and from all that it holds."""
    items: dict[str, str | None] = {identifier_of(each.name) or each.name: None for each in rows}
    rests = _rest_items(claims)
    items |= {claim.name: None if claim.gone else claim.digest for claim in rests}
    ends: list[datetime | None] = [*(each.end for each in rows), *(claim.end for claim in rests)]
    latest = max((end for end in ends if end is not None), default=None)
    return Lacking(replace(rows[0], end=latest), items, claims)


async def own_of(tables: Tables, bucket: str, gone: Claim) -> Claim:
    """Of a copy the claim that it is a copy of, which is gone like it: pairing copies it anew.

    A copy whose own claim is not there any more, by its age, stands for itself.

    Raises:
        StoreUnavailableError: The store cannot be read now.
    """
    if gone.within is None:
        return gone
    stored = await read_session(tables, bucket, home_of(gone))
    own, _ = stored.claims.get(replace(gone, within=None).key, (gone, None))
    return replace(own, gone=True, observed=gone.observed)


async def _of_session(
    tables: Tables, rows: Sequence[Told], claims: Collection[Claim] | None
) -> Lacking:
    if claims is None:
        told = rows[0]
        if len(rows) == 1 and not told.is_of_several:
            return Lacking(told, {identifier_of(told.name) or told.name: None})
        claims = await _read(tables, told)
    return of_claims(rows, claims)


async def _read(tables: Tables, told: Told) -> list[Claim]:
    stored = await read_session(tables, told.bucket, told.session)
    return [claim for claim, _ in stored.claims.values()]


def _rest_items(claims: Iterable[Claim]) -> list[Claim]:
    return [claim for claim in claims if claim.source is Source.REST and claim.part_of is None]
