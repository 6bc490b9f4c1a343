"""One run of retention: through all policies, within its time, going on where the last stopped.

A walk through all policies may take several runs. One begins on each day (UTC): a run that finds
that day's at its end has nothing to do, so that runs may be as many as the largest fleet needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic

from shared.instants import Clock, day_of, format_instant, parse_instant
from shared.retention.policies import (
    POLICIES,
    ByColumn,
    ByDay,
    ByPrefix,
    BySession,
    Kept,
    OfJournalDays,
    OfOneAge,
    Orphans,
    Policy,
)
from shared.retention.sessions import sweep_sessions
from shared.retention.sweeps import (
    Place,
    Position,
    Swept,
    sweep_columns,
    sweep_days,
    sweep_marks,
    sweep_orphans,
    sweep_parts,
)
from shared.storage.blobs import Blobs
from shared.storage.rows import SCHEMA, Row, Tables, Upsert, Value
from shared.storage.tables import STORE

LONGEST_RUN_SECONDS = 8 * 60.0
"""The platform ends an invocation after ten minutes; what is left goes on at the next run."""

_PARTITION, _KEY = "retention", "progress"
_SAVE_SECONDS = 20.0


@dataclass(slots=True)
class Retained:
    """What a run did: rows and blobs deleted by table, and whether it came to the end.

    `behind`: how long ago the walk began that is not at its end.
    """

    deleted: Counter[str] = field(default_factory=Counter)
    finished: bool = False
    resumed: bool = False
    behind: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class _Progress:
    """Where the walk stopped, no `step` where it was at its end, and when it began."""

    began: datetime | None = None
    step: str = ""
    position: Position = field(default_factory=Position)


class Retention:
    """Deletes what is beyond its age. Safe beside ingestion, other runs and anything else."""

    def __init__(
        self,
        tables: Tables,
        blobs: Blobs,
        *,
        ages: Mapping[str, timedelta],
        buckets: int,
        hash_keys: Sequence[bytes],
        clock: Clock,
        seconds: float = LONGEST_RUN_SECONDS,
        elapsed: Callable[[], float] = monotonic,
    ) -> None:
        self._tables = tables
        self._blobs = blobs
        self._ages = ages
        self._buckets = buckets
        self._hash_keys = hash_keys
        self._clock = clock
        self._seconds = seconds
        self._elapsed = elapsed

    async def run(self) -> Retained:
        """Delete until all is done or the time is over.

        Raises:
            StoreUnavailableError: What was deleted is gone; the next run goes on.
        """
        done = Retained()
        started, saved = self._elapsed(), 0.0
        before, now = await self._read_progress(), self._clock()
        done.resumed = bool(before.step)
        if before.began and not before.step and day_of(before.began) == day_of(now):
            done.finished = True
            return done
        began = (before.began if before.step else None) or now
        names = [policy.name for policy in POLICIES]
        first = names.index(before.step) if before.step in names else 0
        for number, policy in enumerate(POLICIES[first:]):
            start = Position() if number else before.position
            async with aclosing(self._sweep(policy, start)) as sweep:
                async for swept in sweep:
                    done.deleted += swept.deleted
                    ran = self._elapsed() - started
                    over = ran >= self._seconds
                    if over or ran - saved >= _SAVE_SECONDS:
                        await self._save(_Progress(began, policy.name, swept.position))
                        saved = ran
                    if over:
                        done.behind = self._clock() - began
                        return done
        await self._save(_Progress(began))
        done.finished = True
        return done

    def _sweep(self, policy: Policy, start: Position) -> AsyncGenerator[Swept]:
        match policy.ages:
            case Kept():
                return _nothing()
            case ByPrefix(partition=partition, parts=parts):
                placed = [(self._place(self._ages[part.setting]), part) for part in parts]
                return sweep_parts(placed, policy.name, partition, start)
            case ages:
                return self._sweep_by_age(policy.name, ages, start)

    def _sweep_by_age(self, table: str, ages: OfOneAge, start: Position) -> AsyncGenerator[Swept]:
        place = self._place(self._age(ages))
        match ages:
            case ByDay():
                return sweep_days(place, table, start)
            case BySession():
                return sweep_sessions(place, self._hash_keys, start)
            case ByColumn(columns=columns):
                return sweep_columns(place, table, columns, start)
            case OfJournalDays():
                return sweep_marks(place, start)
            case Orphans():
                return sweep_orphans(place, start)

    def _place(self, age: timedelta) -> Place:
        return Place(
            tables=self._tables,
            blobs=self._blobs,
            buckets=self._buckets,
            clock=self._clock,
            cutoff=self._clock() - age,
        )

    def _age(self, ages: OfOneAge) -> timedelta:
        age = self._ages[ages.setting]
        if isinstance(ages, BySession):
            # The journal keeps a day until the whole of it is beyond its age.
            return max(age, self._ages[ages.journal] + timedelta(days=1))
        return age

    async def _read_progress(self) -> _Progress:
        row = await self._tables.get(STORE, _PARTITION, _KEY)
        if row is None:
            return _Progress()
        stretch = row.columns["stretch"]
        position = Position(stretch if isinstance(stretch, int) else 0, str(row.columns["at"]))
        began = parse_instant(str(row.columns.get("began", "")))
        return _Progress(began, str(row.columns["step"]), position)

    async def _save(self, progress: _Progress) -> None:
        columns: dict[str, Value] = {
            "schema": SCHEMA,
            "step": progress.step,
            "stretch": progress.position.stretch,
            "at": progress.position.at,
            "saved_at": format_instant(self._clock()),
        }
        if progress.began is not None:
            columns["began"] = format_instant(progress.began)
        await self._tables.write(STORE, [Upsert(Row(_PARTITION, _KEY, columns))])


async def _nothing() -> AsyncGenerator[Swept]:
    yield Swept(Position())
