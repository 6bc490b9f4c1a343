"""Pairing in the store: looks around a claim without an id, and writes what belongs together.

All sessions of a charger lie in one partition: claims, summaries and index rows of a pairing are
one transaction, each summary under its ETag. The rows under tags go before it: a worker that stops
in between leaves taps that count one session less, and the next run pairs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from shared.errors import RowConflictError, RowMissingError, StoreUnavailableError
from shared.identifiers import hash_tag, key_part
from shared.instants import format_instant
from shared.reconciliation.pairing import as_paired, belong_together, home_of
from shared.sessions.claims import Claim
from shared.sessions.indexes import END_ROWS, NAMELESS_ROWS, session_named_by
from shared.sessions.planning import Stored, plan_as
from shared.sessions.plausibility import AGREEMENT, USUAL, Limits
from shared.sessions.reading import read_session
from shared.sessions.summary import Summary, fold
from shared.sessions.writer import rows_under_tag
from shared.storage.rows import Delete, Operation, Row, Tables
from shared.storage.tables import SESSIONS, TAGS
from shared.storage.together import all_done, upsert_all
from shared.tags.records import PART

_MAX_ROUNDS = 20
_MAX_STEPS = 6
"""From a claim to its kin, to the session that they are part of, to what else is in that one."""


@dataclass(frozen=True, slots=True)
class Paired:
    """What a claim without an id came to.

    `session` holds it now: its own where it stands alone. `members` are the sessions that were
    looked at and are in it, `claims` and `summary` what it holds.
    """

    bucket: str
    session: str
    members: tuple[str, ...]
    claims: tuple[Claim, ...]
    summary: Summary
    written: bool

    @property
    def is_alone(self) -> bool:
        """Whether nothing was found that it belongs to."""
        return len(self.members) == 1


class Pairing:
    """Pairs; safe to run again, and beside other writers."""

    def __init__(self, tables: Tables, *, tag_hash_key: bytes, plausible: Limits = USUAL) -> None:
        self._tables = tables
        self._tag_hash_key = tag_hash_key
        self._plausible = plausible

    async def pair(
        self, seeds: Iterable[tuple[str, str]], near: Iterable[tuple[str, Claim]] = ()
    ) -> list[Paired]:
        """Pair the sessions (bucket and key) that have no id with all that belongs to them.

        Args:
            seeds: The sessions without an id.
            near: Claims (bucket and claim) of other sessions that may belong to them, beside those
                that their rows lead to.

        Returns:
            For each seed that is in the store what it came to, several of one session once.

        Raises:
            StoreUnavailableError: Some may be paired; the same call makes it whole.
        """
        chargers: dict[tuple[str, str], list[str]] = defaultdict(list)
        for bucket, session in dict.fromkeys(seeds):
            chargers[bucket, session.partition("|")[0]].append(session)
        around: dict[tuple[str, str], list[Claim]] = defaultdict(list)
        for bucket, claim in near:
            around[bucket, key_part(claim.charger)].append(claim)
        found = await all_done(
            self._of_one_charger(name[0], sessions, around.get(name, []))
            for name, sessions in chargers.items()
        )
        return [paired for each in found for paired in each]

    async def _of_one_charger(
        self, bucket: str, sessions: Sequence[str], near: Sequence[Claim]
    ) -> list[Paired]:
        done: dict[str, Paired] = {}
        members: set[str] = set()
        for session in sessions:
            if session not in members:
                for paired in await self._around(bucket, session, near):
                    done[paired.session] = paired
                    members.update(paired.members)
        return list(done.values())

    async def _around(self, bucket: str, session: str, near: Sequence[Claim]) -> list[Paired]:
        for _ in range(_MAX_ROUNDS):
            stored = await self._neighbourhood(bucket, session, near)
            claims = {
                name: {key: claim for key, (claim, _) in each.claims.items()}
                for name, each in stored.items()
            }
            wanted = as_paired(claims)
            operations = [
                operation
                for name, after in wanted.items()
                for operation in plan_as(bucket, name, after, stored[name], self._plausible)
            ]
            if operations:
                await self._write_tags(claims, wanted)
                try:
                    await self._tables.write(SESSIONS, operations)
                except RowMissingError:
                    # A row of those that find a session was deleted by hand.
                    await self._write_what_is_there(bucket, operations)
                except RowConflictError:
                    continue
            return list(self._told(bucket, session, wanted, written=bool(operations)))
        raise StoreUnavailableError("sessions kept changing", code="store_contended")

    def _told(
        self, bucket: str, session: str, wanted: Mapping[str, Mapping[str, Claim]], *, written: bool
    ) -> Iterable[Paired]:
        """The session that the seed is in now, where there is one."""
        if session not in wanted:
            return
        first = next(iter(wanted[session].values()))
        target = first.part_of or session
        claims = tuple(wanted[target][key] for key in sorted(wanted[target]))
        members = {target, *(home_of(claim) for claim in claims)}
        yield Paired(
            bucket,
            target,
            tuple(sorted(members)),
            claims,
            fold(claims, self._plausible),
            written,
        )

    async def _write_what_is_there(self, bucket: str, operations: Sequence[Operation]) -> None:
        deletes = [each for each in operations if isinstance(each, Delete)]
        rows = await all_done(self._tables.get(SESSIONS, bucket, each.key) for each in deletes)
        gone = [each for each, row in zip(deletes, rows, strict=True) if row is None]
        if not gone:
            raise StoreUnavailableError("sessions kept changing", code="store_contended")
        left = [each for each in operations if each not in gone]
        try:
            await self._tables.write(SESSIONS, left)
        except RowConflictError as error:
            raise StoreUnavailableError("sessions kept changing", code="store_contended") from error

    async def _write_tags(
        self, before: Mapping[str, Mapping[str, Claim]], after: Mapping[str, Mapping[str, Claim]]
    ) -> None:
        """Open the sessions that are to hold the claims, then end those that are part of them."""
        holding, parts, left = list[Row](), list[Row](), list[Row]()
        for name, claims in after.items():
            rows = self._rows_under_tags(name, claims.values())
            kinds = {row.columns["source"] == PART for row in rows}
            (parts if True in kinds else holding).extend(rows)
            named = {(row.partition, row.key) for row in rows}
            left += [
                row
                for row in self._rows_under_tags(name, before[name].values())
                if (row.partition, row.key) not in named
            ]
        await upsert_all(self._tables, TAGS, holding)
        await upsert_all(self._tables, TAGS, parts)
        for row in left:
            with suppress(RowMissingError):
                await self._tables.write(TAGS, [Delete(row.partition, row.key)])

    def _rows_under_tags(self, session: str, claims: Iterable[Claim]) -> list[Row]:
        told = list(claims)
        hashes = {hash_tag(claim.tag, self._tag_hash_key) for claim in told if claim.tag}
        return [
            row
            for hashed in sorted(hashes)
            for claim in told
            for row in rows_under_tag(hashed, session, claim)
        ]

    async def _neighbourhood(
        self, bucket: str, session: str, near: Sequence[Claim]
    ) -> dict[str, Stored]:
        """The session and those that may belong to it, with all that is in them."""
        stored: dict[str, Stored] = {}
        waiting = {session}
        for _ in range(_MAX_STEPS):
            names = sorted(waiting - stored.keys())
            if not names:
                break
            read = await all_done(read_session(self._tables, bucket, name) for name in names)
            new = dict(zip(names, read, strict=True))
            stored |= new
            claims = [claim for each in new.values() for claim, _ in each.claims.values()]
            around = await all_done(
                self._kin(bucket, claim) for claim in claims if claim.within is None
            )
            waiting = {name for names in around for name in names}
            waiting |= {
                other.session
                for claim in claims
                if claim.is_nameless
                for other in near
                if belong_together(claim, other)
            }
            waiting |= {claim.part_of for claim in claims if claim.part_of is not None}
            waiting |= {home_of(claim) for claim in claims if claim.within is not None}
        return {name: each for name, each in stored.items() if each.claims}

    async def _kin(self, bucket: str, claim: Claim) -> set[str]:
        """Sessions that may be one with a claim's: without an id by its start, any by its end."""
        found: set[str] = set()
        charger = key_part(claim.charger)
        if claim.start is not None:
            rows = self._between(bucket, f"{NAMELESS_ROWS}{charger}|", claim.start)
            found |= {session_named_by(row) async for row in rows}
        if claim.end is not None and claim.is_nameless:
            async for row in self._between(bucket, END_ROWS, claim.end):
                name = session_named_by(row)
                if name.startswith(f"{charger}|") and row.columns.get("socket") == claim.socket:
                    found.add(name)
        return found

    def _between(self, bucket: str, prefix: str, instant: datetime) -> AsyncIterator[Row]:
        first, last = format_instant(instant - AGREEMENT), format_instant(instant + AGREEMENT)
        return self._tables.range(SESSIONS, bucket, f"{prefix}{first}", f"{prefix}{last}|~")
