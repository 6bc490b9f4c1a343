"""Taking a person out of the store: what was charged and when stays, who it was goes.

The order makes a stopped run whole when it is run again: the tag's own partition, by which all the
rest is found, goes last, row by row as it was read before the last look. A row whose claim or event
is still to come stays, and so does one that came meanwhile: by them the next pass, or the next run,
finds the rest. Before and after, the store and the backups are told that this tag was erased, so
that no restore brings it back. Keys and digests stay as they are (docs/decisions/0031).
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.errors import RowConflictError, StoreUnavailableError
from shared.instants import Clock, format_instant
from shared.parked.records import without_body
from shared.privacy.finding import (
    Found,
    FoundSession,
    Met,
    Search,
    charger_days,
)
from shared.sessions.claims import claim_from_row, claim_row, without_person
from shared.sessions.indexes import index_rows
from shared.sessions.plausibility import USUAL, Limits
from shared.sessions.summary import fold, is_summary, summary_row
from shared.storage.blobs import Blobs
from shared.storage.bodies import MAX_ROW_BODY_BYTES, body_columns
from shared.storage.containers import BODIES, SNAPSHOTS
from shared.storage.erased import ERASED, mark_erased
from shared.storage.erasures import ErasedTag, keep_erased
from shared.storage.limits import transactions
from shared.storage.rows import (
    SCHEMA,
    Delete,
    Insert,
    Operation,
    Replace,
    Row,
    Tables,
    Upsert,
    Value,
)
from shared.storage.tables import CHARGERS, EVENTS, PARKED, SESSIONS, STORE, TAG_ROSTER, TAGS
from shared.tags.changing import delete_tag
from shared.tags.records import SESSION_ROWS
from shared.tags.roster import MARK, roster_key

_MAX_ROUNDS = 20
_CLAIMS_AT_ONCE = 20
_MAX_PASSES = 3
_MAX_LOOKS = 3
_UNDER_WAY = timedelta(minutes=15)
"""For so long what is written side by side may be apart: a function has ten minutes."""

_HASH_BYTES = 8
"""The first bytes of the hash, by which a snapshot is told to hold the tag."""


@dataclass(slots=True)
class Report:
    """What was erased: rows rewritten and deleted by table, blobs by container, and the passes.

    `left` counts what still named the tag after the last pass, which only rows that are written at
    the same time can, and rows under the tag that lead to something that is still to come.
    """

    rewritten: Counter[str] = field(default_factory=Counter)
    deleted: Counter[str] = field(default_factory=Counter)
    sessions: int = 0
    passes: int = 0
    left: Counter[str] = field(default_factory=Counter)


class Erasure:
    """Erases one tag. Safe to run again, and beside ingestion."""

    def __init__(
        self,
        tables: Tables,
        blobs: Blobs,
        search: Search,
        clock: Clock,
        *,
        plausible: Limits = USUAL,
    ) -> None:
        self._plausible = plausible
        self._tables = tables
        self._blobs = blobs
        self._search = search
        self._clock = clock
        self._done_before: datetime | None = None

    async def run(self, by: str, *, backups_gone: str = "", keep: bool = True) -> Report:
        """Erase, look again, and leave a report without the tag in the store.

        Args:
            by: whose doing it is.
            backups_gone: the day on which the last backup that may hold the tag is gone.
            keep: whether restores are to apply it. Not for one that a restore applies, beside
                which nobody writes.

        Raises:
            StoreUnavailableError: Some is erased; running it again makes it whole.
        """
        report = Report()
        if keep:
            await self.keep()
            self._done_before = await self._tables.now() - _UNDER_WAY
        for _ in range(_MAX_LOOKS):
            await self._passes(report)
            await self._snapshots(report)
            await self._look(report)
            if not report.left:
                break
        if keep:
            await self.keep()
        await self._write_report(report, by, backups_gone)
        return report

    async def _passes(self, report: Report) -> None:
        """Go through the store until nothing of the tag is met any more."""
        for _ in range(_MAX_PASSES):
            before = report.rewritten.total()
            await self._pass(report)
            report.passes += 1
            if report.rewritten.total() == before:
                break

    async def _look(self, report: Report) -> None:
        """Look through all once more; where nothing is left, delete what the rest is found by."""
        report.left.clear()
        met, of_tag = Met(), list[Row]()
        async for found in self._search.all(met):
            if found.table == TAGS:
                of_tag.append(found.row)
            elif found.table != TAG_ROSTER:
                report.left[found.table] += 1
        if report.left:
            return
        sessions = [row for row in of_tag if row.key.startswith(SESSION_ROWS)]
        done = [row for row in sessions if met.leads_nowhere_else(row) or self._is_done(row)]
        await self._delete_of_tag(report, done)
        await self._delete_records(report)
        async for found in self._search.of_tag():
            # A mark of the roster holds nothing of the tag.
            if MARK not in found.row.columns:
                report.left[found.table] += 1

    def _is_done(self, row: Row) -> bool:
        """Whether all that was written beside a row is there by now, or never will be."""
        return self._done_before is None or (
            row.timestamp is not None and row.timestamp < self._done_before
        )

    async def _delete_of_tag(self, report: Report, rows: Sequence[Row]) -> None:
        partitions: dict[str, list[Operation]] = defaultdict(list)
        for row in rows:
            partitions[row.partition].append(Delete(row.partition, row.key, row.etag))
        for operations in partitions.values():
            for group in transactions(operations):
                # What was written meanwhile is looked at again.
                with suppress(RowConflictError):
                    await self._tables.write(TAGS, group)
                    report.deleted[TAGS] += len(group)

    async def _delete_records(self, report: Report) -> None:
        for hashed in self._search.hashes:
            copied = await self._tables.get(TAG_ROSTER, *roster_key(hashed))
            gone = {TAGS: await delete_tag(self._tables, hashed), TAG_ROSTER: copied is not None}
            report.deleted.update({table: int(count) for table, count in gone.items() if count})

    async def keep(self) -> None:
        """Let every restore of a backup that began before now go without the tag.

        Now by the store's own clock, as a backup's beginning is: the operator's may be wrong.

        Raises:
            StoreUnavailableError: The same call makes it whole.
        """
        erased = ErasedTag(await self._tables.now(), self._search.keyed)
        await keep_erased(self._tables, self._blobs, erased)

    async def _pass(self, report: Report) -> None:
        sessions = [session async for session in self._search.sessions()]
        days = {each for session in sessions for each in charger_days(session.claims)}
        report.sessions = max(report.sessions, len(sessions))
        met = Met()
        async for found in self._search.events(days, met):
            await mark_erased(self._tables, found.row.partition)
            await self._message(found, f"{EVENTS}/{found.row.partition}", report)
        for session in sessions:
            await self._session(session, met, report)
        async for found in self._search.chargers({charger for charger, _ in days}):
            await self._row(CHARGERS, found.row, self._search.plain(CHARGERS, found.row), report)
        async for found in self._search.parked():
            await self._message(found, PARKED, report)
        async for found in self._search.walked():
            await self._walked(found.table, found.row, report)

    async def _walked(self, table: str, row: Row, report: Report) -> None:
        """Delete a row that is about the tag alone; take the tag and its hash out of another."""
        if self._search.is_of_tag(row):
            with suppress(RowConflictError):
                await self._tables.write(table, [Delete(row.partition, row.key, row.etag)])
                report.deleted[table] += 1
            return
        hashes = self._search.hashes
        plain = self._search.plain(table, row)
        columns = {name: value for name, value in plain.items() if value not in hashes}
        await self._row(table, row, columns, report)

    async def _session(self, session: FoundSession, met: Met, report: Report) -> None:
        """Take the person out of claims, summary and rows by end, in one transaction each time.

        A session with a claim whose event is still to come waits: of an erased one ingestion keeps
        no row under the tag, by which that event is found.
        """
        bucket, name = session.bucket, session.session
        for _ in range(_MAX_ROUNDS):
            rows = self._tables.range(SESSIONS, bucket, f"{name}|", f"{name}|~")
            stored = [row async for row in rows]
            operations, more = self._session_operations(bucket, name, stored, met)
            if not operations:
                return
            try:
                await self._tables.write(SESSIONS, operations)
            except RowConflictError:
                continue
            report.rewritten[SESSIONS] += len(operations)
            if not more:
                return
        raise StoreUnavailableError("a session kept changing", code="store_contended")

    def _session_operations(
        self, bucket: str, session: str, stored: list[Row], met: Met
    ) -> tuple[list[Operation], bool]:
        rows = {row.key: row for row in stored if not is_summary(row)}
        claims = {key: claim_from_row(row) for key, row in rows.items()}
        naming = [key for key, row in rows.items() if self._search.names(SESSIONS, row)]
        if not all(met.has_event_of(claims[key]) or self._is_done(rows[key]) for key in naming):
            return [], False
        operations: list[Operation] = []
        for key in naming[:_CLAIMS_AT_ONCE]:
            claims[key] = without_person(claims[key], self._search.tag.normalised)
            row = replace(claim_row(claims[key], bucket), etag=rows[key].etag)
            operations.append(Replace(row))
        summary = next((row for row in stored if is_summary(row)), None)
        if not operations and (summary is None or not self._search.names(SESSIONS, summary)):
            return [], False
        folded = fold(claims.values(), self._plausible)
        etag = None if summary is None else summary.etag
        row = summary_row(folded, bucket, session, etag)
        operations.append(Insert(row) if summary is None else Replace(row))
        ends = tuple(f"|{key}" for key in naming[:_CLAIMS_AT_ONCE])
        if folded.rest_claim is not None:
            # Beside the REST answer that counts stands what push says otherwise.
            ends += (f"|{folded.rest_claim.key}",)
        operations += [
            Upsert(index)
            for index in index_rows(bucket, session, claims.values(), folded)
            if index.key.endswith(ends)
        ]
        return operations, len(naming) > _CLAIMS_AT_ONCE

    async def _message(self, found: Found, folder: str, report: Report) -> None:
        """Write a row and its message without the tag; its key, a digest, stays."""
        row, columns = found.row, self._search.plain(found.table, found.row)
        if found.body is None:
            await self._row(found.table, row, columns, report)
            return
        body = self._search.tag.without_in_body(found.body)
        blob = f"{folder}/{row.key.rpartition('|')[2]}"
        # A row need not point at its blob: of equal events one was large, a later one was not.
        etag = await self._blobs.etag(BODIES, blob)
        if etag is not None or len(body) > MAX_ROW_BODY_BYTES:
            etag = await self._blobs.put(BODIES, blob, body)
            report.rewritten[BODIES] += 1
        columns = without_body(columns) | body_columns(body, blob, as_bytes=found.table == PARKED)
        written = await self._row(found.table, row, columns, report)
        if written and etag is not None and "body_blob" not in columns:
            report.deleted[BODIES] += await self._delete_left(found.table, row, blob, etag)

    async def _delete_left(self, table: str, row: Row, blob: str, etag: str) -> bool:
        """Delete a blob that its row does not point at, also where it was written meanwhile."""
        for _ in range(_MAX_ROUNDS):
            if await self._blobs.delete(BODIES, blob, etag):
                return True
            changed = await self._blobs.etag(BODIES, blob)
            present = await self._tables.get(table, row.partition, row.key)
            if changed is None or (present is not None and "body_blob" in present.columns):
                # The next pass meets the row that points at it.
                return False
            etag = changed
        raise StoreUnavailableError("a message's blob kept changing", code="store_contended")

    async def _row(
        self, table: str, row: Row, columns: Mapping[str, Value], report: Report
    ) -> bool:
        """Replace a row that is still as it was read; one that changed is met by the next pass."""
        erased = replace(row, columns={**columns, ERASED: True})
        try:
            await self._tables.write(table, [Replace(erased)])
        except RowConflictError:
            # It counts, so that there is a next pass.
            report.rewritten[table] += 1
            return False
        report.rewritten[table] += 1
        return True

    async def _snapshots(self, report: Report) -> None:
        """Delete what a worker keeps at hand of the tag; workers make it anew."""
        hashes = [bytes.fromhex(hashed)[:_HASH_BYTES] for hashed in self._search.hashes]
        async for name in self._blobs.names(SNAPSHOTS):
            blob = await self._blobs.get(SNAPSHOTS, name)
            if blob is None:
                continue
            named = self._search.tag.without_in_body(blob.content) != blob.content
            if named or any(hashed in blob.content for hashed in hashes):
                report.deleted[SNAPSHOTS] += await self._blobs.delete(SNAPSHOTS, name)

    async def _write_report(self, report: Report, by: str, backups_gone: str) -> None:
        now = format_instant(self._clock())
        columns: dict[str, Value] = {
            "schema": SCHEMA,
            "at": now,
            "by": by,
            "sessions": report.sessions,
            "rewritten": json.dumps(report.rewritten),
            "deleted": json.dumps(report.deleted),
            "left": json.dumps(report.left),
            "backups_gone": backups_gone,
        }
        await self._tables.write(STORE, [Upsert(Row("erasures", now, columns))])
