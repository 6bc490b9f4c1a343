"""The lease's row: who may write, up to where all is proven, and what is under way.

Timeline of a run that sleeps (A) and one that goes on (B):

    A takes epoch 7, lasts until 12:10 ── works ── sleeps ………………………………………… wakes, writes: refused
    B                                                 12:10 takes epoch 8 ── works ──

A's write carries the lease's row as A last wrote it; the row has another ETag by then, so that the
whole transaction is refused, with all that it would have changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from shared.instants import format_instant, parse_instant
from shared.reconciliation.passes import Marks, Pass, marks_of, marks_text
from shared.reconciliation.windows import Window
from shared.storage.ledger_keys import LEASE, PARTITION
from shared.storage.rows import SCHEMA, Row, Value

_MARGIN = timedelta(seconds=1)
_MOST_STRETCHES = 20
_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Work:
    """What a run works on until it says otherwise: a pass, and its stretch of session ends.

    Of a pass that asks for single sessions the bounds are None, and mean nothing.
    """

    name: Pass
    start: datetime | None = None
    end: datetime | None = None

    def covers(self, start: datetime | None, end: datetime | None) -> bool:
        """Whether all sessions that ended in `[start, end)` are among those worked on."""
        return (self.start or _FIRST) <= (start or _FIRST) and (end or _LAST) <= (self.end or _LAST)

    def touches(self, start: datetime | None, end: datetime | None) -> bool:
        """Whether sessions that ended in `[start, end)` may be among those worked on."""
        if not self.name.walks:
            return True
        # Whoever asks, asks for a second more on both sides.
        return (self.start is None or end is None or self.start < end + _MARGIN) and (
            start is None or self.end is None or start < self.end + _MARGIN
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the lease's row says.

    `epoch` counts the takings, `number` the writes of an epoch; `row` is the key of the run's own
    row, once there is one. `until` is when the lease ends by
    itself, `held` False that it was given back. `front`: session ends before it are proven without
    a gap since the front began. `work` is under way; `abandoned` was under way when a run was lost:
    it may still be written by it. `began` is when the store was first reconciled.
    """

    epoch: int
    number: int
    run: str
    holder: str
    taken: datetime
    until: datetime
    began: datetime
    row: str = ""
    held: bool = True
    front: datetime | None = None
    marks: Marks = Marks()  # noqa: RUF009 - frozen
    work: Work | None = None
    abandoned: tuple[Work, ...] = ()


def is_free(standing: Standing, now: datetime) -> bool:
    """Whether the lease may be taken: it was given back, or its time is over."""
    return not standing.held or now >= standing.until


def joined(works: Iterable[Work]) -> tuple[Work, ...]:
    """The same work told in few words: a run that dies at one place again and again adds nothing.

    Stretches that meet become one, whatever their passes; beyond 20 all become one, which is more
    than was worked on, never less.
    """
    told = list(works)
    single = {each.name: Work(each.name) for each in told if not each.name.walks}
    walks: list[Work] = []
    for work in sorted((w for w in told if w.name.walks), key=lambda w: w.start or _FIRST):
        before = walks[-1] if walks else None
        if before is not None and (work.start or _FIRST) <= (before.end or _LAST):
            ends = (before.end, work.end)
            walks[-1] = replace(before, end=None if None in ends else max(filter(None, ends)))
        else:
            walks.append(work)
    if len(walks) > _MOST_STRETCHES:
        walks = [replace(walks[0], end=walks[-1].end)]
    return (*single.values(), *walks)


def still_abandoned(
    abandoned: Iterable[Work], windows: Iterable[Window], before: Marks, after: Marks
) -> tuple[Work, ...]:
    """What is left of what lost runs worked on after windows were proven anew and marks moved.

    A stretch is settled by windows that were written since; a pass that asks for single sessions
    by its next round.
    """
    left: list[Work] = []
    proven = list(windows)
    for work in abandoned:
        if work.name.walks:
            left += _without(work, proven)
        elif before.get(work.name) == after.get(work.name):
            left.append(work)
    return tuple(left)


def _without(work: Work, windows: Iterable[Window]) -> list[Work]:
    first, last = work.start or _FIRST, work.end or _LAST
    gone = sorted(
        (max(each.first, first), min(each.last, last))
        for each in windows
        if each.touches(first, last)
    )
    bounds = [(first, first), *gone, (last, last)]
    parts: list[Work] = []
    at = first
    for (_, end), (start, _) in pairwise(bounds):
        at = max(at, end)
        if at < start:
            parts.append(
                Work(
                    work.name,
                    None if at == _FIRST else at,
                    None if start == _LAST else start,
                )
            )
    return parts


_INSTANTS = ("taken", "until", "began", "front")


def standing_row(standing: Standing, etag: str | None = None) -> Row:
    """The lease's row."""
    columns: dict[str, Value] = {
        "schema": SCHEMA,
        "epoch": standing.epoch,
        "number": standing.number,
        "run": standing.run,
        "holder": standing.holder,
        "row": standing.row,
        "held": standing.held,
        "marks": marks_text(standing.marks),
        "work": _works_text([] if standing.work is None else [standing.work]),
        "abandoned": _works_text(standing.abandoned),
    }
    for name in _INSTANTS:
        if (instant := getattr(standing, name)) is not None:
            columns[name] = format_instant(instant)
    return Row(PARTITION, LEASE, columns, etag)


def standing_of(row: Row) -> Standing:
    """What the lease's row says."""
    columns = row.columns
    instants = {name: parse_instant(str(columns.get(name, ""))) for name in _INSTANTS}
    work = _works_of(str(columns["work"]))
    return Standing(
        epoch=int(columns["epoch"]),
        number=int(columns["number"]),
        run=str(columns["run"]),
        holder=str(columns["holder"]),
        row=str(columns["row"]),
        taken=instants["taken"] or _FIRST,
        until=instants["until"] or _FIRST,
        began=instants["began"] or _FIRST,
        held=bool(columns["held"]),
        front=instants["front"],
        marks=marks_of(str(columns["marks"])),
        work=work[0] if work else None,
        abandoned=_works_of(str(columns["abandoned"])),
    )


def _works_text(works: Iterable[Work]) -> str:
    told = [
        [
            str(each.name),
            *(format_instant(bound) if bound else "" for bound in (each.start, each.end)),
        ]
        for each in works
    ]
    return json.dumps(told, separators=(",", ":"))


def _works_of(text: str) -> tuple[Work, ...]:
    return tuple(
        Work(Pass(name), parse_instant(start), parse_instant(end))
        for name, start, end in json.loads(text)
    )
