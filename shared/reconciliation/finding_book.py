"""The findings that are open or resolved, as a run holds them in mind: what is to be written.

Of each finding the book holds what decides, some 350 bytes: not the values, but a digest of them.
It decides by what it holds and writes nothing; `shared/reconciliation/ledger.py` does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum, auto
from typing import NamedTuple

from shared.reconciliation.findings import (
    SUBJECT_SIGN,
    Finding,
    FindingClass,
    State,
    known_from_row,
    microseconds,
)
from shared.storage.ledger_keys import OPEN_ROWS, PARTITION, RESOLVED_ROWS
from shared.storage.rows import Tables
from shared.storage.tables import RECONCILIATION
from shared.storage.together import both

_LACKING = frozenset((FindingClass.MISSING_AT_EMABLER, FindingClass.OPEN_NOT_AT_EMABLER))


class Kind(Enum):
    """What a write does. `STILL`: what is about no session was met again, resolved as it is."""

    NEW = auto()
    AGAIN = auto()
    GONE = auto()
    REOPENED = auto()
    STILL = auto()
    REPAIRED = auto()


@dataclass(frozen=True, slots=True)
class FindingWrite:
    """One write that is due: of a finding that was met, or of one (`about`, `cls`) that is gone.

    `day` is the day of its meeting, `first` that on which it was met first.
    """

    kind: Kind
    about: str
    cls: FindingClass
    day: date
    first: date
    observed: datetime
    finding: Finding | None = None


class Entry(NamedTuple):
    """What the book holds of a finding. `observed` in microseconds, days as ordinals."""

    cls: FindingClass
    digest: bytes
    observed: int
    first: int
    last: int
    resolved: bool


def wins(finding: Finding, entry: Entry) -> bool:
    """Whether what was met counts beside what is known: it was not observed before that."""
    return microseconds(finding.observed) >= entry.observed


def repaired(finding: Finding) -> FindingWrite:
    """The write of a finding that was mended as it was met: no look-up is needed."""
    day = finding.observed.date()
    return FindingWrite(
        Kind.REPAIRED, finding.about, finding.cls, day, day, finding.observed, finding
    )


def ends_though_resolved(about: str, cls: FindingClass) -> bool:
    """Whether a finding that somebody resolved is gone as well once it is met no more.

    What is about no session, and a session that eMabler does not list, says the same whenever it
    comes again: only that it ended tells the next time from the last. What two sides say otherwise
    of a session somebody judged, and that holds for these values.
    """
    return about.startswith(SUBJECT_SIGN) or cls in _LACKING


def _may_go(about: str, entry: Entry, as_of: datetime) -> bool:
    if entry.resolved and not ends_though_resolved(about, entry.cls):
        return False
    return entry.observed <= microseconds(as_of)


def _again(about: str, entry: Entry) -> Kind | None:
    if not entry.resolved:
        return Kind.AGAIN
    return Kind.STILL if about.startswith(SUBJECT_SIGN) else None


def _gone(about: str, entry: Entry, as_of: datetime) -> FindingWrite:
    first = date.fromordinal(entry.first)
    return FindingWrite(Kind.GONE, about, entry.cls, as_of.date(), first, as_of)


class FindingBook:
    """Open and resolved findings, compact, for one run."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[Entry, ...]] = {}
        self._open: Counter[FindingClass] = Counter()

    @classmethod
    async def read(cls, tables: Tables) -> FindingBook:
        """Read what is open or resolved.

        Raises:
            StoreUnavailableError: It cannot be read now.
        """
        book = cls()

        async def take(prefix: str) -> None:
            async for row in tables.range(RECONCILIATION, PARTITION, prefix, f"{prefix}~"):
                known = known_from_row(row)
                book._put(
                    known.finding.about,
                    Entry(
                        known.finding.cls,
                        known.finding.digest,
                        microseconds(known.finding.observed),
                        known.first.toordinal(),
                        known.last.toordinal(),
                        known.state is State.RESOLVED,
                    ),
                )

        await both(take(OPEN_ROWS), take(RESOLVED_ROWS))
        return book

    def open(self) -> Counter[FindingClass]:
        """How many are open, by class."""
        return +self._open

    def abouts(self, cls: FindingClass) -> Iterator[str]:
        """What the findings of a class are about that are gone once they are met no more."""
        for about in self._entries:
            entry = self._entry(about, cls)
            if entry is not None and (not entry.resolved or ends_though_resolved(about, cls)):
                yield about

    def known(self, cls: FindingClass) -> Iterator[str]:
        """What the findings of a class are about, open or resolved."""
        for about in self._entries:
            if self._entry(about, cls) is not None:
                yield about

    def last_met(self, about: str, cls: FindingClass) -> date | None:
        """The day (UTC) on which a finding was met last; None where none is known."""
        entry = self._entry(about, cls)
        return None if entry is None else date.fromordinal(entry.last)

    def seen(
        self,
        findings: Iterable[Finding],
        *,
        compared: Collection[str],
        classes: Collection[FindingClass],
        as_of: datetime,
    ) -> list[FindingWrite]:
        """What is to be written after a comparison, and hold it from now on.

        Args:
            findings: What was met.
            compared: All that was looked at (`Finding.about`: a session's key), met or not.
            classes: What the comparison would have met. A finding of these classes on something
                compared that was not met is gone; one that was resolved only where
                `ends_though_resolved`.
            as_of: The instant before eMabler was asked; what was observed later stays.
        """
        writes: list[FindingWrite] = []
        met: set[tuple[str, FindingClass]] = set()
        for finding in findings:
            met.add((finding.about, finding.cls))
            write = self._met(finding)
            if write is not None:
                writes.append(write)
        writes += [
            _gone(about, entry, as_of)
            for about in compared
            for entry in self._entries.get(about, ())
            if entry.cls in classes and (about, entry.cls) not in met
            if _may_go(about, entry, as_of)
        ]
        for write in writes:
            self._hold(write)
        return writes

    def _met(self, finding: Finding) -> FindingWrite | None:
        day = finding.observed.date()
        entry = self._entry(finding.about, finding.cls)
        if entry is None:
            kind, first = Kind.NEW, day
        elif not wins(finding, entry):
            return None
        elif entry.digest != finding.digest:
            kind = Kind.REOPENED if entry.resolved else Kind.AGAIN
            first = date.fromordinal(entry.first)
        elif entry.last < day.toordinal() and (again := _again(finding.about, entry)) is not None:
            kind, first = again, date.fromordinal(entry.first)
        else:
            return None
        return FindingWrite(kind, finding.about, finding.cls, day, first, finding.observed, finding)

    def _hold(self, write: FindingWrite) -> None:
        if write.kind is Kind.GONE:
            self._drop(write.about, write.cls)
        elif write.finding is not None:
            self._put(
                write.about,
                Entry(
                    write.cls,
                    write.finding.digest,
                    microseconds(write.observed),
                    write.first.toordinal(),
                    write.day.toordinal(),
                    resolved=write.kind is Kind.STILL,
                ),
            )

    def _entry(self, about: str, cls: FindingClass) -> Entry | None:
        return next((each for each in self._entries.get(about, ()) if each.cls is cls), None)

    def _put(self, about: str, entry: Entry) -> None:
        self._drop(about, entry.cls)
        self._entries[about] = (*self._entries.get(about, ()), entry)
        self._open[entry.cls] += not entry.resolved

    def _drop(self, about: str, cls: FindingClass) -> None:
        entry = self._entry(about, cls)
        if entry is None:
            return
        left = tuple(each for each in self._entries[about] if each is not entry)
        if left:
            self._entries[about] = left
        else:
            del self._entries[about]
        self._open[cls] -= not entry.resolved
