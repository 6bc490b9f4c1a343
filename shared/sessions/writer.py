"""Claims into the store: written once, folded until the summary agrees, indexed by end and tag.

A claim and its session's summary are written in one transaction, the summary under its ETag. So
whoever writes a claim changes the summary's ETag, and whoever folded without that claim cannot
write: it reads again. The last writer always sees everything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from shared.errors import RowConflictError, StoreUnavailableError
from shared.identifiers import bucket_of, hash_tag
from shared.instants import day_of, format_instant
from shared.sessions.claims import Claim, Source, claim_from_row, claim_row
from shared.sessions.summary import (
    State,
    Summary,
    fold,
    is_summary,
    summary_row,
)
from shared.storage import limits
from shared.storage.rows import SCHEMA, Insert, Operation, Replace, Row, Tables, Value
from shared.storage.tables import OPEN_SESSIONS, SESSION_ENDS, SESSIONS, TAGS
from shared.storage.together import all_done, delete_all, upsert_all
from shared.tags.records import tag_session_row

_MAX_ROUNDS = 20
UNDATED = "undated"


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store holds of one session, read in one range."""

    claims: dict[str, tuple[Claim, Row]]
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
    """What one session needs written, decided from what was read of it."""

    written: Written
    operations: list[Operation]


class SessionWriter:
    """Writes claims; safe to call again with the same claims, and beside other writers."""

    def __init__(self, tables: Tables, *, buckets: int, tag_hash_key: bytes) -> None:
        self._tables = tables
        self._buckets = buckets
        self._tag_hash_key = tag_hash_key

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
            self._write_bucket(bucket, {name: list(each.values()) for name, each in group.items()})
            for bucket, group in buckets.items()
        )
        return [written for group in done for written in group]

    async def _write_bucket(self, bucket: str, sessions: dict[str, list[Claim]]) -> list[Written]:
        await self._hint_open(bucket, sessions)
        groups = list(_groups(bucket, sessions))
        done = await all_done(self._write_group(bucket, group) for group in groups)
        written = [each for group in done for each in group]
        await all_done(
            (
                upsert_all(self._tables, SESSION_ENDS, _end_rows(bucket, written)),
                upsert_all(self._tables, TAGS, self._tag_rows(written)),
            )
        )
        await self._forget_ended(bucket, written)
        return written

    async def _write_group(self, bucket: str, sessions: dict[str, list[Claim]]) -> list[Written]:
        # A start most likely begins a session that is new: it costs no read. A stop most likely
        # meets one, and reading it first saves a transaction that must fail.
        stored: dict[str, Stored | None] = dict.fromkeys(sessions)
        to_read = [name for name, claims in sessions.items() if not _likely_new(claims)]
        for _ in range(_MAX_ROUNDS):
            read = await all_done(self._read(bucket, name) for name in to_read)
            stored |= dict(zip(to_read, read, strict=True))
            plans = [_plan(bucket, name, claims, stored[name]) for name, claims in sessions.items()]
            operations = [operation for plan in plans for operation in plan.operations]
            try:
                for group in limits.transactions(operations):
                    await self._tables.write(SESSIONS, group)
            except RowConflictError:
                # Which row it was cannot be told. Most likely a session that was taken for new.
                unread = [name for name, found in stored.items() if found is None]
                to_read = unread or list(sessions)
                continue
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

    async def _hint_open(self, bucket: str, sessions: dict[str, list[Claim]]) -> None:
        """Say that a session may be open before its start is written: none is overlooked."""
        rows = [
            _hint(bucket, name, claims[0].charger)
            for name, claims in sessions.items()
            if any(claim.source is Source.START for claim in claims)
        ]
        await upsert_all(self._tables, OPEN_SESSIONS, rows)

    async def _forget_ended(self, bucket: str, written: Sequence[Written]) -> None:
        """Take back the hint where the fold sees an end beside the start that left the hint."""
        ended = [
            _hint(bucket, each.session, each.summary.charger)
            for each in written
            if each.summary.state is State.ENDED and each.summary.starts
        ]
        await delete_all(self._tables, OPEN_SESSIONS, ended)

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


def _hint(bucket: str, session: str, charger: str) -> Row:
    return Row(bucket, session, {"schema": SCHEMA, "charger": charger})


def _likely_new(claims: Sequence[Claim]) -> bool:
    return any(claim.source is Source.START for claim in claims)


def _groups(bucket: str, sessions: dict[str, list[Claim]]) -> Iterator[dict[str, list[Claim]]]:
    """Sessions of one bucket in groups whose claims and summaries fit one transaction."""
    group: dict[str, list[Claim]] = {}
    operations = size = 0
    for name, claims in sessions.items():
        plan = _plan(bucket, name, claims, None)
        more = sum(map(limits.operation_bytes, plan.operations))
        full = operations + len(plan.operations) > limits.MAX_OPERATIONS
        if group and (full or size + more > limits.MAX_TRANSACTION_BYTES):
            yield group
            group, operations, size = {}, 0, 0
        group[name] = claims
        operations += len(plan.operations)
        size += more
    if group:
        yield group


def _plan(bucket: str, session: str, claims: Sequence[Claim], stored: Stored | None) -> _Plan:
    """Decide what a session needs: claims that are not there, and a summary that agrees."""
    known = {} if stored is None else {key: claim for key, (claim, _) in stored.claims.items()}
    operations: list[Operation] = []
    added: list[Claim] = []
    for claim in claims:
        row = claim_row(claim, bucket)
        present = known.get(claim.key)
        if present is None:
            operations.append(Insert(row))
        elif stored is not None and _supersedes(claim, present):
            etag = stored.claims[claim.key][1].etag
            operations.append(Replace(Row(bucket, claim.key, row.columns, etag)))
        else:
            continue
        known[claim.key] = claim
        added.append(claim)
    everything = tuple(known[key] for key in sorted(known))
    summary = fold(everything)
    before = None if stored is None else stored.summary
    row = summary_row(summary, bucket, session, before.etag if before else None)
    if before is None:
        operations.append(Insert(row))
    elif operations or dict(row.columns) != dict(before.columns):
        operations.append(Replace(row))
    return _Plan(Written(session, stored, tuple(added), everything, summary), operations)


def _supersedes(claim: Claim, present: Claim) -> bool:
    """Only REST's answer for one of its ids changes; the one observed last stands.

    Of two that were observed at one instant the larger by content does.
    """
    if claim.digest == present.digest or claim.observed is None:
        return False
    if present.observed is None:
        return True
    return (claim.observed, claim.digest) > (present.observed, present.digest)


def _end_rows(bucket: str, written: Iterable[Written]) -> Iterator[Row]:
    for each in written:
        for claim in each.claims:
            if claim.source is Source.START:
                continue
            end = format_instant(claim.end) if claim.end else UNDATED
            day = day_of(claim.end) if claim.end else UNDATED
            columns: dict[str, Value] = {"schema": SCHEMA, "digest": claim.digest}
            for name in ("energy_wh", "tag", "socket"):
                value = getattr(claim, name)
                if value is not None:
                    columns[name] = value
            if claim.start:
                columns["start"] = format_instant(claim.start)
            yield Row(f"{day}-{bucket}", f"{end}|{claim.key}", columns)
