"""The walks of one run under its lease: pictures, what came of them, and what is written down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.emabler.calls import Call
from shared.emabler.models.reading import ENOUGH_ITEMS
from shared.errors import RestRefusedError
from shared.identifiers import identifier_of
from shared.instants import Clock, format_instant
from shared.reconciliation.asking import pictures
from shared.reconciliation.comparing import OF_WINDOWS
from shared.reconciliation.facts import read_proofs
from shared.reconciliation.finding_book import FindingBook, FindingWrite, Kind, repaired
from shared.reconciliation.findings import Finding, FindingClass
from shared.reconciliation.lease import Work
from shared.reconciliation.ledger import Ledger
from shared.reconciliation.means import Means, Worked
from shared.reconciliation.open_sessions import OF_OPEN_SESSIONS, OpenSessionsWork
from shared.reconciliation.passes import Pass, Task, advanced, finished
from shared.reconciliation.silence import PushSeen, find_silence
from shared.reconciliation.spans import Budget, Lie, Picture, Span
from shared.reconciliation.terms import Run, Terms, Told
from shared.reconciliation.window_work import WindowWork
from shared.reconciliation.windows import Window, windows_of
from shared.storage.rows import Value

MOST_LIES = 3
"""How many spans a pass behind the front leaves out before it leaves the rest to the next run."""


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


@dataclass(slots=True, kw_only=True)
class Walking:
    """One run's walks, and what they met: `refused` are calls that the key may not make."""

    means: Means
    ledger: Ledger
    book: FindingBook
    terms: Terms
    run: Run
    clock: Clock
    elapsed: Callable[[], float]
    told: Told
    push: PushSeen = field(default_factory=PushSeen)
    refused: list[RestRefusedError] = field(default_factory=list)

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
            lie = await self._walk(_Walk(Pass.FRONT, Span(start, target), self.budget(deadline)))
            self.run.complete &= lie is None
            if lie is None and front is None and terms.first >= terms.schedule.recent:
                # What was walked for the first time just now is not due again before its time.
                task = Task(Pass.RECENT, target, start, target)
                await self.ledger.commit(marks=finished(self.ledger.marks, task))

    async def again(self, task: Task, budget: Budget) -> None:
        """What is due behind the front. Raises as `front` does."""
        if task.name.walks:
            await self._past_lies(_Walk(task.name, Span(task.start, task.end), budget, task))
        else:
            await self._open_sessions(task, budget)

    async def by_hand(self, span: Span) -> None:
        """A stretch that somebody asked for; the front stays. Raises as `front` does."""
        await self._past_lies(_Walk(Pass.RANGE, span, self.budget(None)))

    async def permitted(self, call: Call, step: Awaitable[None]) -> None:
        """Do a step; where its call is refused, note which and what to do, and go on without it."""
        about = Finding(FindingClass.PERMISSION_MISSING, None, self.clock(), subject=str(call))
        classes = (FindingClass.PERMISSION_MISSING,)
        met: list[Finding] = []
        try:
            await step
        except RestRefusedError as error:
            self.refused.append(error)
            told: dict[str, Value] = {"code": error.code, "status": error.status}
            met = [replace(about, emabler=told | {"advice": error.advice or ""})]
        writes = self.seen(met, compared=[about.about], classes=classes, as_of=self.clock())
        if writes:
            await self.ledger.commit(findings=writes)

    async def look_for_silence(self) -> None:
        """Whether push told of the sessions that REST listed in this run."""
        means, as_of = self.means, self.clock()
        found = await find_silence(
            self.push, means.client, means.tables, buckets=means.buckets, as_of=as_of
        )
        classes = (FindingClass.PUSH_SILENT,)
        writes = self.seen(found.findings, compared=found.compared, classes=classes, as_of=as_of)
        if writes:
            await self.ledger.commit(findings=writes)
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
        met = [
            Finding(FindingClass.CONTRACT_DRIFT, None, now, subject=name) for name in drift.told()
        ]
        # Of too few items nobody can say that a field is there again.
        compared = [
            about
            for about in self.book.abouts(FindingClass.CONTRACT_DRIFT)
            if drift.items[str(identifier_of(about[1:])).partition(".")[0]] >= ENOUGH_ITEMS
        ]
        classes = (FindingClass.CONTRACT_DRIFT,)
        writes = self.seen(met, compared=compared, classes=classes, as_of=now)
        if writes:
            await self.ledger.commit(findings=writes)

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
        for _ in range(MOST_LIES):
            lie = await self._walk(walk)
            if lie is None:
                return
            self.run.complete = False
            if lie.span.end is None or lie.ids:
                return
            walk = replace(walk, span=Span(lie.span.end, walk.span.end))

    async def _walk(self, walk: _Walk) -> Lie | None:
        """Picture after picture, each written down before the next; the lie that ended it."""
        client = self.means.client
        async with aclosing(pictures(client, walk.span, budget=walk.budget)) as found:
            async for each in found:
                lie = each if isinstance(each, Lie) else await self._take(walk, each)
                if lie is not None:
                    await self._lied(walk, lie)
                    return lie
        about = Finding(FindingClass.ANSWER_WRONG, None, self.clock(), subject=str(walk.name))
        classes = (FindingClass.ANSWER_WRONG,)
        cleared = self.seen([], compared=[about.about], classes=classes, as_of=self.clock())
        marks = None if walk.task is None else finished(self.ledger.marks, walk.task)
        await self.ledger.commit(marks=marks, findings=cleared)
        return None

    async def _take(self, walk: _Walk, picture: Picture) -> Lie | None:
        """Work on a picture, then write down that it is proven; a lie met while looking up."""
        span, ledger = picture.span, self.ledger
        await ledger.announce(walk.name, span.start, span.end)
        worked = await WindowWork(self.means).work(
            picture,
            began=ledger.began,
            raising=ledger.raising(span.start, span.end),
            budget=walk.budget,
        )
        self.run.count(str(walk.name), picture, worked.counts)
        self.push.add(worked.push)
        findings = self.seen(
            worked.findings, compared=worked.compared, classes=OF_WINDOWS, as_of=picture.as_of
        )
        findings += self._repaired(worked)
        if worked.lies:
            await ledger.commit(findings=findings)
            return worked.lies[0]
        ends = [item.end for item in picture.items if span.holds(item.end)]
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
        return None

    async def _lied(self, walk: _Walk, lie: Lie) -> None:
        """Note an answer that stayed wrong: by its pass, so that it is over when that succeeds."""
        start = lie.span.start
        finding = Finding(
            FindingClass.ANSWER_WRONG,
            None,
            self.clock(),
            subject=str(walk.name),
            emabler={"code": lie.code, "from": format_instant(start) if start else ""},
        )
        writes = self.seen([finding], compared=(), classes=(), as_of=finding.observed)
        await self.ledger.commit(findings=writes)

    async def _open_sessions(self, task: Task, budget: Budget) -> None:
        """The open sessions against those that go on; the daily pass asks for those that do not."""
        ledger = self.ledger
        await ledger.commit(work=Work(task.name))
        doubted = {about for cls in OF_OPEN_SESSIONS for about in self.book.abouts(cls)}
        worked = await OpenSessionsWork(self.means).work(
            self.clock(), doubted=doubted, asks=task.name is Pass.OPEN, budget=budget
        )
        self.run.sessions += worked.counts
        findings = self.seen(
            worked.findings,
            compared=worked.compared,
            classes=OF_OPEN_SESSIONS,
            as_of=worked.as_of,
        )
        findings += self._repaired(worked)
        await ledger.commit(marks=finished(ledger.marks, task), findings=findings)
