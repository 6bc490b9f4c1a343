"""Sessions with REST items that a window's picture lacks, with all the REST items that they have.

EMabler may list one session by several items. It is missing only where none of them is listed, in
whichever window each of them ended.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.emabler.models.sessions import FinishedSession
from shared.identifiers import identifier_of, identifies_a_transaction, key_part
from shared.reconciliation.comparing import Told, session_of
from shared.sessions.claims import Claim, Source
from shared.sessions.reading import read_session
from shared.storage.rows import Tables
from shared.storage.together import all_done

_OF_SEVERAL = frozenset(("rests", "other"))
"""Columns of a REST row of which one is there where its session has more than one REST item."""


@dataclass(frozen=True, slots=True)
class Lacking:
    """A session of which the picture lacks a REST row.

    `told` is that row, with the latest end of all items; of several rows the first by its item's
    id. `items` are the REST ids of all its items, each with its digest (None where the row alone
    tells). `claims` is all that the session holds where it has several items, else nothing.
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

    def _is_of_it(self, item: FinishedSession) -> bool:
        if item.rest_id not in self.items or key_part(item.charger) != self.charger_part:
            return False
        # A sole item that is of another session by now has moved, which is told where it is.
        if not self.claims or not identifies_a_transaction(item.transaction):
            return True
        return session_of(item) == self.told.session


async def read_lacking(tables: Tables, rows: Sequence[Told]) -> list[Lacking]:
    """The sessions of rows that a picture lacks; only those with several REST items are read.

    Raises:
        StoreUnavailableError: The store cannot be read now.
    """
    sessions: dict[str, list[Told]] = defaultdict(list)
    for told in sorted(rows, key=lambda each: each.name):
        sessions[told.session].append(told)
    return await all_done(_of_session(tables, each) for each in sessions.values())


async def _of_session(tables: Tables, rows: Sequence[Told]) -> Lacking:
    told = rows[0]
    items: dict[str, str | None] = {identifier_of(each.name) or each.name: None for each in rows}
    if len(rows) == 1 and _OF_SEVERAL.isdisjoint(told.row.columns):
        return Lacking(told, items)
    stored = await read_session(tables, told.bucket, told.session)
    claims = [claim for claim, _ in stored.claims.values()]
    rests = [claim for claim in claims if claim.source is Source.REST and claim.part_of is None]
    items |= {claim.name: claim.digest for claim in rests}
    ends: list[datetime | None] = [*(each.end for each in rows), *(claim.end for claim in rests)]
    latest = max((end for end in ends if end is not None), default=None)
    return Lacking(replace(told, end=latest), items, claims)
