"""Which walks are due, and how far each is: pure, from marks that stand in the lease's row.

The front pass goes forward with time. Behind it sessions appear late and change, so that stretches
are walked again: each pass in rounds, a round from a fixed instant, so that it does not drift.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.instants import EPOCH_OF_CHARGERS, format_instant, is_due, parse_instant

AFTER_A_LIE = timedelta(hours=1)
"""When the open-ended walks are tried again after an answer that was wrong."""


class Pass(StrEnum):
    """What a run walks or asks for."""

    FRONT = "front"
    ONGOING = "ongoing"
    OPEN = "open"
    BEFORE = "before"
    AFTER = "after"
    RECENT = "recent"
    MONTH = "month"
    RANGE = "range"

    @property
    def walks(self) -> bool:
        """Whether it walks windows of session ends; the others ask for single sessions."""
        return self not in (Pass.ONGOING, Pass.OPEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How far back and how often stretches behind the front are walked again."""

    recent: timedelta = timedelta(days=3)
    recent_every: timedelta = timedelta(days=1)
    month: timedelta = timedelta(days=35)
    month_every: timedelta = timedelta(days=7)
    edges_every: timedelta = timedelta(days=1)
    open_every: timedelta = timedelta(days=1)
    ongoing_every: timedelta = timedelta(hours=1)

    def every(self, name: Pass) -> timedelta:
        """The time from the beginning of one round to that of the next."""
        match name:
            case Pass.RECENT:
                return self.recent_every
            case Pass.MONTH:
                return self.month_every
            case Pass.BEFORE | Pass.AFTER:
                return self.edges_every
            case Pass.OPEN:
                return self.open_every
            case Pass.ONGOING:
                return self.ongoing_every
            case Pass.FRONT | Pass.RANGE:
                return timedelta()


@dataclass(frozen=True, slots=True)
class Mark:
    """One round of a pass: when it began, the stretch that it walks, how far it is.

    `after`: where it asks for single sessions, the key of the last one that is done. Of a round
    that is done the next one is due by `began`.
    """

    began: datetime
    start: datetime | None = None
    end: datetime | None = None
    at: datetime | None = None
    done: bool = False
    after: str = ""


@dataclass(frozen=True, slots=True)
class Marks:
    """The latest round of each pass."""

    rounds: Mapping[Pass, Mark] = field(default_factory=dict)

    def get(self, name: Pass) -> Mark | None:
        """The latest round of a pass; None before the first."""
        return self.rounds.get(name)

    def put(self, name: Pass, mark: Mark) -> Marks:
        """The marks with this one."""
        return Marks({**self.rounds, name: mark})


@dataclass(frozen=True, slots=True)
class Task:
    """What is left of a round: `[start, end)` of session ends, None where there is no bound.

    `began` is the instant of the round's beginning, `after` as of `Mark`.
    """

    name: Pass
    began: datetime
    start: datetime | None = None
    end: datetime | None = None
    after: str = ""


def tasks(marks: Marks, schedule: Schedule, now: datetime, front: datetime | None) -> list[Task]:
    """What is due behind the front, in the order in which it is to be done.

    What takes a few requests comes first; of the rest the one that is late by more of its own
    period, so that a daily one which takes all requests does not starve the weekly one.
    """
    due = [
        task
        for name in (Pass.ONGOING, Pass.BEFORE, Pass.AFTER)
        if (task := _task(name, marks, schedule, now, front)) is not None
    ]
    walks = [
        (_lateness(name, marks, schedule, now), task)
        for name in (Pass.OPEN, Pass.RECENT, Pass.MONTH)
        if (task := _task(name, marks, schedule, now, front)) is not None
    ]
    return due + [task for _, task in sorted(walks, key=lambda pair: -pair[0])]


def _task(
    name: Pass, marks: Marks, schedule: Schedule, now: datetime, front: datetime | None
) -> Task | None:
    mark = marks.get(name)
    if mark is not None and not mark.done:
        return Task(name, mark.began, mark.at or mark.start, mark.end, mark.after)
    if mark is not None and not is_due(mark.began, schedule.every(name), now):
        return None
    match name:
        case Pass.BEFORE:
            return Task(name, now, None, EPOCH_OF_CHARGERS)
        case Pass.AFTER:
            return Task(name, now, now, None)
        case Pass.RECENT | Pass.MONTH:
            # The weekly walk leaves to the daily one what that walks anyway.
            start = now - (schedule.recent if name is Pass.RECENT else schedule.month)
            end = now if name is Pass.RECENT else now - schedule.recent
            if front is not None and now - front < schedule.recent_every:
                end = min(end, front)
            # Else the front waits for answers that lie, or is far behind: what lies beyond it is
            # not to wait as well.
            return Task(name, now, start, end) if front is not None and start < end else None
        case _:
            return Task(name, now)


def _lateness(name: Pass, marks: Marks, schedule: Schedule, now: datetime) -> float:
    mark = marks.get(name)
    if mark is None:
        return float("inf")
    return (now - mark.began) / schedule.every(name)


def advanced(marks: Marks, task: Task, at: datetime | None) -> Marks:
    """The marks after a task's round came to `at`; it begins where it had not."""
    mark = _round(marks, task)
    done = at is not None and task.end is not None and at >= task.end
    return marks.put(task.name, replace(mark, at=at, done=done))


def asked(marks: Marks, task: Task, after: str) -> Marks:
    """The marks after a task's round asked for all sessions up to `after`."""
    return marks.put(task.name, replace(_round(marks, task), after=after))


def finished(marks: Marks, task: Task) -> Marks:
    """The marks after a task's round is done."""
    return marks.put(task.name, replace(_round(marks, task), at=task.end, done=True, after=""))


def broken_off(marks: Marks, task: Task, schedule: Schedule) -> Marks:
    """The marks after a task's round that answers which lie ended: the next is due in an hour.

    Not at the next run already: where eMabler lies for days each run would ask in vain.
    """
    done = finished(marks, task).rounds[task.name]
    sooner = max(schedule.every(task.name) - AFTER_A_LIE, timedelta())
    return marks.put(task.name, replace(done, began=done.began - sooner))


def _round(marks: Marks, task: Task) -> Mark:
    mark = marks.get(task.name)
    if mark is not None and mark.began == task.began:
        return mark
    return Mark(task.began, task.start, task.end)


_INSTANTS = ("began", "start", "end", "at")


def marks_text(marks: Marks) -> str:
    """The marks as they stand in a column."""
    told = {
        str(name): {
            each: format_instant(instant)
            for each in _INSTANTS
            if (instant := getattr(mark, each)) is not None
        }
        | {"done": mark.done}
        | ({"after": mark.after} if mark.after else {})
        for name, mark in sorted(marks.rounds.items())
    }
    return json.dumps(told, separators=(",", ":"))


def marks_of(text: str) -> Marks:
    """The marks that a column holds; a pass that this version does not know is left out."""
    rounds: dict[Pass, Mark] = {}
    for name, told in json.loads(text or "{}").items():
        instants = {each: parse_instant(told[each]) for each in _INSTANTS if each in told}
        began = instants.pop("began", None)
        if name in Pass and began is not None:
            rounds[Pass(name)] = Mark(
                began, done=bool(told["done"]), after=str(told.get("after", "")), **instants
            )
    return Marks(rounds)
