"""Claims into the store: written once, folded until the summary agrees, indexed by end and tag.

A claim, its session's summary and the rows by which the session is found are written in one
transaction, the summary under its ETag. So whoever writes a claim changes the summary's ETag, and
whoever folded without that claim cannot write: it reads again. The last writer always sees
everything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from shared.errors import RowConflictError, RowMissingError, StoreUnavailableError
from shared.identifiers import bucket_of, hash_tag
from shared.sessions import planning
from shared.sessions.claims import BEGINNINGS, Claim, Source
from shared.sessions.planning import Part, Plan, Stored, Written
from shared.sessions.plausibility import USUAL, Limits
from shared.sessions.reading import read_session
from shared.sessions.remembered import RememberedSessions
from shared.storage.rows import Delete, Operation, Row, Tables
from shared.storage.tables import SESSIONS, TAGS
from shared.storage.together import all_done, upsert_all
from shared.tags.records import PART, UNLISTED, tag_session_row

_MAX_ROUNDS = 20

type _Address = tuple[str, str]
type _Session = tuple[str, str]


@dataclass(slots=True)
class _Group:
    """Sessions of one bucket that are written in one transaction, and what is known of them."""

    bucket: str
    sessions: dict[str, Part]
    stored: dict[str, Stored | None]
    unread: list[str]
    plausible: Limits
    raising: bool = False
    fresh: bool = False
    read: set[str] = field(default_factory=set)
    plans: list[Plan] = field(default_factory=list)
    rows: dict[str, Row] = field(default_factory=dict)
    done: bool = False

    def plan(self) -> None:
        """Decide from what is known now."""
        self.plans = [self._plan_of(name, part) for name, part in self.sessions.items()]

    def _plan_of(self, name: str, part: Part) -> Plan:
        stored = self.stored[name]
        if stored is None:
            return part.as_new
        return planning.plan_session(
            self.bucket, name, part.claims, stored, self.plausible, raising=self.raising
        )


class SessionWriter:
    """Writes claims; safe to call again with the same claims, and beside other writers."""

    def __init__(
        self,
        tables: Tables,
        *,
        buckets: int,
        tag_hash_key: bytes,
        plausible: Limits = USUAL,
    ) -> None:
        self._tables = tables
        self._buckets = buckets
        self._tag_hash_key = tag_hash_key
        self._plausible = plausible
        self._remembered = RememberedSessions()

    async def write(
        self,
        claims: Iterable[Claim],
        *,
        fresh: Collection[str] = (),
        raising: bool = False,
    ) -> list[Written]:
        """Write claims of any sessions, fold their summaries and keep the indexes.

        Args:
            claims: Of one claim told twice the one that supersedes the other counts.
            fresh: Sessions that the store most likely does not hold: they are not read first. An
                insert that succeeds is the look-up; one that fails costs reads.
            raising: A REST answer that is as before takes the place of the one before, with its
                later instant, so that who read the one before cannot write any more.

        Raises:
            StoreUnavailableError: Some of it may be written; the same call makes it whole.
        """
        groups = list(self._groups(claims, fresh, raising=raising))
        done: list[_Group] = []
        tagged: dict[_Address, _Session] = {}
        for attempt in range(_MAX_ROUNDS):
            await self._round(groups, attempt, tagged)
            done += [group for group in groups if group.done]
            groups = [part for group in groups if not group.done for part in self._again(group)]
            if not groups:
                return [plan.written for group in done for plan in group.plans]
        raise StoreUnavailableError("sessions kept changing", code="store_contended")

    async def look(self, claims: Iterable[Claim]) -> list[Written]:
        """What `write` would do, as the store is now: nothing is written.

        Raises:
            StoreUnavailableError: It cannot be read now.
        """
        groups = list(self._groups(claims, (), raising=False))
        for group in groups:
            await all_done(self._read(group, name) for name in group.sessions)
            group.plan()
        return [plan.written for group in groups for plan in group.plans]

    async def _round(
        self, groups: Sequence[_Group], attempt: int, tagged: dict[_Address, _Session]
    ) -> None:
        """Read what is not known, decide, and write everything side by side.

        `tagged` are the rows under tags that this call has written, each with its session.
        """
        await all_done(self._read(group, name) for group in groups for name in group.unread)
        for group in groups:
            group.plan()
        former = await self._former_tag_rows(groups)
        # The rows under a tag follow from the claims alone: they wait for nothing.
        tags: list[Row] = []
        leftovers: list[_Address] = []
        for group in groups:
            for plan in group.plans:
                rows = {(row.partition, row.key): row for row in self._tag_rows(group, plan)}
                session = group.bucket, plan.written.session
                if plan.written.summary.erased:
                    leftovers += self._leftovers(group, plan, tagged, rows)
                tags += [row for name, row in rows.items() if name not in tagged]
                tagged |= dict.fromkeys(rows, session)
        await all_done(
            (
                *(self._write_group(group, attempt) for group in groups),
                upsert_all(self._tables, TAGS, tags),
                *(self._delete_tag_row(name) for name in leftovers),
            )
        )
        # What is remembered is written with all that follows from it.
        for group in groups:
            for plan in group.plans if group.done else ():
                self._remembered.keep(group.bucket, plan.written, group.rows)
        await all_done(self._delete_as_read(row) for group, row in former if group.done)

    async def _former_tag_rows(self, groups: Sequence[_Group]) -> list[tuple[_Group, Row]]:
        """The rows under tags of REST answers that others take the place of, as they are now.

        They are read before their sessions are written: who then tells what such a row says
        writes it anew, and it stays.
        """
        names = [
            (group, name)
            for group in groups
            for plan in group.plans
            for name in self._replaced(plan.written)
        ]
        rows = await all_done(self._tables.get(TAGS, *name) for _, name in names)
        return [(group, row) for (group, _), row in zip(names, rows, strict=True) if row]

    def _replaced(self, written: Written) -> list[_Address]:
        before = {} if written.before is None else written.before.claims
        if written.summary.erased or not any(claim.key in before for claim in written.added):
            return []
        then, now = (
            {
                (row.partition, row.key)
                for row in self._rows_under_tags(written.session, claims, claims)
            }
            for claims in ([claim for claim, _ in before.values()], written.claims)
        )
        return sorted(then - now)

    async def _delete_as_read(self, row: Row) -> None:
        with suppress(RowConflictError):
            await self._tables.write(TAGS, [Delete(row.partition, row.key, row.etag)])

    def _groups(
        self, claims: Iterable[Claim], fresh: Collection[str], *, raising: bool
    ) -> Iterator[_Group]:
        buckets: dict[str, dict[str, dict[str, Claim]]] = defaultdict(lambda: defaultdict(dict))
        for claim in claims:
            session = buckets[bucket_of(claim.charger, self._buckets)][claim.session]
            present = session.get(claim.key)
            if present is None or planning.supersedes(claim, present):
                session[claim.key] = claim
        for bucket, by_session in buckets.items():
            sessions = {name: list(by_key.values()) for name, by_key in by_session.items()}
            new = {
                name: sessions.pop(name)
                for name in fresh
                if name in sessions and self._remembered.get(bucket, name) is None
            }
            for part in planning.groups(bucket, new, self._plausible, fresh=True):
                nothing = dict.fromkeys(part)
                yield _Group(bucket, part, nothing, [], self._plausible, raising, fresh=True)
            for part in planning.groups(bucket, sessions, self._plausible):
                stored = {name: self._remembered.get(bucket, name) for name in part}
                # A start most likely begins a session that is new: it costs no read. A stop most
                # likely meets one, and reading it first saves a transaction that must fail.
                unread = [
                    name
                    for name, told in part.items()
                    if stored[name] is None and not planning.likely_new(told.claims)
                ]
                yield _Group(bucket, part, stored, unread, self._plausible, raising)

    def _again(self, group: _Group) -> Iterator[_Group]:
        """A group that was not written: of sessions that are not all new, in smaller ones."""
        if not group.fresh:
            yield group
            return
        claims = {name: part.claims for name, part in group.sessions.items()}
        for part in planning.groups(group.bucket, claims, group.plausible):
            nothing = dict.fromkeys(part)
            yield _Group(group.bucket, part, nothing, list(part), group.plausible, group.raising)

    async def _read(self, group: _Group, session: str) -> None:
        group.stored[session] = await read_session(self._tables, group.bucket, session)
        group.read.add(session)

    async def _write_group(self, group: _Group, attempt: int) -> None:
        operations = [operation for plan in group.plans for operation in plan.operations]
        if attempt:
            operations = await self._without_gone(operations)
        try:
            etags = await self._tables.write(SESSIONS, operations) if operations else []
        except RowConflictError:
            # It is most likely about a session that was taken for new, or remembered.
            guessed = [name for name in group.sessions if name not in group.read]
            group.unread = guessed or list(group.sessions)
            return
        group.rows = {
            operation.row.key: replace(operation.row, etag=etag)
            for operation, etag in zip(operations, etags, strict=True)
            if not isinstance(operation, Delete)
        }
        group.done = True

    async def _without_gone(self, operations: Sequence[Operation]) -> list[Operation]:
        """Leave out deletes of rows that are not there, as after somebody's work by hand."""
        deletes = [each for each in operations if isinstance(each, Delete)]
        rows = await all_done(
            self._tables.get(SESSIONS, each.partition, each.key) for each in deletes
        )
        gone = [each for each, row in zip(deletes, rows, strict=True) if row is None]
        return [each for each in operations if each not in gone]

    async def _delete_tag_row(self, name: _Address) -> None:
        if await self._tables.get(TAGS, *name) is not None:
            with suppress(RowMissingError):
                await self._tables.write(TAGS, [Delete(*name)])

    def _tag_rows(self, group: _Group, plan: Plan) -> Iterator[Row]:
        """The rows that a session has under the tags that its claims name."""
        written = plan.written
        told = group.sessions[written.session].claims
        if written.summary.erased:
            # The person is in none of the claims. What was told anew names the person in the
            # journal all the same: its row leads the next erasure there.
            added = {claim.key for claim in written.added}
            for claim in told:
                if claim.key in added and claim.source is not Source.REST:
                    yield from self._rows_under_tags(written.session, [claim], [claim])
        elif plan.operations or written.session in group.read:
            yield from self._rows_under_tags(written.session, written.claims, written.claims)
        # Else it was all remembered, and its rows were written with what is remembered.

    def _leftovers(
        self,
        group: _Group,
        plan: Plan,
        tagged: Mapping[_Address, _Session],
        rows: Mapping[_Address, Row],
    ) -> list[_Address]:
        """What a round has written that did not know that the session is erased."""
        written = plan.written
        session = group.bucket, written.session
        told = group.sessions[written.session].claims
        mine = {name for name, whose in tagged.items() if whose == session}
        mine |= {
            (row.partition, row.key)
            for row in self._rows_under_tags(written.session, told, written.claims)
        }
        return sorted(mine - rows.keys())

    def _rows_under_tags(
        self, session: str, named: Sequence[Claim], claims: Sequence[Claim]
    ) -> Iterator[Row]:
        for tag in sorted({claim.tag for claim in named if claim.tag}):
            hashed = hash_tag(tag, self._tag_hash_key)
            for claim in claims:
                yield from rows_under_tag(hashed, session, claim)


def rows_under_tag(hashed: str, session: str, claim: Claim) -> list[Row]:
    """The rows that a claim has under each tag that its session's claims name.

    A claim that is part of another session ends its own for good: taps count the other. An end is
    no earlier than the start that it tells itself, whatever the charger's clock did meanwhile.
    """
    started = claim.source in BEGINNINGS
    instant = claim.start if started else claim.end
    if not started and claim.start is not None and instant is not None:
        instant = max(instant, claim.start)
    row = tag_session_row(
        hashed,
        session,
        str(Source.START if started else Source.STOP),
        claim.digest,
        instant,
        began=claim.start if claim.is_nameless and not started else None,
    )
    if claim.part_of is None:
        return [row]
    return [row, tag_session_row(hashed, session, PART, claim.digest, None)]


def row_of_unlisted(hashed: str, session: str, claim: Claim) -> Row:
    """The row that ends a session for taps: REST lists it neither as going on nor as finished.

    `claim` is the beginning that is counted no longer: a later one opens the session again.
    """
    return tag_session_row(hashed, session, UNLISTED, claim.digest, claim.start)
