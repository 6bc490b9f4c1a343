"""Where a tag stands in the store: its partition names its sessions, and they name the rest.

Claims, summaries and rows by end are found by the session's key; events of the journal by the
session's charger and days, also those that name the tag where nobody would expect it (a message of
a charger's state); the parked messages have no index and are walked, being few.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.identifiers import bucket_of, hash_tag, identifier_of, key_part
from shared.instants import day_of
from shared.parked.reading import ParkedFilter, read_parked
from shared.push.events import TYPE_NAMES
from shared.sessions.claims import Claim, Source, answer_in, claim_from_row
from shared.sessions.indexes import UNDATED, index_rows
from shared.sessions.summary import fold, is_summary
from shared.storage.blobs import Blobs
from shared.storage.bodies import body_or_none
from shared.storage.erasures import key_name
from shared.storage.rows import Row, Tables, Value
from shared.storage.tables import (
    CHARGERS,
    EVENTS,
    PARKED,
    RECONCILIATION,
    SESSIONS,
    TAG_ROSTER,
    TAGS,
)
from shared.storage.together import all_done
from shared.tags.records import SESSION_ROWS
from shared.tags.redaction import TagText
from shared.tags.roster import roster_key

_LONGEST_SPAN = timedelta(days=7)
"""Of a session that lasts longer only the days that its claims name are looked through."""


_NO_PERSON = frozenset(
    (
        # Ids of other things.
        *("charger", "transaction", "digest", "name", "session", "rest_id", "site", "message_id"),
        *("id", "run", "holder", "subject", "part_of", "within", "state_site", "boot_site"),
        *("group", "chargers", "sites"),
        # Our own words.
        *("type", "generation", "flags", "source", "reason", "decision", "cause", "class", "kind"),
        *("marks", "findings", "conflict", "push"),
        # What a charger is.
        *("boot_serial_number", "boot_model", "boot_manufacturer", "boot_firmware_version"),
        "state_error_code",
    )
)
"""Columns of all tables that name no person, whatever digits stand in them."""

_BY_HAND = {RECONCILIATION: frozenset(("who", "note"))}
"""Of these tables only what a person wrote is looked at: the ledger says nothing of tags but their
keyed hashes, and a proof that loses a digit proves something else."""


@dataclass(frozen=True, slots=True)
class Found:
    """A row that names the tag, and its message where it has one."""

    table: str
    row: Row
    body: bytes | None = None


@dataclass(slots=True)
class Met:
    """What a search came by, whether it names the tag or not.

    `claims` by session and digest; `events`: the digests of events of the journal.
    """

    claims: dict[tuple[str, str], Claim] = field(default_factory=dict)
    events: set[str] = field(default_factory=set)

    def has_event_of(self, claim: Claim) -> bool:
        """Whether the journal holds the event that a claim was made of; True where it was none."""
        return claim.source not in (Source.START, Source.STOP) or claim.digest in self.events

    def leads_nowhere_else(self, row: Row) -> bool:
        """Whether all that a row of the tag's own partition leads to was met.

        A claim, its event and its row under the tag are written side by side: where the row alone
        is there, the others are still to come, and are found by it only.
        """
        if not row.key.startswith(SESSION_ROWS):
            return True
        digest = row.key.rpartition("|")[2]
        claim = self.claims.get((str(row.columns["session"]), digest))
        return claim is not None and self.has_event_of(claim)


@dataclass(frozen=True, slots=True)
class FoundSession:
    """A session that the tag's partition names, as it is stored."""

    bucket: str
    session: str
    rows: tuple[Row, ...]

    @property
    def claims(self) -> list[Claim]:
        """What was said of it."""
        return [claim_from_row(row) for row in self.rows if not is_summary(row)]


class Search:
    """Looks for one tag. `hash_keys` are all keys under which its partition may lie.

    `walked` are tables without an index by tag.
    """

    def __init__(
        self,
        tables: Tables,
        blobs: Blobs,
        tag: str,
        *,
        hash_keys: Sequence[bytes],
        buckets: int,
        walked: Sequence[str] = (),
    ) -> None:
        self._walked = walked
        self.tag = TagText(tag)
        self.hashes = [hash_tag(tag, key) for key in hash_keys]
        self.keyed = tuple((key_name(key), hash_tag(tag, key)) for key in hash_keys)
        self._tables = tables
        self._blobs = blobs
        self._buckets = buckets

    async def all(self, met: Met | None = None) -> AsyncIterator[Found]:
        """Every row that names the tag; before them the rows of its own partition."""
        met = met or Met()
        async for found in self.of_tag():
            yield found
        days: set[tuple[str, str]] = set()
        async for session in self.sessions():
            met.claims |= {(session.session, each.digest): each for each in session.claims}
            for row in (*session.rows, *await self._index_rows(session)):
                if self.names(SESSIONS, row):
                    yield Found(SESSIONS, row)
            days |= charger_days(session.claims)
        for rest in (self.events(days, met), self.chargers({charger for charger, _ in days})):
            async for found in rest:
                yield found
        for rest in (self.parked(), self.walked()):
            async for found in rest:
                yield found

    def names(self, table: str, row: Row) -> bool:
        """Whether a column of a row names the tag; its message is looked at apart."""
        answer = (answer_in(row.columns) or "").encode()
        return self.tag.without_in_body(answer) != answer or self.plain(table, row) != row.columns

    def plain(self, table: str, row: Row) -> dict[str, Value]:
        """The columns of a row without the tag; a message stays as it is."""
        return {
            name: self.tag.without_in_column(name, value)
            if isinstance(value, str) and _may_name_a_person(table, name)
            else value
            for name, value in row.columns.items()
        }

    async def of_tag(self) -> AsyncIterator[Found]:
        """The tag's own rows: the tag and its copy, and that its sessions started and ended."""
        for hashed in self.hashes:
            async for row in self._tables.range(TAGS, hashed):
                yield Found(TAGS, row)
            copied = await self._tables.get(TAG_ROSTER, *roster_key(hashed))
            if copied is not None:
                yield Found(TAG_ROSTER, copied)

    async def sessions(self) -> AsyncIterator[FoundSession]:
        """The sessions that the tag's partition names, each once."""
        names: set[str] = set()
        for hashed in self.hashes:
            async for row in self._tables.range(TAGS, hashed, SESSION_ROWS, f"{SESSION_ROWS}~"):
                names.add(str(row.columns["session"]))
        for name in sorted(names):
            for bucket in self._buckets_of(name):
                rows = self._tables.range(SESSIONS, bucket, f"{name}|", f"{name}|~")
                found = tuple([row async for row in rows])
                if found:
                    yield FoundSession(bucket, name, found)

    def _buckets_of(self, session: str) -> list[str]:
        charger = identifier_of(session.partition("|")[0])
        if charger is None:
            return [str(number) for number in range(self._buckets)]
        return [bucket_of(charger, self._buckets)]

    async def _index_rows(self, session: FoundSession) -> list[Row]:
        if not session.claims:
            return []
        wanted = index_rows(session.bucket, session.session, session.claims, fold(session.claims))
        found = await all_done(self._tables.get(SESSIONS, row.partition, row.key) for row in wanted)
        return [row for row in found if row is not None]

    async def events(
        self, days: Iterable[tuple[str, str]], met: Met | None = None
    ) -> AsyncIterator[Found]:
        """Events of chargers and days whose message or columns name the tag."""
        for charger, day in sorted(days):
            partition = f"{bucket_of(charger, self._buckets)}-{day}"
            for type_name in TYPE_NAMES.values():
                prefix = f"{type_name}|{key_part(charger)}|"
                async for row in self._tables.range(EVENTS, partition, prefix, f"{prefix}~"):
                    if met is not None:
                        met.events.add(str(row.columns["digest"]))
                    body = await body_or_none(self._blobs, row.columns)
                    told = body or b""
                    if self.names(EVENTS, row) or self.tag.without_in_body(told) != told:
                        yield Found(EVENTS, row, body)

    async def chargers(self, chargers: Iterable[str]) -> AsyncIterator[Found]:
        """Latest states of chargers that name the tag, in a message for instance."""
        for charger in sorted(chargers):
            part = key_part(charger)
            bucket = bucket_of(charger, self._buckets)
            async for row in self._tables.range(CHARGERS, bucket, f"{part}|", f"{part}|~"):
                if self.names(CHARGERS, row):
                    yield Found(CHARGERS, row)

    async def parked(self) -> AsyncIterator[Found]:
        """Parked messages that name the tag: in their bytes, their faults, their properties."""
        async for message in read_parked(self._tables, self._blobs, ParkedFilter()):
            body = message.body or b""
            if self.names(PARKED, message.row) or self.tag.without_in_body(body) != body:
                yield Found(PARKED, message.row, message.body)

    async def walked(self) -> AsyncIterator[Found]:
        """Rows of tables without an index that name the tag, or its keyed hash."""
        for table in self._walked:
            async for row in self._tables.scan(table):
                if self.names(table, row) or self.is_of_tag(row) or self._hashed(row):
                    yield Found(table, row)

    def is_of_tag(self, row: Row) -> bool:
        """Whether a row is about the tag by its key: it has no other subject."""
        return any(hashed in part for hashed in self.hashes for part in (row.partition, row.key))

    def _hashed(self, row: Row) -> bool:
        return any(value in self.hashes for value in row.columns.values())


def _may_name_a_person(table: str, column: str) -> bool:
    if table in _BY_HAND:
        return column in _BY_HAND[table]
    return column not in _NO_PERSON and column != "body" and not column.startswith("body_")


def charger_days(claims: Sequence[Claim]) -> set[tuple[str, str]]:
    """The charger and the days of the journal in which a session's events can lie."""
    instants = [each for claim in claims for each in (claim.start, claim.end) if each]
    days = {day_of(instant) for instant in instants}
    if instants and max(instants) - min(instants) <= _LONGEST_SPAN:
        days |= set(_days_between(min(instants), max(instants)))
    return {(claim.charger, day) for claim in claims for day in (*days, UNDATED)}


def _days_between(first: datetime, last: datetime) -> Iterable[str]:
    day = first
    while day <= last:
        yield day_of(day)
        day += timedelta(days=1)
