"""One run of reconciliation: the front first, then what is due behind it, for eight minutes.

All that it decides stands under its lease; what it could not do, the next run does. One that died
costs the window it was at (docs/decisions/0025).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import datetime
from functools import partial
from secrets import token_hex
from time import monotonic

from shared.emabler.calls import Call, Options
from shared.errors import (
    BudgetSpentError,
    EmablerFunctionsError,
    LeaseLostError,
    RestRefusedError,
    RestUnavailableError,
    RunStoppedError,
    StoreUnavailableError,
    TransientError,
)
from shared.instants import Clock
from shared.reconciliation.asking import pictures
from shared.reconciliation.finding_book import FindingBook
from shared.reconciliation.findings import Finding
from shared.reconciliation.lease import Work
from shared.reconciliation.ledger import Ledger, read_standing
from shared.reconciliation.lies import Passing
from shared.reconciliation.means import Means
from shared.reconciliation.passes import Pass, tasks
from shared.reconciliation.runs import Outcome
from shared.reconciliation.spans import Lie, Span
from shared.reconciliation.terms import Run, Terms, Told, nobody_told
from shared.reconciliation.walking import Walking
from shared.reconciliation.window_work import WindowWork


class Reconciliation:
    """Runs reconciliation on one store and one client."""

    def __init__(
        self,
        means: Means,
        terms: Terms,
        *,
        clock: Clock,
        elapsed: Callable[[], float] = monotonic,
    ) -> None:
        self._means = means
        self._terms = terms
        self._clock = clock
        self._elapsed = elapsed

    def begin(self, *, holder: str) -> Run:
        """A run that has not done anything; `holder` tells people whose it is."""
        began = self._clock()
        return Run(id=f"{began:%Y%m%d-%H%M%S}-{token_hex(3)}", holder=holder, began=began)

    async def run(self, run: Run) -> Run:
        """Walk from the front on, then what is due behind it, as long as there is time.

        Raises:
            LeaseHeldError: Another run is under way.
            LeaseLostError: The run stood still for longer than its lease; what it had written down
                by then holds.
            TransientError: REST or the store is away; the next run goes on.
            RestRefusedError: The key or a permission is wrong; what does without it was done.
        """
        deadline = self._elapsed() + self._terms.seconds
        self._means.client.end_within(self._terms.seconds)

        async def steps(walking: Walking) -> None:
            await walking.attempt(self._options.finished_sessions, walking.front(deadline))
            await self._behind(walking, deadline)
            await walking.look_at_permissions()
            if self._options.finished_sessions not in [call for call, _ in walking.failed]:
                await walking.look_for_silence()
            await walking.look_for_drift()

        return await self._under_lease(run, steps, nobody_told)

    async def walk(self, run: Run, span: Span, told: Told = nobody_told) -> Run:
        """Walk one stretch by hand, however long it takes; the front stays. Raises as `run`."""

        async def steps(walking: Walking) -> None:
            await walking.attempt(self._options.finished_sessions, walking.by_hand(span))

        return await self._under_lease(run, steps, told)

    async def look(self, run: Run, span: Span, told: Told = nobody_told) -> list[Finding]:
        """What a walk would find and do, without a lease and without a write."""
        standing = await read_standing(self._means.tables)
        run.front = standing.front if standing else None
        began = standing.began if standing else run.began
        findings: list[Finding] = []
        left: Span | None = span
        passing = Passing(by_hand=True)
        while left is not None and passing.goes_on:
            lie = await self._look_at(
                run, left, began, findings, told=partial(run.tell, told, span)
            )
            left = None if lie is None else passing.left(left, lie)
            if lie is not None:
                run.leave_out(lie.span, left, goes_on=passing.goes_on)
        # A session that ends at a cut is in both pictures.
        once = list({(each.about, each.cls): each for each in findings}.values())
        run.met.update(str(each.cls) for each in once)
        run.ended = self._clock()
        return once

    async def _look_at(
        self,
        run: Run,
        span: Span,
        began: datetime,
        findings: list[Finding],
        told: Callable[[Span], None],
    ) -> Lie | None:
        """Look at a stretch up to a span of which eMabler lies: that one."""
        async with aclosing(pictures(self._means.client, span)) as found:
            async for each in found:
                if isinstance(each, Lie):
                    return each
                rows = await self._means.rows(each.span)
                worked = await WindowWork(self._means).work(each, rows, began=began, dry_run=True)
                run.count(str(Pass.RANGE), each, worked.counts)
                run.complete &= not worked.lies
                findings += [*worked.findings, *worked.repaired]
                told(each.span)
        return None

    async def _behind(self, walking: Walking, deadline: float) -> None:
        """What is due behind the front, each with the calls that are not known to fail."""
        budget = walking.budget(deadline, requests=self._terms.behind_requests)
        ledger = walking.ledger
        for task in tasks(ledger.marks, self._terms.schedule, self._clock(), ledger.front):
            call = self._call_of(task.name)
            if call in [failing for failing, _ in walking.failed]:
                continue
            try:
                await walking.attempt(call, walking.again(task, budget))
            except BudgetSpentError:
                walking.run.complete = False
                return
            await walking.look_at_proofs(task)

    @property
    def _options(self) -> Options:
        return self._means.client.options

    def _call_of(self, name: Pass) -> Call:
        ongoing = name in (Pass.ONGOING, Pass.OPEN)
        return self._options.ongoing_sessions if ongoing else self._options.finished_sessions

    async def _under_lease(
        self, run: Run, steps: Callable[[Walking], Awaitable[None]], told: Told
    ) -> Run:
        """Take the lease, do it, write down how it ended, give the lease back."""
        means, terms = self._means, self._terms
        ledger = await Ledger.take(
            means.tables,
            self._clock,
            run=run.id,
            holder=run.holder,
            lasts=terms.lease,
            opening=run.row(means.client.counts, Outcome.RUNNING),
        )
        run.front = ledger.front
        settled, walking = True, None
        try:
            walking = Walking(
                means=means,
                ledger=ledger,
                book=await FindingBook.read(means.tables),
                terms=terms,
                run=run,
                clock=self._clock,
                elapsed=self._elapsed,
                told=told,
            )
            await self._done(walking, steps)
        except LeaseLostError:
            raise
        except EmablerFunctionsError as error:
            # A write whose answer was lost may be under way.
            settled = isinstance(error, RestUnavailableError | RestRefusedError)
            run.error, run.complete = error, False
        except asyncio.CancelledError:
            # Ctrl-C: nobody is to wait for the end of the lease. A write may be under way.
            run.error, run.complete = RunStoppedError("stopped by hand"), False
            await self._end(ledger, run, settled=False, undone=_under_way(walking))
            raise
        await self._end(ledger, run, settled=settled, undone=_under_way(walking))
        if run.error is not None:
            raise run.error
        return run

    async def _done(self, walking: Walking, steps: Callable[[Walking], Awaitable[None]]) -> None:
        run = walking.run
        try:
            await steps(walking)
        except BudgetSpentError:
            run.complete = False
        finally:
            run.open = walking.book.open().total()
        if walking.failed:
            raise walking.failed[0][1]

    async def _end(self, ledger: Ledger, run: Run, *, settled: bool, undone: Work | None) -> None:
        """Write down how the run ended and give the lease back.

        Whoever slept past the lease is told so, not of the answers that were missed meanwhile.
        """
        run.ended = self._clock()
        error = run.error
        outcome = Outcome.OK if error is None else Outcome.FAILED
        try:
            await ledger.commit(run=run.row(self._means.client.counts, outcome))
            await ledger.release(settled=settled, undone=undone)
        except StoreUnavailableError:
            if error is None:
                raise
        except LeaseLostError as lost:
            if error is None:
                raise
            if isinstance(error, TransientError):
                raise lost from error


def _under_way(walking: Walking | None) -> Work | None:
    return None if walking is None else walking.under_way
