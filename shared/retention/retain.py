"""One run of retention: through all policies, within its time, going on where the last stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic

from shared.instants import Clock, format_instant
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
    """What a run did: rows and blobs deleted by table, and whether it came to the end."""

    deleted: Counter[str] = field(default_factory=Counter)
    finished: bool = False
    resumed: bool = False


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
        began = saved = self._elapsed()
        step, position = await self._read_progress()
        done.resumed = bool(step)
        names = [policy.name for policy in POLICIES]
        first = names.index(step) if step in names else 0
        for number, policy in enumerate(POLICIES[first:]):
            start = position if not number else Position()
            async for swept in self._sweep(policy, start):
                done.deleted += swept.deleted
                now = self._elapsed()
                over = now - began >= self._seconds
                if over or now - saved >= _SAVE_SECONDS:
                    await self._save(policy.name, swept.position)
                    saved = now
                if over:
                    return done
        await self._save("", Position())
        done.finished = True
        return done

    def _sweep(self, policy: Policy, start: Position) -> AsyncIterator[Swept]:
        match policy.ages:
            case Kept():
                return _nothing()
            case ByPrefix(partition=partition, parts=parts):
                placed = [(self._place(self._ages[part.setting]), part) for part in parts]
                return sweep_parts(placed, policy.name, partition, start)
            case ages:
                return self._sweep_by_age(policy.name, ages, start)

    def _sweep_by_age(self, table: str, ages: OfOneAge, start: Position) -> AsyncIterator[Swept]:
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

    async def _read_progress(self) -> tuple[str, Position]:
        row = await self._tables.get(STORE, _PARTITION, _KEY)
        if row is None or not row.columns["step"]:
            return "", Position()
        stretch = row.columns["stretch"]
        return (
            str(row.columns["step"]),
            Position(stretch if isinstance(stretch, int) else 0, str(row.columns["at"])),
        )

    async def _save(self, step: str, position: Position) -> None:
        columns: dict[str, Value] = {
            "schema": SCHEMA,
            "step": step,
            "stretch": position.stretch,
            "at": position.at,
            "saved_at": format_instant(self._clock()),
        }
        await self._tables.write(STORE, [Upsert(Row(_PARTITION, _KEY, columns))])


async def _nothing() -> AsyncIterator[Swept]:
    yield Swept(Position())
