"""The walks of one run under its lease: pictures, what came of them, and what is written down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from shared.emabler.calls import Call
from shared.errors import RestRefusedError, RestUnavailableError
from shared.instants import Clock
from shared.reconciliation.asking import pictures
from shared.reconciliation.comparing import OF_WINDOWS
from shared.reconciliation.drifting import drift_compared, drift_met
from shared.reconciliation.facts import read_proofs
from shared.reconciliation.finding_book import FindingBook, FindingWrite, Kind, repaired
from shared.reconciliation.findings import Finding, FindingClass
from shared.reconciliation.lease import Work
from shared.reconciliation.ledger import Ledger
from shared.reconciliation.lies import FIRST_STRETCH, OPEN_SESSIONS, KnownLies, Passing
from shared.reconciliation.means import Means, Worked
from shared.reconciliation.open_sessions import OF_OPEN_SESSIONS, OpenSessionsWork
from shared.reconciliation.passes import Pass, Task, advanced, asked, broken_off, finished
from shared.reconciliation.silence import PushSeen, find_silence
from shared.reconciliation.spans import Budget, Lie, Picture, Span
from shared.reconciliation.terms import Run, Terms, Told
from shared.reconciliation.window_work import WindowWork
from shared.reconciliation.windows import Window, windows_of
from shared.storage.rows import Value
from shared.storage.together import both

_OPEN_ENDED = frozenset((Pass.BEFORE, Pass.AFTER))
"""Nobody else walks there: what lies is asked for again sooner than by the next day's round."""


def moved(front: datetime | None, window: Window) -> datetime | None:
    """The front after a window of its pass: it moves where no gap is left before it."""
    if front is None:
        return window.end
    return max(front, window.last) if window.first <= front else front


@dataclass(frozen=True, slots=True)
class _Walk:
    """One walk: its pass, what is left of its stretch, what it may cost, its round."""

    name: Pass
    span: Span
    budget: Budget
    task: Task | None = None


def _lies_within(walk: _Walk, lie: Lie, front: datetime) -> bool:
    """Whether a lie begins before the front, and the walk has more behind the front."""
    begins_before = lie.span.start is None or lie.span.start < front
    return begins_before and (walk.span.end is None or front < walk.span.end)


@dataclass(slots=True, kw_only=True)
class Walking:
    """One run's walks, and what they met.

    `failed` are calls that were refused, or whose answers did not come; `lies` where answers were
    wrong; `under_way` the window that is worked on, which stays where its work did not end.
    """

    means: Means
    ledger: Ledger
    book: FindingBook
    terms: Terms
    run: Run
    clock: Clock
    elapsed: Callable[[], float]
    told: Told
    push: PushSeen = field(default_factory=PushSeen)
    failed: list[tuple[Call, RestRefusedError | RestUnavailableError]] = field(default_factory=list)
    lies: KnownLies = field(init=False)
    under_way: Work | None = field(init=False, default=None)
    _writing: asyncio.Task[None] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Take over from the book where answers were wrong."""
        self.lies = KnownLies(self.book.abouts(FindingClass.ANSWER_WRONG))

    async def front(self, deadline: float) -> None:
        """From the front, less an overlap, to now, less the time that a session needs to appear.

        Raises:
            BudgetSpentError: The run's time is over.
            TransientError: REST or the store is away.
            RestRefusedError: The key or its permission is wrong.
        """
        terms, front = self.terms, self.ledger.front
        target = self.clock() - terms.settling
        start = target - terms.first if front is None else front - terms.overlap
        if start < target:
            walk = _Walk(Pass.FRONT, Span(start, target), self.budget(deadline))
            lie = await self._walk(walk)
            self.run.complete &= lie is None
            if lie is not None and front is not None and _lies_within(walk, lie, front):
                await self._past_overlap(walk, lie, front)
            elif lie is not None:
                # As long as there is no front, the stretch begins later in each run.
                nothing_proven = self.ledger.front is None
                await self._note(lie, subject=FIRST_STRETCH if nothing_proven else None)
            elif front is None and terms.first >= terms.schedule.recent:
                # What was walked for the first time just now is not due again before its time.
                task = Task(Pass.RECENT, target, start, target)
                await self.ledger.commit(marks=finished(self.ledger.marks, task))

    async def _past_overlap(self, walk: _Walk, lie: Lie, front: datetime) -> None:
        """Walk on from the front: it waits for no lie in what is proven before it.

        Of a lie that ends behind the front this walk shows on which side of it eMabler lies.
        """
        ends_before = lie.span.end is not None and lie.span.end <= front
        if ends_before:
            await self._note(lie)
        behind = await self._walk(replace(walk, span=Span(front, walk.span.end)))
        if not ends_before and (behind is None or behind.span.start != front):
            await self._note(replace(lie, span=Span(lie.span.start, front)))
        if behind is not None:
            await self._note(behind)

    async def again(self, task: Task, budget: Budget) -> None:
        """What is due behind the front. Raises as `front` does."""
        if task.name.walks:
            await self._past_lies(_Walk(task.name, Span(task.start, task.end), budget, task))
        else:
            await self._open_sessions(task, budget)

    async def by_hand(self, span: Span) -> None:
        """A stretch that somebody asked for; the front stays. Raises as `front` does."""
        await self._past_lies(_Walk(Pass.RANGE, span, self.budget(None)))

    async def attempt(self, call: Call, step: Awaitable[None]) -> None:
        """Do a step; where its call is refused or away, go on with what does without it.

        A refusal is a finding that says which call and what to do.
        """
        try:
            await step
        except RestUnavailableError as error:
            self.failed.append((call, error))
        except RestRefusedError as error:
            self.failed.append((call, error))
            told: dict[str, Value] = {"code": error.code, "status": error.status}
            met = Finding(
                FindingClass.PERMISSION_MISSING,
                None,
                self.clock(),
                subject=error.call or str(call),
                emabler=told | {"advice": error.advice or ""},
            )
            await self._write(self.seen([met], compared=(), classes=(), as_of=met.observed))

    async def look_at_permissions(self) -> None:
        """Calls that were refused once, and were answered in this run."""
        refused = {e.call for _, e in self.failed if isinstance(e, RestRefusedError)}
        answered = self.means.client.answered - refused
        now, classes = self.clock(), (FindingClass.PERMISSION_MISSING,)
        compared = [
            Finding(FindingClass.PERMISSION_MISSING, None, now, subject=call).about
            for call in answered
        ]
        await self._write(self.seen([], compared=compared, classes=classes, as_of=now))

    async def _write(self, findings: Sequence[FindingWrite]) -> None:
        if findings:
            await self.ledger.commit(findings=findings)

    async def look_for_silence(self) -> None:
        """Whether push told of the sessions that REST listed in this run."""
        means, as_of = self.means, self.clock()
        found = await find_silence(
            self.push, means.client, means.tables, buckets=means.buckets, as_of=as_of
        )
        classes = (FindingClass.PUSH_SILENT,)
        await self._write(
            self.seen(found.findings, compared=found.compared, classes=classes, as_of=as_of)
        )
        # Of too few sessions nobody can judge: what was known holds.
        self.run.push_silent = self.book.open()[FindingClass.PUSH_SILENT] > 0

    async def look_at_proofs(self, task: Task) -> None:
        """How old the oldest proof is, once an hour: a large fleet has many windows."""
        front = self.ledger.front
        if task.name is Pass.ONGOING and front is not None:
            start = self.clock() - self.terms.schedule.month
            proofs = await read_proofs(self.means.tables, start, front)
            self.run.oldest_proof = None if proofs is None else proofs.oldest

    async def look_for_drift(self) -> None:
        """Whether fields of eMabler's answers were not what we rely on."""
        drift, now = self.means.client.drift, self.clock()
        met = drift_met(drift, now)
        compared = list(drift_compared(drift, self.book, self.terms.schedule, now))
        classes = (FindingClass.CONTRACT_DRIFT,)
        await self._write(self.seen(met, compared=compared, classes=classes, as_of=now))

    def budget(self, deadline: float | None, *, requests: int | None = None) -> Budget:
        """What is left of the run's time, and so many requests."""
        seconds = None if deadline is None else max(deadline - self.elapsed(), 0.0)
        counts = self.means.client.counts
        return Budget(counts, requests=requests, seconds=seconds, elapsed=self.elapsed)

    def seen(
        self,
        findings: Sequence[Finding],
        *,
        compared: Collection[str],
        classes: Collection[FindingClass],
        as_of: datetime,
    ) -> list[FindingWrite]:
        """What is to be written of findings, which are counted."""
        writes = self.book.seen(findings, compared=compared, classes=classes, as_of=as_of)
        self.run.met.update(str(finding.cls) for finding in findings)
        self.run.new.update(str(each.cls) for each in writes if each.kind is Kind.NEW)
        return writes

    def _repaired(self, worked: Worked) -> list[FindingWrite]:
        """What was mended as it was met."""
        classes = [str(finding.cls) for finding in worked.repaired]
        self.run.met.update(classes)
        self.run.new.update(classes)
        return [repaired(finding) for finding in worked.repaired]

    async def _past_lies(self, walk: _Walk) -> None:
        """Walk on behind a span of which eMabler lies: that one keeps the proof that it has."""
        by_hand = walk.name is Pass.RANGE
        passing = Passing(by_hand=by_hand)
        lied = False
        while (lie := await self._walk(walk)) is not None:
            await self._note(lie)
            lied, self.run.complete = True, False
            left = passing.left(walk.span, lie)
            if by_hand:
                self.run.leave_out(lie.span, left, goes_on=passing.goes_on)
            if left is None:
                await self._break_off(walk)
                return
            if walk.task is not None:
                await self.ledger.commit(marks=advanced(self.ledger.marks, walk.task, left.start))
            if not passing.goes_on:
                return
            walk = replace(walk, span=left)
        if lied and walk.name in _OPEN_ENDED:
            await self._break_off(walk)

    async def _walk(self, walk: _Walk) -> Lie | None:
        """Picture after picture, each written down before the next; the lie that ended it."""
        client = self.means.client
        try:
            async with aclosing(pictures(client, walk.span, budget=walk.budget)) as found:
                async for each in found:
                    if isinstance(each, Lie):
                        return each
                    await self._take(walk, each)
        finally:
            # Also where the walk ends early: what was worked on is proven.
            await self._written_down()
        await self._end_round(walk)
        return None

    async def _end_round(self, walk: _Walk) -> None:
        if walk.task is not None:
            await self.ledger.commit(marks=finished(self.ledger.marks, walk.task))

    async def _break_off(self, walk: _Walk) -> None:
        """Leave what lies at the end of a stretch to a later round."""
        if walk.task is None:
            return
        if walk.name in _OPEN_ENDED:
            marks = broken_off(self.ledger.marks, walk.task, self.terms.schedule)
            await self.ledger.commit(marks=marks)
        else:
            await self._end_round(walk)

    async def _take(self, walk: _Walk, picture: Picture) -> None:
        """Work on a picture; that it is proven is written down while the next one's rows are read.

        A stop that could not be looked up, since the answers on it lie, is a finding like others.
        """
        span, ledger = picture.span, self.ledger
        # Before the first claim of this picture the one before is written down: a run that died
        # costs one window.
        rows, _ = await both(self.means.rows(span), self._written_down())
        await ledger.announce(walk.name, span.start, span.end)
        self.under_way = Work(walk.name, span.start, span.end)
        worked = await WindowWork(self.means).work(
            picture,
            rows,
            began=ledger.began,
            raising=ledger.raising(span.start, span.end),
            budget=walk.budget.of_look_ups(),
        )
        self.under_way = None
        walk.budget.done += 1
        self.run.count(str(walk.name), picture, worked.counts)
        self.push.add(worked.push)
        findings = self.seen(
            worked.findings, compared=worked.compared, classes=OF_WINDOWS, as_of=picture.as_of
        )
        findings += self._repaired(worked)
        lies = worked.lies
        findings += self._lied(lies[0], span) if lies else self._truthful(walk, picture)
        self._writing = asyncio.create_task(self._write_down(walk, picture, findings))

    async def _write_down(
        self, walk: _Walk, picture: Picture, findings: Sequence[FindingWrite]
    ) -> None:
        """Say in the ledger that a picture is proven, and what was found."""
        span, ledger = picture.span, self.ledger
        ends = [item.end for item in picture.items if span.owns(item.end)]
        window = Window(
            span.start,
            span.end,
            picture.as_of,
            sessions=len(ends),
            kind=str(walk.name),
            run=self.run.id,
        )
        await ledger.commit(
            windows=windows_of(window, ends),
            front=moved(ledger.front, window) if walk.name is Pass.FRONT else None,
            marks=None if walk.task is None else advanced(ledger.marks, walk.task, span.end),
            findings=findings,
        )
        self.run.front = ledger.front
        self.run.tell(self.told, walk.span, span)

    async def _written_down(self) -> None:
        """Wait until what was worked on last is written down.

        Raises: as `Ledger.commit`.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    async def _note(self, lie: Lie, *, subject: str | None = None) -> None:
        """Write down that answers stayed wrong."""
        await self._write(self._lied(lie, lie.span, subject=subject))

    def _lied(self, lie: Lie, span: Span, *, subject: str | None = None) -> list[FindingWrite]:
        """Note an answer that stayed wrong."""
        finding = self.lies.met(lie, span, self.clock(), subject=subject)
        return self.seen([finding], compared=(), classes=(), as_of=finding.observed)

    def _truthful(self, walk: _Walk, picture: Picture) -> list[FindingWrite]:
        """An answer that was wrong once, where one came by now that is not."""
        compared, classes = self.lies.answered(picture.span), (FindingClass.ANSWER_WRONG,)
        if walk.name is Pass.FRONT:
            compared += self.lies.settled(FIRST_STRETCH)
        return self.seen([], compared=compared, classes=classes, as_of=picture.as_of)

    def _open_lied(self, task: Task, worked: Worked) -> list[FindingWrite]:
        """Note answers on open sessions that stayed wrong; a round without any settles it."""
        if worked.lies:
            self.run.complete = False
            return self._lied(worked.lies[0], worked.lies[0].span, subject=OPEN_SESSIONS)
        about = self.lies.about(OPEN_SESSIONS)
        if worked.after is not None or task.name is not Pass.OPEN or about is None:
            return []
        last = self.book.last_met(about, FindingClass.ANSWER_WRONG)
        if last is None or last >= task.began.date():
            # Maybe in this very round, by the run that began it.
            return []
        compared, classes = self.lies.settled(OPEN_SESSIONS), (FindingClass.ANSWER_WRONG,)
        return self.seen([], compared=compared, classes=classes, as_of=worked.as_of)

    async def _open_sessions(self, task: Task, budget: Budget) -> None:
        """The open sessions against those that go on; the daily pass asks for those that do not."""
        ledger = self.ledger
        await ledger.commit(work=Work(task.name))
        # A finding that an operator resolved is known as well: it ended the session for taps, too.
        doubted = {cls: set(self.book.known(cls)) for cls in OF_OPEN_SESSIONS}
        parts = OpenSessionsWork(self.means).work(
            self.clock(),
            doubted=doubted,
            asks=task.name is Pass.OPEN,
            after=task.after,
            budget=budget,
        )
        async with aclosing(parts) as found:
            async for worked in found:
                self.run.sessions += worked.counts
                findings = self.seen(
                    worked.findings,
                    compared=worked.compared,
                    classes=OF_OPEN_SESSIONS,
                    as_of=worked.as_of,
                )
                findings += self._repaired(worked) + self._open_lied(task, worked)
                after = worked.after
                done = finished if after is None else partial(asked, after=after)
                await ledger.commit(marks=done(ledger.marks, task), findings=findings)
