"""Writes of findings as operations: what goes together in one transaction stands in one group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from shared.reconciliation.finding_book import FindingWrite, Kind, ends_though_resolved
from shared.reconciliation.findings import (
    Finding,
    Known,
    State,
    known_from_row,
    known_row,
)
from shared.storage.ledger_keys import OPEN_ROWS, PARTITION, RESOLVED_ROWS
from shared.storage.rows import Delete, Operation, Replace, Row, Tables, Upsert
from shared.storage.tables import RECONCILIATION
from shared.storage.together import all_done


async def finding_operations(
    tables: Tables, writes: Sequence[FindingWrite], *, run: str, careful: bool = False
) -> list[list[Operation]]:
    """The operations of each write.

    `careful`: look first whether the row is there that is to be written over. Otherwise a row
    that an operator resolved meanwhile makes the transaction fail as a whole.

    Raises:
        StoreUnavailableError: A row that is needed cannot be read now.
    """
    groups = await all_done(
        _operations(tables, write, run, careful=careful) for write in _merged(writes)
    )
    return [group for group in groups if group]


def _merged(writes: Sequence[FindingWrite]) -> list[FindingWrite]:
    """The writes, one for each finding: the last, unless it builds on one before."""
    merged: dict[tuple[str, str], FindingWrite] = {}
    for write in writes:
        name = write.about, write.cls
        before = merged.get(name)
        builds = before is not None and before.kind in (Kind.NEW, Kind.REOPENED)
        if builds and before is not None and write.kind is Kind.AGAIN:
            merged[name] = replace(write, kind=before.kind, first=before.first)
        else:
            merged[name] = write
    return list(merged.values())


async def _operations(
    tables: Tables, write: FindingWrite, run: str, *, careful: bool
) -> list[Operation]:
    finding = write.finding
    if finding is None:
        return await _gone(tables, write, run)
    match write.kind:
        case Kind.REPAIRED:
            return [Upsert(_row(finding, State.REPAIRED, write.first, write.day, run))]
        case Kind.REOPENED | Kind.STILL:
            return await _of_resolved(tables, write, finding, run)
        case Kind.AGAIN:
            row = _row(finding, State.OPEN, write.first, write.day, run)
            if careful and await tables.get(RECONCILIATION, PARTITION, row.key) is None:
                # Resolved since the book was read: the next run meets it as such.
                return []
            return [Replace(row)]
        case _:
            return [Upsert(_row(finding, State.OPEN, write.first, write.day, run))]


async def _gone(tables: Tables, write: FindingWrite, run: str) -> list[Operation]:
    name = f"{write.about}|{write.cls}"
    row = await tables.get(RECONCILIATION, PARTITION, f"{OPEN_ROWS}{name}")
    if row is None and ends_though_resolved(write.about, write.cls):
        row = await tables.get(RECONCILIATION, PARTITION, f"{RESOLVED_ROWS}{name}")
    if row is None:
        return []
    known = replace(known_from_row(row), state=State.GONE, run=run, at=write.observed)
    return [Delete(row.partition, row.key, row.etag), Upsert(known_row(known))]


async def _of_resolved(
    tables: Tables, write: FindingWrite, finding: Finding, run: str
) -> list[Operation]:
    """What was resolved, opened again, or met on another day as it is."""
    row = await tables.get(RECONCILIATION, PARTITION, f"{RESOLVED_ROWS}{write.about}|{write.cls}")
    if write.kind is Kind.REOPENED:
        opened = Upsert(_row(finding, State.OPEN, write.first, write.day, run))
        return [opened] if row is None else [Delete(row.partition, row.key, row.etag), opened]
    if row is None:
        return []
    known = replace(known_from_row(row), finding=finding, last=write.day, run=run)
    return [Replace(known_row(known, row.etag))]


def _row(finding: Finding, state: State, first: date, last: date, run: str) -> Row:
    return known_row(Known(finding, state, first, last, run))
