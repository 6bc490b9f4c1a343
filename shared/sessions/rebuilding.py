"""Sessions as their claims say: what differs in the store, and how it is mended.

A summary, the rows that find a session and the rows under its tags follow from its claims alone.
Claims follow from the journal as long as that holds their events. So rows that were altered or lost
are told from right ones, and written again; on an intact store nothing is written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace

from shared.errors import RowConflictError, StoreUnavailableError
from shared.identifiers import hash_tag
from shared.instants import format_instant
from shared.sessions.claims import Claim, claim_from_row, claim_row, without_person
from shared.sessions.indexes import (
    END_ROWS,
    NAMELESS_ROWS,
    OPEN_ROWS,
    SESSION_ROWS,
    UNDATED,
    index_rows,
    named_by,
)
from shared.sessions.plausibility import Limits
from shared.sessions.summary import State, fold, is_summary, summary_row
from shared.sessions.writer import rows_under_tag
from shared.storage import limits
from shared.storage.rows import Delete, Insert, Operation, Replace, Row, Tables, Upsert
from shared.storage.tables import SESSIONS, TAGS
from shared.storage.together import all_done, upsert_all

_MAX_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that is not as it should be: `missing`, `changed`, `superfluous`, or `unreadable`.

    An unreadable claim that the journal does not hold any more cannot be mended: its session is
    left as it is.
    """

    table: str
    partition: str
    key: str
    what: str


@dataclass(slots=True)
class _Mending:
    """What a session needs, decided from its rows."""

    differences: list[Difference] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)

    def differs(self, row: Row, what: str, *, table: str = SESSIONS) -> None:
        """Note a row that is not as it should be."""
        self.differences.append(Difference(table, row.partition, row.key, what))


class Rebuilding:
    """Compares sessions with what their claims say, and mends them unless it is told not to."""

    def __init__(
        self, tables: Tables, *, tag_hash_key: bytes, plausible: Limits, dry_run: bool
    ) -> None:
        self._plausible = plausible
        self._tables = tables
        self._tag_hash_key = tag_hash_key
        self._dry_run = dry_run

    async def sessions(self, bucket: str, start: str, end: str | None) -> AsyncIterator[list[Row]]:
        """The rows of each session of a bucket, claims and summary, session by session."""
        rows: list[Row] = []
        async for row in self._tables.range(SESSIONS, bucket, start or SESSION_ROWS, end):
            if rows and session_of(rows[0]) != session_of(row):
                yield rows
                rows = []
            rows.append(row)
        if rows:
            yield rows

    async def compare(
        self, bucket: str, session: str, rows: Sequence[Row], told: Iterable[Claim] = ()
    ) -> list[Difference]:
        """Compare one session's rows with its claims, those that the journal tells counting more.

        Returns:
            What differed; it is mended unless this is a dry run.

        Raises:
            StoreUnavailableError: The same call makes it whole.
        """
        claims = list(told)
        mending = await self._mending(bucket, session, rows, claims)
        first = mending.differences
        if self._dry_run:
            return first
        for _ in range(_MAX_ROUNDS):
            if not mending.operations:
                break
            try:
                for group in limits.transactions(mending.operations):
                    await self._tables.write(SESSIONS, group)
                break
            except RowConflictError:
                again = self._tables.range(SESSIONS, bucket, f"{session}|", f"{session}|~")
                mending = await self._mending(bucket, session, [r async for r in again], claims)
        else:
            raise StoreUnavailableError("a session kept changing", code="store_contended")
        tags = await self._tag_rows(session, mending)
        await upsert_all(self._tables, TAGS, tags)
        return first

    async def _mending(
        self, bucket: str, session: str, rows: Sequence[Row], told: Sequence[Claim]
    ) -> _Mending:
        mending = _Mending()
        claims = self._claims(bucket, rows, told, mending)
        if claims is None:
            mending.operations.clear()
            return mending
        mending.claims = claims
        summary = fold(claims, self._plausible)
        stored = next((row for row in rows if is_summary(row)), None)
        wanted = summary_row(summary, bucket, session, None if stored is None else stored.etag)
        if stored is None:
            mending.differs(wanted, "missing")
            mending.operations.append(Insert(wanted))
        elif dict(stored.columns) != dict(wanted.columns):
            mending.differs(wanted, "changed")
            mending.operations.append(Replace(wanted))
        indexes = index_rows(bucket, session, claims, summary)
        for row in await self._unlike(SESSIONS, indexes):
            mending.differs(row, "missing or changed")
            mending.operations.append(Upsert(row))
        if mending.operations:
            keys = {row.key for row in indexes}
            for row in await self._former(bucket, session, rows, keys):
                mending.differs(row, "superfluous")
                mending.operations.append(Delete(bucket, row.key, row.etag))
            if stored is not None and wanted.columns == stored.columns:
                # The summary goes along, under its ETag: nobody folds without these claims.
                mending.operations.append(Replace(wanted))
        await self._tag_rows(session, mending, note=True)
        return mending

    async def _former(
        self, bucket: str, session: str, rows: Sequence[Row], keys: set[str]
    ) -> list[Row]:
        """Rows that found the session as it was stored, and that it has no longer."""
        claims = [claim for row in rows if (claim := _readable(row)) is not None]
        former = {f"{OPEN_ROWS}{session}"}
        if claims:
            former |= {row.key for row in index_rows(bucket, session, claims, fold(claims))}
        found = await all_done(
            self._tables.get(SESSIONS, bucket, key) for key in sorted(former - keys)
        )
        return [row for row in found if row is not None]

    def _claims(
        self, bucket: str, rows: Sequence[Row], told: Sequence[Claim], mending: _Mending
    ) -> list[Claim] | None:
        """The claims as they should be, and the operations that make them so; None: unreadable."""
        stored = {row.key: row for row in rows if not is_summary(row)}
        erased = any(row.columns.get("erased") for row in stored.values())
        claims: dict[str, Claim] = {}
        for each in told:
            present = stored.pop(each.key, None)
            # One that is there and names its tag is another person's, who was not erased.
            stripped = erased and (present is None or bool(present.columns.get("erased")))
            claim = _as_kept(without_person(each) if stripped else each, present)
            wanted = claim_row(claim, bucket)
            claims[claim.key] = claim
            if present is None:
                mending.differs(wanted, "missing")
                mending.operations.append(Insert(wanted))
            elif present.columns.get("erased") and not claim.erased:
                claims[claim.key] = claim_from_row(present)
            elif dict(present.columns) != dict(wanted.columns):
                mending.differs(wanted, "changed")
                mending.operations.append(Replace(replace(wanted, etag=present.etag)))
        for key, row in stored.items():
            kept = _readable(row)
            if kept is None:
                # Another event of the journal may still tell this claim: then nothing is amiss.
                if not told:
                    mending.differs(row, "unreadable")
                return None
            claims[key] = kept
        if not claims:
            for row in rows:
                mending.differs(row, "superfluous")
            return None
        return [claims[key] for key in sorted(claims)]

    async def _unlike(self, table: str, wanted: Sequence[Row]) -> list[Row]:
        """Those rows that are not in the store as they should be."""
        found = await all_done(self._tables.get(table, row.partition, row.key) for row in wanted)
        return [
            row
            for row, present in zip(wanted, found, strict=True)
            if present is None or dict(present.columns) != dict(row.columns)
        ]

    async def _tag_rows(self, session: str, mending: _Mending, *, note: bool = False) -> list[Row]:
        hashes = {hash_tag(claim.tag, self._tag_hash_key) for claim in mending.claims if claim.tag}
        rows = [
            row
            for each in sorted(hashes)
            for claim in mending.claims
            for row in rows_under_tag(each, session, claim)
        ]
        unlike = await self._unlike(TAGS, rows)
        for row in unlike if note else ():
            mending.differs(row, "missing or changed", table=TAGS)
        return unlike

    async def superfluous(self, bucket: str) -> AsyncIterator[Difference]:
        """Rows that find a session which is not there so any more; they are deleted."""
        batch: list[Row] = []
        for prefix in (END_ROWS, OPEN_ROWS, NAMELESS_ROWS):
            async for row in self._tables.range(SESSIONS, bucket, prefix, f"{prefix}~"):
                batch.append(row)
                if len(batch) == limits.MAX_OPERATIONS:
                    for difference in await self._delete_superfluous(batch):
                        yield difference
                    batch = []
        for difference in await self._delete_superfluous(batch):
            yield difference

    async def _delete_superfluous(self, rows: Sequence[Row]) -> list[Difference]:
        found = await all_done(
            self._tables.get(SESSIONS, row.partition, named_by(row)) for row in rows
        )
        gone = [
            row
            for row, named in zip(rows, found, strict=True)
            if named is None or not _finds(row, named)
        ]
        if gone and not self._dry_run:
            try:
                deletes = [Delete(row.partition, row.key, row.etag) for row in gone]
                await self._tables.write(SESSIONS, deletes)
            except RowConflictError:
                # Somebody writes these sessions just now, and keeps their rows in step.
                return []
        return [Difference(SESSIONS, row.partition, row.key, "superfluous") for row in gone]


def _as_kept(claim: Claim, present: Row | None) -> Claim:
    """The claim as it is to stand: the journal does not know which session it is part of."""
    if present is None or "part_of" not in present.columns:
        return claim
    return replace(claim, part_of=str(present.columns["part_of"]))


def _readable(row: Row) -> Claim | None:
    """The claim that a row holds under its own key; None where it holds none."""
    if is_summary(row):
        return None
    try:
        claim = claim_from_row(row)
    except (KeyError, ValueError):
        return None
    return claim if claim.key == row.key else None


def session_of(row: Row) -> str:
    """The session that a claim or a summary belongs to: charger and transaction."""
    charger, transaction, _ = row.key.split("|", 2)
    return f"{charger}|{transaction}"


def _finds(index: Row, named: Row) -> bool:
    if index.key.startswith(OPEN_ROWS):
        return named.columns.get("state") == State.OPEN
    claim = _readable(named)
    if claim is None:
        return True
    if index.key.startswith(NAMELESS_ROWS):
        return claim.start is not None and index.key.split("|", 3)[2] == format_instant(claim.start)
    end = format_instant(claim.end) if claim.end else UNDATED
    return index.key.split("|", 2)[1] == end
