"""Claims into the store: written once, folded until the summary agrees, indexed by end and tag.

A claim, its session's summary and the rows by which the session is found are written in one
transaction, the summary under its ETag. So whoever writes a claim changes the summary's ETag, and
whoever folded without that claim cannot write: it reads again. The last writer always sees
everything.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from shared.errors import RowConflictError, StoreUnavailableError
from shared.identifiers import bucket_of, hash_tag
from shared.sessions.claims import Claim, Source, claim_from_row, claim_row
from shared.sessions.indexes import index_rows
from shared.sessions.summary import (
    SUMMARY_NAME,
    State,
    Summary,
    fold,
    is_summary,
    summary_row,
)
from shared.storage import limits
from shared.storage.rows import Delete, Insert, Operation, Replace, Row, Tables, Upsert
from shared.storage.tables import SESSIONS, TAGS
from shared.storage.together import all_done, upsert_all
from shared.tags.records import tag_session_row

_MAX_ROUNDS = 20
_REMEMBERED_SESSIONS = 5_000
"""About 5 KB each."""

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
class _Plan:
    """What one session needs written, decided from what is known of it."""

    written: Written
    operations: list[Operation]


class SessionWriter:
    """Writes claims; safe to call again with the same claims, and beside other writers."""

    def __init__(self, tables: Tables, *, buckets: int, tag_hash_key: bytes) -> None:
        self._tables = tables
        self._buckets = buckets
        self._tag_hash_key = tag_hash_key
        self._remembered: OrderedDict[tuple[str, str], Stored] = OrderedDict()

    async def write(self, claims: Iterable[Claim]) -> list[Written]:
        """Write claims of any sessions, fold their summaries and keep the indexes.

        Raises:
            StoreUnavailableError: Some of it may be written; the same call makes it whole.
        """
        buckets: dict[str, dict[str, dict[str, Claim]]] = defaultdict(lambda: defaultdict(dict))
        for claim in claims:
            session = buckets[bucket_of(claim.charger, self._buckets)][claim.session]
            present = session.get(claim.key)
            if present is None or _supersedes(claim, present):
                session[claim.key] = claim
        done = await all_done(
            self._write_group(bucket, part)
            for bucket, group in buckets.items()
            for part in _groups(bucket, {name: list(each.values()) for name, each in group.items()})
        )
        written = [each for group in done for each in group]
        await upsert_all(self._tables, TAGS, self._tag_rows(written))
        return written

    async def _write_group(self, bucket: str, sessions: dict[str, list[Claim]]) -> list[Written]:
        # What a worker remembers can only be older than the store, and the ETag tells. A start
        # most likely begins a session that is new: it costs no read. A stop most likely meets one,
        # and reading it first saves a transaction that must fail.
        stored: dict[str, Stored | None] = {
            name: self._remembered.get((bucket, name)) for name in sessions
        }
        to_read = [
            name
            for name, claims in sessions.items()
            if stored[name] is None and not _likely_new(claims)
        ]
        for attempt in range(_MAX_ROUNDS):
            found = await all_done(self._read(bucket, name) for name in to_read)
            stored |= dict(zip(to_read, found, strict=True))
            plans = [_plan(bucket, name, claims, stored[name]) for name, claims in sessions.items()]
            operations = [operation for plan in plans for operation in plan.operations]
            if attempt:
                operations = await self._without_gone(operations)
            try:
                etags = await self._tables.write(SESSIONS, operations) if operations else []
            except RowConflictError:
                to_read = list(sessions)
                continue
            self._remember(bucket, plans, operations, etags)
            return [plan.written for plan in plans]
        raise StoreUnavailableError("sessions kept changing", code="store_contended")

    async def _read(self, bucket: str, session: str) -> Stored:
        claims: dict[str, tuple[Claim, Row]] = {}
        summary: Row | None = None
        async for row in self._tables.range(SESSIONS, bucket, f"{session}|", f"{session}|~"):
            if is_summary(row):
                summary = row
            else:
                claims[row.key] = (claim_from_row(row), row)
        return Stored(claims, summary)

    async def _without_gone(self, operations: Sequence[Operation]) -> list[Operation]:
        """Leave out deletes of rows that are not there, as after somebody's work by hand."""
        deletes = [each for each in operations if isinstance(each, Delete)]
        rows = await all_done(
            self._tables.get(SESSIONS, each.partition, each.key) for each in deletes
        )
        gone = [each for each, row in zip(deletes, rows, strict=True) if row is None]
        return [each for each in operations if each not in gone]

    def _remember(
        self,
        bucket: str,
        plans: Sequence[_Plan],
        operations: Sequence[Operation],
        etags: Sequence[str | None],
    ) -> None:
        """Keep what open sessions look like now: what comes next is most likely their stop."""
        rows = {
            operation.row.key: replace(operation.row, etag=etag)
            for operation, etag in zip(operations, etags, strict=True)
            if not isinstance(operation, Delete)
        }
        for plan in plans:
            written = plan.written
            name = (bucket, written.session)
            summary = rows.get(f"{written.session}|{SUMMARY_NAME}")
            if written.summary.state is State.ENDED:
                self._remembered.pop(name, None)
            elif summary is not None:
                before = {} if written.before is None else written.before.claims
                # Of a claim's row only the ETag is asked for again.
                claims = {
                    claim.key: (claim, replace(rows[claim.key], columns={}))
                    if claim.key in rows
                    else before[claim.key]
                    for claim in written.claims
                }
                self._remembered[name] = Stored(claims, summary)
                self._remembered.move_to_end(name)
        while len(self._remembered) > _REMEMBERED_SESSIONS:
            self._remembered.popitem(last=False)

    def _tag_rows(self, written: Iterable[Written]) -> Iterator[Row]:
        for each in written:
            for tag in sorted({claim.tag for claim in each.claims if claim.tag}):
                hashed = hash_tag(tag, self._tag_hash_key)
                for claim in each.claims:
                    started = claim.source is Source.START
                    yield tag_session_row(
                        hashed,
                        each.session,
                        str(Source.START if started else Source.STOP),
                        claim.digest,
                        claim.start if started else claim.end,
                    )


def _likely_new(claims: Sequence[Claim]) -> bool:
    return any(claim.source is Source.START for claim in claims)


def _groups(bucket: str, sessions: dict[str, list[Claim]]) -> Iterator[dict[str, list[Claim]]]:
    """Sessions of one bucket in groups, each of which one transaction is certain to hold."""
    group: dict[str, list[Claim]] = {}
    operations = size = 0
    for name, claims in sessions.items():
        for start in range(0, len(claims), _MAX_CLAIMS):
            part = claims[start : start + _MAX_CLAIMS]
            plan = _plan(bucket, name, part, None)
            # An end takes the session off the list of open ones, and may move within its own.
            more = len(plan.operations) + 2 * sum(c.source is not Source.START for c in part)
            more_size = 2 * sum(map(limits.operation_bytes, plan.operations))
            full = operations + more > limits.MAX_OPERATIONS
            if group and (full or start or size + more_size > limits.MAX_TRANSACTION_BYTES):
                yield group
                group, operations, size = {}, 0, 0
            group[name] = part
            operations += more
            size += more_size
    if group:
        yield group


def _plan(bucket: str, session: str, claims: Sequence[Claim], stored: Stored | None) -> _Plan:
    """Decide what a session needs: claims that are not there, and what follows from all of them."""
    before = Stored({}, None) if stored is None else stored
    known = {key: claim for key, (claim, _) in before.claims.items()}
    operations: list[Operation] = []
    added: list[Claim] = []
    for claim in claims:
        row = claim_row(claim, bucket)
        present = known.get(claim.key)
        if present is None:
            operations.append(Insert(row))
        elif claim.key in before.claims and _supersedes(claim, present):
            operations.append(Replace(replace(row, etag=before.claims[claim.key][1].etag)))
        else:
            continue
        known[claim.key] = claim
        added.append(claim)
    everything = tuple(known[key] for key in sorted(known))
    summary = fold(everything)
    row = summary_row(summary, bucket, session, before.summary.etag if before.summary else None)
    if before.summary is None:
        operations.append(Insert(row))
    elif operations or dict(row.columns) != dict(before.summary.columns):
        operations.append(Replace(row))
    if operations:
        operations += _index_operations(bucket, session, before, everything, summary)
    return _Plan(Written(session, stored, tuple(added), everything, summary), operations)


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


def _supersedes(claim: Claim, present: Claim) -> bool:
    """Only REST's answer for one of its ids changes; the one observed last stands.

    Of two that were observed at one instant the larger by content does.
    """
    if claim.digest == present.digest or claim.observed is None:
        return False
    if present.observed is None:
        return True
    return (claim.observed, claim.digest) > (present.observed, present.digest)
