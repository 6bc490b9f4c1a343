"""Findings as they are kept: looked through by class, state, charger and time; resolved by name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shared.errors import RowConflictError
from shared.identifiers import key_part
from shared.instants import Clock
from shared.reconciliation.findings import (
    SUBJECT_SIGN,
    Finding,
    FindingClass,
    Known,
    State,
    known_from_row,
    known_row,
    side_text,
)
from shared.sessions.columns import Column, Kind
from shared.storage.ledger_keys import CLOSED_ROWS, OPEN_ROWS, PARTITION, RESOLVED_ROWS
from shared.storage.rows import Delete, Row, Tables, Upsert
from shared.storage.tables import RECONCILIATION

_STATES = {
    OPEN_ROWS: (State.OPEN,),
    RESOLVED_ROWS: (State.RESOLVED,),
    CLOSED_ROWS: (State.REPAIRED, State.GONE),
}

COLUMNS: tuple[Column, ...] = (
    Column("id", Kind.TEXT, "names the finding on the command line"),
    Column("class", Kind.TEXT, "what is wrong"),
    Column("state", Kind.TEXT, "what became of it"),
    Column("charger", Kind.TEXT, "the charger's id"),
    Column("transaction", Kind.TEXT, "the transaction's id"),
    Column("session", Kind.TEXT, "the session's key in the store"),
    Column("subject", Kind.TEXT, "what it is about where that is no session"),
    Column("end", Kind.INSTANT, "the session's end, as far as it is known"),
    Column("store", Kind.TEXT, "what the store says, as JSON; of a tag its keyed hash"),
    Column("emabler", Kind.TEXT, "what eMabler says, likewise"),
    Column("observed", Kind.INSTANT, "as of when it was so, the last time that it was written"),
    Column("first_seen", Kind.TEXT, "the day on which it was met first, UTC"),
    Column("last_seen", Kind.TEXT, "the day on which it was met last, UTC"),
    Column("changed", Kind.INSTANT, "when it was resolved or gone"),
    Column("who", Kind.TEXT, "who resolved it"),
    Column("note", Kind.TEXT, "what they noted"),
    Column("run", Kind.TEXT, "the run that wrote it last"),
)
"""What an export tells of a finding; docs/reconciliation.md is held to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingFilter:
    """Which findings; None is any. `start` is held, `end` is not.

    Both are of the session's end, or, where none is known, of when the finding was met. `ids` are
    ids or their beginnings.
    """

    classes: Collection[FindingClass] | None = None
    states: Collection[State] | None = None
    charger: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    ids: Collection[str] | None = None

    def holds(self, known: Known) -> bool:
        """Whether a finding is one of those asked for."""
        finding = known.finding
        instant = finding.end or finding.observed
        return (
            (self.classes is None or finding.cls in self.classes)
            and (self.states is None or known.state in self.states)
            and (self.charger is None or finding.charger == self.charger)
            and (self.start is None or instant >= self.start)
            and (self.end is None or instant < self.end)
            and (self.ids is None or any(map(known.id.startswith, self.ids)))
        )

    def stretches(self) -> Iterator[tuple[str, str]]:
        """The ranges of keys in which they lie: those that are open first."""
        for prefix, states in _STATES.items():
            if self.states is not None and not set(states) & set(self.states):
                continue
            if self.charger is None:
                yield prefix, f"{prefix}~"
            else:
                for part in (SUBJECT_SIGN, f"{key_part(self.charger)}|"):
                    yield f"{prefix}{part}", f"{prefix}{part}~"


async def read_findings(tables: Tables, wanted: FindingFilter) -> AsyncIterator[tuple[Known, Row]]:
    """The findings that are asked for, as they come, each with its row.

    Raises:
        StoreUnavailableError: They cannot be read now.
    """
    for first, last in wanted.stretches():
        async for row in tables.range(RECONCILIATION, PARTITION, first, last):
            known = known_from_row(row)
            if wanted.holds(known):
                yield known, row


async def is_closed(tables: Tables, finding: Finding) -> bool:
    """Whether a finding is known as one that was repaired, or that is gone.

    Raises:
        StoreUnavailableError: It cannot be read now.
    """
    key = f"{CLOSED_ROWS}{finding.about}|{finding.cls}"
    return await tables.get(RECONCILIATION, PARTITION, key) is not None


async def resolve(
    tables: Tables, known: Known, row: Row, *, who: str, note: str, clock: Clock
) -> bool:
    """Mark an open finding as dealt with; False where it changed since it was read.

    It stays so until a value changes or it is over. A run that is under way meets it as resolved.

    Raises:
        StoreUnavailableError: It may be marked; the same call again is safe.
    """
    resolved = replace(known, state=State.RESOLVED, who=who, note=note, at=clock())
    try:
        await tables.write(
            RECONCILIATION,
            [Delete(row.partition, row.key, row.etag), Upsert(known_row(resolved))],
        )
    except RowConflictError:
        return False
    return True


def exported(known: Known, row: Row) -> Mapping[str, Any]:
    """A finding as the columns' values: texts and instants; None where there is none."""
    finding, columns = known.finding, row.columns
    return {
        "id": known.id,
        "class": str(finding.cls),
        "state": str(known.state),
        "charger": finding.charger,
        "transaction": finding.transaction,
        "session": finding.session,
        "subject": finding.subject,
        "end": finding.end,
        "store": side_text(finding.store),
        "emabler": side_text(finding.emabler),
        "observed": finding.observed,
        "first_seen": columns["first_seen"],
        "last_seen": columns["last_seen"],
        "changed": known.at,
        "who": known.who,
        "note": known.note,
        "run": known.run,
    }
