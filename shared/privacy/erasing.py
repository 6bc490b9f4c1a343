"""Taking a person out of the store: what was charged and when stays, who it was goes.

The order makes a stopped run whole when it is run again: the tag's own partition, by which all the
rest is found, goes last. Before and after, the store and the backups are told that this tag was
erased, so that no restore brings it back. Keys and digests stay as they are (docs/decisions/0031).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from shared.errors import RowConflictError, StoreUnavailableError
from shared.instants import Clock, format_instant
from shared.parked.records import without_body
from shared.privacy.finding import (
    Found,
    FoundSession,
    Search,
    charger_days,
    may_name_a_person,
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
from shared.storage.together import write_all
from shared.tags.changing import delete_tag
from shared.tags.records import SESSION_ROWS

_MAX_ROUNDS = 20
_CLAIMS_AT_ONCE = 20
_MAX_PASSES = 3
_HASH_BYTES = 8
"""The first bytes of the hash, by which a snapshot is told to hold the tag."""


@dataclass(slots=True)
class Report:
    """What was erased: rows rewritten and deleted by table, blobs by container, and the passes.

    `left` counts what still named the tag after the last pass, which only rows that are written at
    the same time can.
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

    async def run(self, by: str, *, backups_gone: str = "", keep: bool = True) -> Report:
        """Erase, look again, and leave a report without the tag in the store.

        Args:
            by: whose doing it is.
            backups_gone: the day on which the last backup that may hold the tag is gone.
            keep: whether restores are to apply it. Not for one that a restore applies.

        Raises:
            StoreUnavailableError: Some is erased; running it again makes it whole.
        """
        report = Report()
        if keep:
            await self.keep()
        while report.passes < _MAX_PASSES:
            before = report.rewritten.total()
            await self._pass(report)
            report.passes += 1
            if report.rewritten.total() == before:
                break
        await self._snapshots(report)
        async for found in self._search.all():
            if found.table not in (TAGS, TAG_ROSTER):
                report.left[found.table] += 1
        if not report.left:
            await self._tag(report)
        if keep:
            await self.keep()
        await self._write_report(report, by, backups_gone)
        return report

    async def keep(self) -> None:
        """Let every restore of a backup that began before now go without the tag.

        Raises:
            StoreUnavailableError: The same call makes it whole.
        """
        erased = ErasedTag(self._clock(), self._search.keyed)
        await keep_erased(self._tables, self._blobs, erased)

    async def _pass(self, report: Report) -> None:
        days: set[tuple[str, str]] = set()
        sessions = 0
        async for session in self._search.sessions():
            sessions += 1
            days |= charger_days(session.claims)
            await self._session(session, report)
        report.sessions = max(report.sessions, sessions)
        async for found in self._search.events(days):
            await mark_erased(self._tables, found.row.partition)
            await self._message(found, f"{EVENTS}/{found.row.partition}", report)
        async for found in self._search.chargers({charger for charger, _ in days}):
            await self._row(CHARGERS, found.row, self._plain_columns(found.row), report)
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
        plain = self._plain_columns(row)
        columns = {name: value for name, value in plain.items() if value not in hashes}
        await self._row(table, row, columns, report)

    async def _session(self, session: FoundSession, report: Report) -> None:
        """Take the person out of claims, summary and rows by end, in one transaction each time."""
        bucket, name = session.bucket, session.session
        for _ in range(_MAX_ROUNDS):
            rows = self._tables.range(SESSIONS, bucket, f"{name}|", f"{name}|~")
            stored = [row async for row in rows]
            operations, more = self._session_operations(bucket, name, stored)
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
        self, bucket: str, session: str, stored: list[Row]
    ) -> tuple[list[Operation], bool]:
        rows = {row.key: row for row in stored if not is_summary(row)}
        claims = {key: claim_from_row(row) for key, row in rows.items()}
        naming = [key for key, row in rows.items() if self._search.names(row)]
        operations: list[Operation] = []
        for key in naming[:_CLAIMS_AT_ONCE]:
            claims[key] = without_person(claims[key], self._search.tag.normalised)
            row = replace(claim_row(claims[key], bucket), etag=rows[key].etag)
            operations.append(Replace(row))
        summary = next((row for row in stored if is_summary(row)), None)
        if not operations and (summary is None or not self._search.names(summary)):
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
        row, columns = found.row, self._plain_columns(found.row)
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

    def _plain_columns(self, row: Row) -> dict[str, Value]:
        return {
            name: self._search.tag.without(value)
            if isinstance(value, str) and may_name_a_person(name)
            else value
            for name, value in row.columns.items()
        }

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

    async def _tag(self, report: Report) -> None:
        found = [each async for each in self._search.of_tag()]
        sessions = [
            Delete(each.row.partition, each.row.key)
            for each in found
            if each.table == TAGS and each.row.key.startswith(SESSION_ROWS)
        ]
        await write_all(self._tables, TAGS, sessions)
        for hashed in self._search.hashes:
            await delete_tag(self._tables, hashed)
        report.deleted.update(each.table for each in found)

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
