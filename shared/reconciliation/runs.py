"""Runs: one row for each, from its start on; the newest first."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shared.instants import format_instant, parse_instant
from shared.storage.ledger_keys import PARTITION, RUN_ROWS
from shared.storage.rows import SCHEMA, Row, Tables, Value
from shared.storage.tables import RECONCILIATION

_NINES = str.maketrans("0123456789", "9876543210")


class Outcome(StrEnum):
    """How a run ended.

    `running`: not yet, or it died and nobody has noticed. `ok`: it did what it set out to, or what
    its time allowed. `failed`: an error ended it. `died`: it never ended; a later run took over.
    """

    RUNNING = "running"
    OK = "ok"
    FAILED = "failed"
    DIED = "died"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """What is kept of one run.

    `holder` tells who ran it (the timer, the command line), `complete` False that its time or its
    requests were used up and the next one goes on. `sessions`, `found` (findings met for the first
    time) and `passes` (windows) are counts by class and pass. `oldest_proof` is told once an hour.
    """

    id: str
    began: datetime
    holder: str = ""
    ended: datetime | None = None
    outcome: Outcome = Outcome.RUNNING
    complete: bool = False
    windows: int = 0
    pages: int = 0
    requests: int = 0
    retries: int = 0
    throttled: int = 0
    front: datetime | None = None
    sessions: Mapping[str, int] = field(default_factory=dict)
    found: Mapping[str, int] = field(default_factory=dict)
    passes: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None
    oldest_proof: datetime | None = None

    @property
    def key(self) -> str:
        """The row key: later runs sort first."""
        return f"{RUN_ROWS}{format_instant(self.began).translate(_NINES)}|{self.id}"

    @property
    def seconds(self) -> float | None:
        """How long it took, s; None where it has not ended."""
        return None if self.ended is None else (self.ended - self.began).total_seconds()


_COUNTS = ("windows", "pages", "requests", "retries", "throttled")
_BY_CLASS = ("sessions", "found", "passes")


def run_row(run: RunRow) -> Row:
    """The run as a row."""
    columns: dict[str, Value] = {
        "schema": SCHEMA,
        "id": run.id,
        "holder": run.holder,
        "outcome": str(run.outcome),
        "complete": run.complete,
    }
    columns |= {name: getattr(run, name) for name in _COUNTS}
    columns |= {name: json.dumps(dict(getattr(run, name))) for name in _BY_CLASS}
    for name in ("began", "ended", "front", "oldest_proof"):
        if (instant := getattr(run, name)) is not None:
            columns[name] = format_instant(instant)
    if run.error is not None:
        columns["error"] = run.error
    return Row(PARTITION, run.key, columns)


def run_from_row(row: Row) -> RunRow:
    """The run that a row holds."""
    columns = row.columns
    began = parse_instant(str(columns["began"]))
    if began is None:
        message = f"the run {row.key} tells no beginning"
        raise ValueError(message)
    by_class: dict[str, dict[str, int]] = {
        name: json.loads(str(columns[name])) for name in _BY_CLASS
    }
    counts = {name: int(columns[name]) for name in _COUNTS}
    return RunRow(
        id=str(columns["id"]),
        began=began,
        holder=str(columns["holder"]),
        ended=parse_instant(str(columns.get("ended", ""))),
        outcome=Outcome(str(columns["outcome"])),
        complete=bool(columns["complete"]),
        front=parse_instant(str(columns.get("front", ""))),
        oldest_proof=parse_instant(str(columns.get("oldest_proof", ""))),
        error=str(columns["error"]) if "error" in columns else None,
        windows=counts["windows"],
        pages=counts["pages"],
        requests=counts["requests"],
        retries=counts["retries"],
        throttled=counts["throttled"],
        sessions=by_class["sessions"],
        found=by_class["found"],
        passes=by_class["passes"],
    )


async def read_runs(
    tables: Tables,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
) -> AsyncIterator[RunRow]:
    """Runs that began in `[start, end)`, the newest first."""
    # Inverted, so that an end excludes itself and a start includes itself by one more sign.
    first = "" if end is None else f"{format_instant(end).translate(_NINES)}~"
    last = "~" if start is None else f"{format_instant(start).translate(_NINES)}~"
    rows = tables.range(RECONCILIATION, PARTITION, f"{RUN_ROWS}{first}", f"{RUN_ROWS}{last}")
    async for row in rows:
        yield run_from_row(row)
