"""Windows: stretches of session ends that were proven, each as of the instant of its question.

Pure. Windows may overlap: at each instant the latest proof counts. A window that newer ones cover
together tells nothing any more and may go; whatever goes, no proof is lowered by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import pairwise

from shared.instants import format_instant, parse_instant
from shared.storage.ledger_keys import PARTITION, WIDE_ROWS, WINDOW_ROWS
from shared.storage.rows import SCHEMA, Row, Value

LONGEST = timedelta(days=1)
_MOST_PIECES = 400
_OPEN = "-"
_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Window:
    """Every session that ended in `[start, end)` was confirmed, repaired or listed as drift.

    `as_of`: what appeared or changed at eMabler afterwards is not in it. A bound that is None is
    none: all ends before, or after. `sessions` counts those that REST listed, `kind` is the pass
    that proved it, `run` the run.
    """

    start: datetime | None
    end: datetime | None
    as_of: datetime
    sessions: int = 0
    kind: str = ""
    run: str = ""

    @property
    def first(self) -> datetime:
        """The start, as an instant that can be compared."""
        return self.start or _FIRST

    @property
    def last(self) -> datetime:
        """The end, as an instant that can be compared."""
        return self.end or _LAST

    @property
    def key(self) -> str:
        """The row key."""
        wide = self.start is None or self.end is None or self.end - self.start > LONGEST
        bounds = (format_instant(each) if each else _OPEN for each in (self.start, self.end))
        return (WIDE_ROWS if wide else WINDOW_ROWS) + "|".join(bounds)

    @property
    def past(self) -> Window | None:
        """The part of it that had passed when it was proven; None where nothing had."""
        if self.first >= self.as_of:
            return None
        return self if self.last <= self.as_of else replace(self, end=self.as_of)

    def touches(self, first: datetime, last: datetime) -> bool:
        """Whether it has an instant in common with `[first, last)`."""
        return self.first < last and first < self.last


@dataclass(frozen=True, slots=True)
class Proven:
    """A stretch of session ends and as of when all of it is proven; None: it is not."""

    start: datetime
    end: datetime
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class Day:
    """One UTC day, or the part of it that was asked for: what is proven of it.

    `oldest` and `newest` are the proofs in it, None where there is none; `gaps` the stretches
    without one.
    """

    start: datetime
    end: datetime
    oldest: datetime | None
    newest: datetime | None
    gaps: tuple[Proven, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """What new windows change among those that are there."""

    write: tuple[Window, ...]
    delete: tuple[Window, ...]


def proof(windows: Iterable[Window], start: datetime, end: datetime) -> list[Proven]:
    """As of when each instant of `[start, end)` is proven: the latest window that covers it.

    Of ends after its own instant a window proves nothing: they were still to come.
    """
    told = (each.past for each in windows)
    waiting = sorted((e for e in told if e and e.touches(start, end)), key=lambda w: w.first)
    bounds = {start, end} | {
        bound for each in waiting for bound in (each.first, each.last) if start < bound < end
    }
    covering: list[tuple[timedelta, datetime]] = []
    found: list[Proven] = []
    number = 0
    for first, last in pairwise(sorted(bounds)):
        while number < len(waiting) and waiting[number].first <= first:
            window = waiting[number]
            heappush(covering, (_LAST - window.as_of, window.last))
            number += 1
        while covering and covering[0][1] <= first:
            heappop(covering)
        as_of = _LAST - covering[0][0] if covering else None
        if found and found[-1].as_of == as_of:
            found[-1] = replace(found[-1], end=last)
        else:
            found.append(Proven(first, last, as_of))
    return found


def by_day(windows: Iterable[Window], start: datetime, end: datetime) -> Iterator[Day]:
    """What is proven of each UTC day of `[start, end)`, in their order."""
    stretches = proof(windows, start, end)
    number = 0
    for first, last in _days(start, end):
        while stretches[number].end <= first:
            number += 1
        within, at = [], number
        while at < len(stretches) and stretches[at].start < last:
            each = stretches[at]
            within.append(Proven(max(each.start, first), min(each.end, last), each.as_of))
            at += 1
        proofs = [each.as_of for each in within if each.as_of is not None]
        yield Day(
            first,
            last,
            min(proofs, default=None),
            max(proofs, default=None),
            tuple(each for each in within if each.as_of is None),
        )


def _days(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    first = start
    while first < end:
        midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
        last = min(midnight + LONGEST, end)
        yield first, last
        first = last


def windows_of(
    proven: Window, ends: Iterable[datetime | None] = (), *, longest: timedelta = LONGEST
) -> list[Window]:
    """A window cut at midnights, so that each piece is found by its start alone.

    `ends` are those of the sessions in it, by which each piece counts its own. What is open-ended
    or longer than 400 days stays whole.
    """
    if proven.start is None or proven.end is None:
        return [proven]
    if not proven.start < proven.end or proven.end - proven.start > _MOST_PIECES * longest:
        return [proven]
    told = [each for each in ends if each is not None]
    return [
        replace(proven, start=first, end=last, sessions=sum(first <= each < last for each in told))
        for first, last in _days(proven.start, proven.end)
    ]


def superseded(
    windows: Sequence[Window], candidates: Iterable[Window] | None = None
) -> list[Window]:
    """The windows that newer ones cover together: without them every proof is the same.

    `candidates` are those of the windows that may go; None: all.
    """
    left = list(windows)
    gone: list[Window] = []
    may_go = left if candidates is None else candidates
    for window in sorted(may_go, key=lambda each: (each.as_of, each.key)):
        others = [
            each
            for each in left
            if each is not window
            and each.as_of >= window.as_of
            and each.touches(window.first, window.last)
        ]
        if covers(others, window.first, window.last):
            left.remove(window)
            gone.append(window)
    return gone


def covers(windows: Iterable[Window], first: datetime, last: datetime) -> bool:
    """Whether windows leave no gap in `[first, last)`."""
    for window in sorted(windows, key=lambda each: each.first):
        if window.first > first:
            return False
        first = max(first, window.last)
        if first >= last:
            return True
    return first >= last


def change(present: Iterable[Window], new: Sequence[Window]) -> Change:
    """What is to be written and deleted so that `new` counts beside what is there.

    A window with the bounds of another replaces it where it is newer; an older one changes nothing.
    """
    if not new:
        return Change((), ())
    kept = list(present)
    # Also around windows that are there already: a run that died may have left what they cover.
    first, last = _hull(new)
    first, last = _hull([*new, *(each for each in kept if each.touches(first, last))])
    before = {each.key: each for each in kept if each.touches(first, last)}
    after = dict(before)
    for window in new:
        if window.key not in after or after[window.key].as_of < window.as_of:
            after[window.key] = window
    near = [
        each
        for each in after.values()
        if any(each.touches(window.first, window.last) for window in new)
    ]
    gone = {each.key: each for each in superseded(list(after.values()), near)}
    return Change(
        tuple(e for key, e in after.items() if before.get(key) is not e and key not in gone),
        tuple(each for key, each in gone.items() if key in before),
    )


def _hull(windows: Sequence[Window]) -> tuple[datetime, datetime]:
    return min(each.first for each in windows), max(each.last for each in windows)


def window_row(window: Window) -> Row:
    """The window as a row."""
    columns: dict[str, Value] = {
        "schema": SCHEMA,
        "as_of": format_instant(window.as_of),
        "sessions": window.sessions,
        "kind": window.kind,
        "run": window.run,
    }
    for name, bound in (("start", window.start), ("end", window.end)):
        if bound is not None:
            columns[name] = format_instant(bound)
    return Row(PARTITION, window.key, columns)


def window_from_row(row: Row) -> Window:
    """The window that a row holds."""
    columns = row.columns
    return Window(
        parse_instant(str(columns.get("start", ""))),
        parse_instant(str(columns.get("end", ""))),
        parse_instant(str(columns["as_of"])) or _FIRST,
        int(columns["sessions"]),
        str(columns["kind"]),
        str(columns["run"]),
    )
