"""One window: the store's rows against eMabler's picture, what is new written, the rest looked up.

A window with nothing new costs one range for each bucket. What REST lists and the store does not
say is written first: an insert that succeeds is the look-up. Stops that REST has no word on, and
REST rows that the picture lacks, are looked up by identity on the other side before anything is
said of them, since ends may differ by days (docs/decisions/0028).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import batched

from shared.emabler.models.sessions import FinishedSession
from shared.identifiers import key_part
from shared.instants import format_instant
from shared.reconciliation.answers import Named
from shared.reconciliation.asking import ask_by_rest_ids, ask_by_transactions
from shared.reconciliation.asking_near import Heard, Near, ask_near
from shared.reconciliation.comparing import (
    Comparison,
    Told,
    as_claim,
    compare,
    told_of,
)
from shared.reconciliation.counting import Counting
from shared.reconciliation.differing import differences, finding_on
from shared.reconciliation.findings import FindingClass
from shared.reconciliation.lacking import Lacking, of_claims, own_of, read_lacking, with_claims
from shared.reconciliation.means import Means, Worked
from shared.reconciliation.outcomes import Outcome, push_says
from shared.reconciliation.rest_claims import rest_claim
from shared.reconciliation.silence import DELAY
from shared.reconciliation.spans import Budget, Lie, Picture
from shared.reconciliation.touched import Touched
from shared.sessions.claims import Claim, Source
from shared.sessions.indexes import rest_row
from shared.sessions.reading import read_session
from shared.sessions.summary import fold
from shared.storage.rows import Row
from shared.storage.together import all_done

type _Lone = tuple[Told, Collection[Claim]]
"""A stop that REST has no word on, with what its session holds."""


class WindowWork:
    """Works on windows; holds no ledger. Safe to repeat, and beside other writers."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def work(
        self,
        picture: Picture,
        rows: Sequence[Row],
        *,
        began: datetime | None,
        raising: bool = False,
        dry_run: bool = False,
        budget: Budget | None = None,
    ) -> Worked:
        """Compare a window, write what is new, and tell what is so.

        Args:
            picture: eMabler's answer for the window.
            rows: The store's rows by end of its span (`Means.rows`), read when all that was to be
                written before is.
            began: When this store was first reconciled: what ended before and is not in it is
                history. None: nothing is.
            raising: The run before may still be writing what it saw: see `SessionWriter.write`.
            dry_run: Nothing is written anywhere; what would be is counted.
            budget: Bounds what is asked for to look things up.

        Raises:
            BudgetSpentError: Not all could be looked up: the window is not done.
            RestUnavailableError, RestRefusedError: Likewise.
            StoreUnavailableError: Some is written; the same call makes it whole.
        """
        task = _Task(self._means, picture, began, raising=raising, dry_run=dry_run)
        return await task.run(rows, budget or Budget(self._means.client.counts))


class _Task:
    """The work on one window."""

    def __init__(
        self,
        means: Means,
        picture: Picture,
        began: datetime | None,
        *,
        raising: bool,
        dry_run: bool,
    ) -> None:
        self._means = means
        self._picture = picture
        self._raising = raising
        self._dry_run = dry_run
        self._worked = Worked(picture.as_of)
        self._counting = Counting(means, picture, self._worked, began, raising=raising)
        self._told_of_by_now = format_instant(picture.as_of - DELAY)
        self._touched = Touched(means, raising=raising, dry_run=dry_run)
        self._near: list[tuple[str, Claim]] = []
        self._unanswered: set[str] = set()
        self._unjudged: set[str] = set()
        self._moved: set[str] = set()

    async def run(self, rows: Sequence[Row], budget: Budget) -> Worked:
        """Do it all."""
        picture, worked = self._picture, self._worked
        found = compare(rows, picture, raising=self._raising)
        held = sum(picture.span.owns(item.end) for item in picture.items)
        changed = sum(picture.span.owns(item.end) for item in found.changed)
        worked.counts[Outcome.UNCHANGED] += held - changed
        worked.counts[Outcome.UNIDENTIFIED] += picture.unidentified
        self._touched.seed(found.nameless)
        self._near += [
            (told.bucket, claim) for told in found.near if (claim := as_claim(told)) is not None
        ]
        self._moved = {told.session for told, _ in found.moved}
        await self._write((Heard(item, picture.as_of) for item in found.changed), fresh=found.fresh)
        lacking = await self._look_up_lacking(found, budget)
        await self._pair()
        overdue = [told for told in found.lone.values() if self._is_overdue(told.end)]
        # Some at a time: where eMabler lists nothing, they are all that ended.
        for some in batched(overdue, self._means.client.options.page_size, strict=False):
            lone = await self._lone(some)
            await self._look_up_lone(lone, budget)
            await self._pair()
            self._judge_lone(lone)
        self._judge(found)
        self._judge_lacking(lacking)
        await self._counting.tell_what_was_not_told()
        self._unjudged |= {told.session for told in overdue} & self._unanswered
        worked.compared -= self._unjudged
        worked.counts += Counter()  # drops classes that nothing was counted in
        return worked

    async def _write(self, heard: Iterable[Heard], *, fresh: Collection[str] = ()) -> None:
        claims = [rest_claim(each.session, each.observed) for each in heard]
        await self._touched.write(claims, fresh=fresh)

    async def _pair(self) -> None:
        for written, summary in await self._touched.pair(self._near):
            self._counting.count(written, summary, self._moved)
        self._worked.compared.update(self._touched.homes)

    async def _lone(self, overdue: Sequence[Told]) -> list[_Lone]:
        """Of overdue stops those whose session has no word of REST's, also none of another end."""
        stored = await all_done(
            read_session(self._means.tables, told.bucket, told.session) for told in overdue
        )
        read = [[claim for claim, _ in each.claims.values()] for each in stored]
        return [
            (told, claims)
            for told, claims in zip(overdue, read, strict=True)
            if claims and not _has_rest(self._touched.now(told.session, claims))
        ]

    async def _look_up_lone(self, lone: Sequence[_Lone], budget: Budget) -> None:
        # Of long ids the key has hashes: the claims say what they are.
        named = {
            Named(claim.charger, str(claim.transaction))
            for told, claims in lone
            for claim in claims
            if not told.is_nameless and claim.within is None
        }
        nameless = [(told, claims) for told, claims in lone if told.is_nameless]
        heard = await self._ask_by_transactions(named, budget)
        near = await self._ask_near(nameless, budget)
        await self._write((*heard, *near))
        if near:
            self._touched.seed((told.bucket, told.session) for told, _ in nameless)

    async def _look_up_lacking(self, found: Comparison, budget: Budget) -> list[Lacking]:
        """Items that the picture lacks: they may end elsewhere by now, or be gone.

        They are of sessions with REST rows that it lacks, or that have items beside those in it.

        Returns:
            The sessions of which eMabler lists no item any more.
        """
        moved = (told for told, _ in found.moved if told.is_of_several)
        rows = [*found.lacking, *found.apart, *moved]
        known = {name: session.claims for name, session in self._touched.sessions.items()}
        sessions = await read_lacking(self._means.tables, rows, known)
        sessions += self._of_several(known.keys() - {told.session for told in rows})
        if not sessions:
            return []
        answered = {_name_of(item): self._picture.as_of for item in self._picture.items}
        wanted: dict[str, set[str]] = defaultdict(set)
        for each in sessions:
            for name in each.items:
                if (each.charger_part, name) not in answered:
                    wanted[name].add(each.charger_part)
        heard: list[Heard] = []
        async for answer in ask_by_rest_ids(self._means.client, wanted, budget=budget):
            heard += self._heard(answer)
            if isinstance(answer, Picture):
                of_chargers = ((part, name) for name in answer.ids for part in wanted[name])
                answered |= dict.fromkeys(of_chargers, answer.as_of)
        items = [*self._picture.items, *(each.session for each in heard)]
        as_before = {name for each in sessions for name in each.standing_as_before(items)}
        await self._write(
            each for each in heard if self._raising or _name_of(each.session) not in as_before
        )
        await self._write_gone(sessions, items, answered)
        unlisted = [each for each in sessions if not self._is_listed(each, items)]
        # What comes in the place of an item without an id is a session of its own.
        alone = (each for each in unlisted if each.told.is_nameless and not each.claims)
        doubtful = (each for each in alone if self._raising or not each.told.is_gone)
        for some in batched(doubtful, self._means.client.options.page_size, strict=False):
            read = await all_done(with_claims(self._means.tables, each) for each in some)
            await self._write_gone(read, items, answered)
        return unlisted

    def _of_several(self, names: Iterable[str]) -> list[Lacking]:
        """Sessions of several items that were written just now, so that one may be another's."""
        found = []
        for name in sorted(names):
            session = self._touched.sessions[name]
            items = session.summary.rests
            if self._raising:
                items = sum(claim.source is Source.REST for claim in session.claims)
            row = rest_row(session.bucket, session.summary) if items > 1 else None
            if row is not None:
                found.append(of_claims([told_of(row)], session.claims))
        return found

    async def _write_gone(
        self,
        sessions: Iterable[Lacking],
        items: Sequence[FinishedSession],
        answered: Mapping[tuple[str, str], datetime],
    ) -> None:
        """Items that eMabler lists no more, written as gone (docs/decisions/0038)."""
        claims: list[Claim] = []
        for each in sessions:
            gone = each.gone(items, answered, raising=self._raising)
            if gone:
                bucket = each.told.bucket
                own = await all_done(own_of(self._means.tables, bucket, claim) for claim in gone)
                claims += own
                self._touched.seed((bucket, claim.session) for claim in own if claim.is_nameless)
                self._touched.note(bucket, each.told.session, each.with_gone(gone).claims)
        await self._touched.write(claims)

    def _is_listed(self, lacking: Lacking, items: Sequence[FinishedSession]) -> bool:
        """Whether eMabler lists an item of a session, or did not answer; judges it where it can."""
        listed = lacking.is_listed_in(items)
        if not self._unanswered.isdisjoint(lacking.items):
            self._unjudged |= set() if listed else {lacking.told.session}
            return True
        if not listed:
            return False
        if lacking.claims:
            self._touched.note(lacking.told.bucket, lacking.told.session, lacking.claims)
        return True

    async def _ask_by_transactions(self, named: Iterable[Named], budget: Budget) -> list[Heard]:
        heard: list[Heard] = []
        async for answer in ask_by_transactions(self._means.client, named, budget=budget):
            heard += self._heard(answer)
        return heard

    async def _ask_near(self, lone: Iterable[_Lone], budget: Budget) -> list[Heard]:
        near = {told.session: _near(claims) for told, claims in lone}
        asked = [each for each in near.values() if each is not None]
        found = await ask_near(self._means.client, asked, budget)
        self._unanswered |= {name for name, each in near.items() if each in found.unanswered}
        return list(found.heard)

    def _heard(self, answer: Picture | Lie) -> list[Heard]:
        """The items of an answer about ids; of a lie nothing is known."""
        if isinstance(answer, Lie):
            self._worked.lies.append(answer)
            self._unanswered |= answer.ids
            return []
        return [Heard(item, answer.as_of) for item in answer.items]

    def _judge(self, found: Comparison) -> None:
        """What is so of the sessions that REST lists."""
        worked = self._worked
        for name, session in self._touched.sessions.items():
            if session.written is not None:
                self._counting.count(session.written, session.summary, self._moved)
            worked.compared.add(name)
            row = rest_row(session.bucket, session.summary)
            if row is not None:
                self._judge_row(told_of(row))
        for told in found.unchanged:
            if told.session not in self._touched.sessions:
                self._judge_row(told)
        worked.compared.update(found.parts)
        worked.findings += (
            finding_on(
                told,
                FindingClass.CHANGED_AT_EMABLER,
                worked.as_of,
                {"session": told.session},
                {"session": session},
            )
            for told, session in found.moved
        )

    def _judge_row(self, told: Told) -> None:
        worked = self._worked
        if told.part_of is not None:
            worked.compared.add(told.session)
        if not told.counts:
            return
        worked.compared.add(told.session)
        if told.is_gone:
            return
        worked.findings += differences(
            told, self._means.rules.tolerances, worked.as_of, self._means.hashed
        )
        started = str(told.row.columns.get("start", "~"))
        # What ended before the store was first reconciled nobody may have pushed: silence is later.
        expected = started <= self._told_of_by_now and not self._counting.is_history(told.end)
        if expected and self._picture.span.holds(told.end):
            pushed = "push" in told.row.columns
            worked.push.note(told.charger_part, told.session, started, pushed=pushed)

    def _judge_lone(self, lone: Sequence[_Lone]) -> None:
        worked = self._worked
        for told, read in lone:
            claims = self._touched.now(told.session, read)
            if told.session not in self._unanswered and not _has_rest(claims):
                worked.compared.add(told.session)
                alone = told.is_nameless and len(claims) == 1
                cls = FindingClass.UNPAIRED if alone else FindingClass.MISSING_AT_EMABLER
                store = push_says(fold(claims))
                worked.findings.append(finding_on(told, cls, worked.as_of, store, {}))

    def _judge_lacking(self, lacking: Sequence[Lacking]) -> None:
        worked = self._worked
        for each in lacking:
            worked.compared.add(each.told.session)
            home = self._touched.homes.get(each.told.session, each.told.session)
            if home == each.told.session and self._is_overdue(each.told.end):
                cls = FindingClass.MISSING_AT_EMABLER
                store = {"rest_id": each.names}
                worked.findings.append(finding_on(each.told, cls, worked.as_of, store, {}))

    def _is_overdue(self, end: datetime | None) -> bool:
        return end is None or self._worked.as_of - end >= self._means.rules.grace


def _name_of(item: FinishedSession) -> tuple[str, str]:
    return key_part(item.charger), item.rest_id


def _has_rest(claims: Iterable[Claim]) -> bool:
    return any(claim.source is Source.REST or claim.part_of is not None for claim in claims)


def _near(claims: Iterable[Claim]) -> Near | None:
    told = (claim for claim in claims if claim.start is not None)
    return next((Near(e.charger, e.socket, e.start) for e in told if e.start is not None), None)
