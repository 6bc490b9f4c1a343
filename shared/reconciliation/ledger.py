"""The ledger: what a run that holds the lease writes down, and what it cannot once it lost it.

Every write is one transaction that begins with the lease's row under its ETag, so that front,
marks, windows, findings and runs change only by the hand of the run that holds the lease
(docs/decisions/0025).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from shared.errors import (
    LeaseHeldError,
    LeaseLostError,
    RowConflictError,
    StoreUnavailableError,
)
from shared.instants import Clock
from shared.reconciliation.finding_book import FindingWrite
from shared.reconciliation.finding_writing import finding_operations
from shared.reconciliation.lease import (
    Standing,
    Work,
    is_free,
    joined,
    standing_of,
    standing_row,
    still_abandoned,
)
from shared.reconciliation.passes import Marks, Pass
from shared.reconciliation.runs import Outcome, RunRow, run_from_row, run_row
from shared.reconciliation.shelf import Shelf
from shared.reconciliation.windows import Window, window_row
from shared.storage.ledger_keys import LEASE, PARTITION
from shared.storage.limits import transactions_of_groups
from shared.storage.rows import Delete, Insert, Operation, Replace, Tables, Upsert
from shared.storage.tables import RECONCILIATION

_MAX_TRIES = 5
_STRETCHES_AHEAD = 8


async def read_standing(tables: Tables) -> Standing | None:
    """What the lease's row says, for who only looks; None: nothing was ever reconciled.

    Raises:
        StoreUnavailableError: It cannot be read now.
    """
    row = await tables.get(RECONCILIATION, PARTITION, LEASE)
    return None if row is None else standing_of(row)


def moves(number: int, count: int) -> bool:
    """Whether a commit's transaction moves front, marks and work: the last one, after all else."""
    return number == count - 1


class Ledger:
    """Writes for the one run that holds the lease. Made by `take`."""

    def __init__(
        self,
        tables: Tables,
        clock: Clock,
        standing: Standing,
        etag: str | None,
        *,
        lasts: timedelta,
        took_over: bool,
    ) -> None:
        self._tables = tables
        self._clock = clock
        self._standing = standing
        self._etag = etag
        self._lasts = lasts
        self._lost = False
        self._number = standing.number
        self._shelf = Shelf(tables)
        self.took_over = took_over

    @classmethod
    async def take(
        cls,
        tables: Tables,
        clock: Clock,
        *,
        run: str,
        holder: str,
        lasts: timedelta,
        opening: RunRow | None = None,
    ) -> Ledger:
        """Take the lease.

        Args:
            tables: The store.
            clock: The store's own time (`StoreClock`); no other clock decides.
            run: The run's id.
            holder: Who runs it, for people.
            lasts: How long the lease lasts from each write on: longer than the longest step
                between two of them, or the run loses it.
            opening: The row of the run, which is listed from the taking on; None: later.

        Raises:
            LeaseHeldError: Another run holds it.
            StoreUnavailableError: The lease's row cannot be read or written now; nothing is held.
        """
        took_over = False
        for _ in range(_MAX_TRIES):
            now = clock()
            row = await tables.get(RECONCILIATION, PARTITION, LEASE)
            etag = None if row is None else row.etag
            before = None if row is None else standing_of(row)
            if before is not None and not is_free(before, now):
                if (before.run, before.number) != (run, 0):
                    raise LeaseHeldError(who=_who(before), until=before.until)
                # Ours: the answer to the write before was lost, and it was sent again.
                took_over = took_over or bool(before.abandoned)
                return cls(tables, clock, before, etag, lasts=lasts, took_over=took_over)
            taken = _taken(before, now, run=run, holder=holder, lasts=lasts)
            listed: list[Operation] = []
            if opening is not None:
                taken = replace(taken, row=opening.key)
                listed.append(Upsert(run_row(opening)))
            ours = standing_row(taken, etag)
            took_over = before is not None and before.held
            died = await _died(tables, before, now) if before is not None and took_over else []
            try:
                taking: Operation = Insert(ours) if row is None else Replace(ours)
                etag = (await tables.write(RECONCILIATION, [taking, *died, *listed]))[0]
            except RowConflictError:
                continue
            return cls(tables, clock, taken, etag, lasts=lasts, took_over=took_over)
        raise StoreUnavailableError("the lease's row kept changing", code="store_contended")

    @property
    def epoch(self) -> int:
        """The number of this taking of the lease."""
        return self._standing.epoch

    @property
    def front(self) -> datetime | None:
        """Session ends before it are proven without a gap; None before the first front pass."""
        return self._standing.front

    @property
    def marks(self) -> Marks:
        """How far each pass behind the front is."""
        return self._standing.marks

    @property
    def began(self) -> datetime:
        """When this store was first reconciled: what ended before is history, no finding."""
        return self._standing.began

    @property
    def standing(self) -> Standing:
        """All that the lease's row says."""
        return self._standing

    def opening(self, **told: Any) -> RunRow:  # noqa: ANN401 - its fields
        """The row of the run that holds the lease; `told` are its other fields."""
        standing = self._standing
        return RunRow(id=standing.run, began=standing.taken, holder=standing.holder, **told)

    def raising(self, start: datetime | None = None, end: datetime | None = None) -> bool:
        """Whether a run that was lost may still write claims of sessions that ended there.

        Then each equal answer of REST is to be written all the same, so that the late write meets
        another ETag. It ends by itself when the stretch has been proven anew.
        """
        return any(each.touches(start, end) for each in self._standing.abandoned)

    async def announce(self, name: Pass, start: datetime | None, end: datetime | None) -> None:
        """Say what the run turns to, before the first claim of it is written; else `commit` does.

        It says some stretches of that length more, so that few of many small ones cost a write.
        Raises as `commit` does.
        """
        work = self._standing.work
        if work is not None and work.name is name and work.covers(start, end):
            return
        if start is not None and end is not None:
            end += (end - start) * _STRETCHES_AHEAD
        await self.commit(work=Work(name, start, end))

    async def commit(
        self,
        *,
        windows: Sequence[Window] = (),
        front: datetime | None = None,
        marks: Marks | None = None,
        findings: Sequence[FindingWrite] = (),
        run: RunRow | None = None,
        work: Work | None = None,
    ) -> None:
        """Write down what was done, and renew the lease; without arguments renew it only.

        One or more transactions, each of which is all or nothing: findings first, then windows,
        then, with the last of them, front, marks and work. What is None stays as it is, and the
        front never goes back. `work` is what the run turns to next: tell it before the first claim
        of it is written (`announce` does).

        Raises:
            LeaseLostError: The lease's time is over or another run has it; nothing was written by
                the transaction that met it, and nothing more can be written.
            StoreUnavailableError: Some transactions may be written; the same call again is safe.
        """
        for attempt in range(_MAX_TRIES):
            groups = await self._groups(windows, findings, run, careful=attempt > 0)
            try:
                moved = replace(
                    self._standing,
                    front=_later(self._standing.front, front),
                    marks=self._standing.marks if marks is None else marks,
                    work=work or self._standing.work,
                    row=self._standing.row if run is None else run.key,
                )
                await self._write(groups, moved, windows)
            except _OthersChangedError:
                self._shelf.forget()
                continue
            return
        raise StoreUnavailableError("rows beside the lease kept changing", code="store_contended")

    async def release(self, *, settled: bool = True, undone: Work | None = None) -> None:
        """Give the lease back; nothing where it was lost.

        `settled` False: a write of the run may still be on its way (its answer was lost), so that
        the next run has to raise what this one worked on. `undone` is what it wrote some of, and
        did not come to say so: the next run raises that, and says it.

        Raises:
            StoreUnavailableError: It was not given back; it ends by itself.
        """
        for _ in range(_MAX_TRIES):
            if self._lost:
                return
            left = undone if settled else self._standing.work
            abandoned = joined((*self._standing.abandoned, *([] if left is None else [left])))
            given_back = replace(self._standing, held=False, work=None, abandoned=abandoned)
            # After an answer that was lost the row is ours, and another one than it was known.
            with suppress(LeaseLostError, _OthersChangedError):
                await self._transact(given_back, [])
                self._lost = True

    async def _groups(
        self,
        windows: Sequence[Window],
        findings: Sequence[FindingWrite],
        run: RunRow | None,
        *,
        careful: bool,
    ) -> list[list[Operation]]:
        """What is to be written, in its order; of each group all goes in one transaction."""
        groups = await finding_operations(
            self._tables, findings, run=self._standing.run, careful=careful
        )
        change = await self._shelf.change(windows)
        groups += [[Upsert(window_row(each))] for each in change.write]
        groups += [[Delete(PARTITION, each.key)] for each in change.delete]
        if run is not None:
            groups.append([Upsert(run_row(run))])
        return groups

    async def _write(
        self, groups: Sequence[Sequence[Operation]], moved: Standing, windows: Sequence[Window]
    ) -> None:
        """Write groups in their order, and with the last of them what the lease's row says then."""
        lease = Replace(standing_row(moved))
        cut = list(transactions_of_groups(groups, beside=[lease])) or [[]]
        for number, operations in enumerate(cut):
            after = self._standing
            if moves(number, len(cut)):
                abandoned = still_abandoned(after.abandoned, windows, after.marks, moved.marks)
                after = replace(moved, abandoned=abandoned)
            await self._transact(after, operations)
        self._shelf.changed()

    async def _transact(self, after: Standing, operations: Sequence[Operation]) -> None:
        """One transaction under the lease."""
        now = self._clock()
        if self._lost or now >= self._standing.until:
            self._lost = True
            raise LeaseLostError(
                f"run {self._standing.run} held the lease beyond its time and wrote nothing more"
            )
        # Counted also where the answer was lost: no two writes of an epoch have one number.
        self._number += 1
        written = replace(after, number=self._number, until=now + self._lasts)
        lease = Replace(standing_row(written, self._etag))
        try:
            self._etag = (await self._tables.write(RECONCILIATION, [lease, *operations]))[0]
        except RowConflictError as error:
            await self._after_conflict(written, error)
        else:
            self._standing = written

    async def _after_conflict(self, written: Standing, error: RowConflictError) -> None:
        """Tell a lost lease from a lost answer and from another row that changed."""
        row = await self._tables.get(RECONCILIATION, PARTITION, LEASE)
        present = None if row is None else standing_of(row)
        if (
            row is None
            or present is None
            or (present.epoch, present.run)
            != (
                written.epoch,
                written.run,
            )
        ):
            self._lost = True
            raise LeaseLostError(
                f"another run took the lease over from {written.run}, which wrote nothing more"
            ) from error
        self._etag = row.etag
        self._standing = present
        if present.number != written.number:
            raise _OthersChangedError from error


class _OthersChangedError(Exception):
    """The lease is still ours; another row of the transaction was not as expected."""


def _taken(
    before: Standing | None, now: datetime, *, run: str, holder: str, lasts: timedelta
) -> Standing:
    """The lease's row as the run that takes it writes it."""
    until = now + lasts
    if before is None:
        return Standing(
            epoch=1, number=0, run=run, holder=holder, taken=now, until=until, began=now
        )
    left = (before.work,) if before.held and before.work is not None else ()
    return replace(
        before,
        epoch=before.epoch + 1,
        number=0,
        run=run,
        holder=holder,
        row="",
        taken=now,
        until=until,
        held=True,
        work=None,
        abandoned=joined((*before.abandoned, *left)),
    )


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(filter(None, (one, other)), default=None)


def _who(standing: Standing) -> str:
    return f"{standing.holder}, run {standing.run}"


async def _died(tables: Tables, before: Standing, now: datetime) -> list[Operation]:
    """Say of a run that never gave the lease back that it died."""
    row = await tables.get(RECONCILIATION, PARTITION, before.row) if before.row else None
    if row is None:
        return []
    run = run_from_row(row)
    if run.outcome is not Outcome.RUNNING:
        return []
    died = run_row(replace(run, outcome=Outcome.DIED, ended=now))
    return [Replace(replace(died, etag=row.etag))]
