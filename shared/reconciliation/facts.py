"""What the store says of reconciliation, for whoever watches it: a few bounded reads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.instants import format_instant
from shared.reconciliation.ledger import read_standing
from shared.reconciliation.runs import RunRow, read_runs
from shared.reconciliation.windows import LONGEST, Window, proof, window_from_row
from shared.storage.ledger_keys import OPEN_ROWS, PARTITION, WIDE_ROWS, WINDOW_ROWS
from shared.storage.rows import Row, Tables
from shared.storage.tables import RECONCILIATION

MOST_FINDINGS = 1_000
MOST_WINDOWS = 5_000
_RUNS_OF = timedelta(days=2)

type Facts = dict[str, object]


async def reconciliation_facts(tables: Tables, now: datetime, *, watched: timedelta) -> Facts:
    """The latest run, the front and its age, the oldest proof behind it, the open findings.

    `watched` is how far back sessions are walked again (`Schedule.month`): older proofs rest.
    Counts beyond a thousand are told as `…_at_least`. A store that was never reconciled says so by
    `began` None and nothing else.

    Raises:
        StoreUnavailableError: It cannot be read now.
    """
    standing = await read_standing(tables)
    if standing is None:
        return {"began": None}
    count, all_of_them = await _count(tables, OPEN_ROWS)
    return {
        "began": format_instant(standing.began),
        "front": None if standing.front is None else format_instant(standing.front),
        "front_age_s": _age(standing.front, now),
        **await _proofs(tables, now - watched, standing.front, now),
        "findings_open" if all_of_them else "findings_open_at_least": count,
        "run": await _latest_run(tables, now),
    }


@dataclass(frozen=True, slots=True)
class Proofs:
    """Of a stretch: its oldest proof, and how many seconds of it have none."""

    oldest: datetime | None
    unproven_s: int


async def read_proofs(
    tables: Tables, start: datetime, end: datetime, *, most: int | None = None
) -> Proofs | None:
    """How well session ends from `start` to `end` are proven; None where there are more windows.

    Raises:
        StoreUnavailableError: It cannot be read now.
    """
    windows, all_of_them = await _windows(tables, start, end, most)
    if not all_of_them or not start < end:
        return None
    stretches = proof(windows, start, end)
    proven = [each.as_of for each in stretches if each.as_of is not None]
    # Before the first window nothing was to be proven: the store did not watch yet.
    first = next((each.start for each in stretches if each.as_of is not None), end)
    gaps = [each for each in stretches if each.as_of is None and each.start >= first]
    unproven = sum((each.end - each.start).total_seconds() for each in gaps)
    return Proofs(min(proven, default=None), round(unproven))


async def _proofs(tables: Tables, start: datetime, front: datetime | None, now: datetime) -> Facts:
    """The oldest proof of the days that are walked again, and how much of them has none."""
    end = min(front or start, now)
    found = await read_proofs(tables, start, end, most=MOST_WINDOWS)
    if found is not None:
        oldest, unproven = found.oldest, found.unproven_s
    else:
        oldest, unproven = await _told_by_a_run(tables, now), None
    return {
        "oldest_proof": None if oldest is None else format_instant(oldest),
        "oldest_proof_s": _age(oldest, now),
        "unproven_s": unproven,
    }


async def _told_by_a_run(tables: Tables, now: datetime) -> datetime | None:
    """The oldest proof as a run told it last."""
    async for run in read_runs(tables, start=now - _RUNS_OF):
        if run.oldest_proof is not None:
            return run.oldest_proof
    return None


async def _windows(
    tables: Tables, start: datetime, end: datetime, most: int | None
) -> tuple[list[Window], bool]:
    ranges = (
        (WIDE_ROWS, f"{WIDE_ROWS}~"),
        (
            # A window that begins a day earlier may reach into the stretch.
            f"{WINDOW_ROWS}{format_instant(start - LONGEST)}",
            f"{WINDOW_ROWS}{format_instant(end)}~",
        ),
    )
    windows: list[Window] = []
    for first, last in ranges:
        rows, all_of_them = await _some(
            tables.range(RECONCILIATION, PARTITION, first, last),
            None if most is None else most - len(windows),
        )
        windows += map(window_from_row, rows)
        if not all_of_them:
            return windows, False
    return windows, True


async def _count(tables: Tables, prefix: str) -> tuple[int, bool]:
    rows = tables.range(RECONCILIATION, PARTITION, prefix, f"{prefix}~")
    found, all_of_them = await _some(rows, MOST_FINDINGS)
    return len(found), all_of_them


async def _some(rows: AsyncIterator[Row], most: int | None) -> tuple[list[Row], bool]:
    """Up to so many rows, and whether these are all."""
    found: list[Row] = []
    async for row in rows:
        if len(found) == most:
            return found, False
        found.append(row)
    return found, True


async def _latest_run(tables: Tables, now: datetime) -> Facts | None:
    async for run in read_runs(tables, start=now - _RUNS_OF):
        return _told(run)
    return None


def _told(run: RunRow) -> Facts:
    return {
        "id": run.id,
        "outcome": str(run.outcome),
        "began": format_instant(run.began),
        "ended": None if run.ended is None else format_instant(run.ended),
        "complete": run.complete,
    }


def _age(instant: datetime | None, now: datetime) -> int | None:
    return None if instant is None else round((now - instant).total_seconds())
