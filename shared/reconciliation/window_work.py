"""One window: the store's rows against eMabler's picture, what is new written, the rest looked up.

A window with nothing new costs one range for each bucket. What REST lists and the store does not
say is written first: an insert that succeeds is the look-up. Stops that REST has no word on, and
REST rows that the picture lacks, are looked up by identity on the other side before anything is
said of them, since ends may differ by days (docs/decisions/0028).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import batched

from shared.emabler.models.sessions import FinishedSession
from shared.identifiers import bucket_of, key_part
from shared.instants import format_instant, parse_instant
from shared.reconciliation.asking import ask_by_rest_ids, ask_by_transactions
from shared.reconciliation.asking_near import Heard, Near, ask_near
from shared.reconciliation.comparing import (
    Comparison,
    Told,
    as_claim,
    change_of,
    compare,
    differences,
    finding_on,
    session_of,
    told_of,
)
from shared.reconciliation.findings import Finding, FindingClass
from shared.reconciliation.lacking import Lacking, read_lacking
from shared.reconciliation.means import Means, Worked
from shared.reconciliation.outcomes import Outcome, missing_in_store, outcome_of
from shared.reconciliation.rest_claims import rest_claim
from shared.reconciliation.silence import DELAY
from shared.reconciliation.spans import Budget, Lie, Picture
from shared.sessions.claims import Claim, Source
from shared.sessions.indexes import rest_row
from shared.sessions.planning import Written
from shared.sessions.reading import read_session
from shared.sessions.summary import Summary, fold
from shared.storage.rows import Row, Value
from shared.storage.together import all_done


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


@dataclass(slots=True)
class _Session:
    """A session as it is after what was written; `written` None where pairing made it so."""

    bucket: str
    claims: Collection[Claim]
    summary: Summary
    written: Written | None = None


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
        self._began = began
        self._raising = raising
        self._dry_run = dry_run
        self._worked = Worked(picture.as_of)
        self._told_of_by_now = format_instant(picture.as_of - DELAY)
        self._touched: dict[str, _Session] = {}
        self._homes: dict[str, str] = {}
        self._nameless: dict[tuple[str, str], None] = {}
        self._near: list[tuple[str, Claim]] = []
        self._unanswered: set[str] = set()

    async def run(self, rows: Sequence[Row], budget: Budget) -> Worked:
        """Do it all."""
        picture, worked = self._picture, self._worked
        found = compare(rows, picture, raising=self._raising)
        held = sum(picture.span.owns(item.end) for item in picture.items)
        changed = sum(picture.span.owns(item.end) for item in found.changed)
        worked.counts[Outcome.UNCHANGED] += held - changed
        worked.counts[Outcome.UNIDENTIFIED] += picture.unidentified
        self._nameless |= dict.fromkeys(found.nameless)
        self._near += [
            (told.bucket, claim) for told in found.near if (claim := as_claim(told)) is not None
        ]
        await self._write((Heard(item, picture.as_of) for item in found.changed), fresh=found.fresh)
        await self._pair()
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
        worked.compared -= {told.session for told in overdue} & self._unanswered
        worked.counts += Counter()  # drops classes that nothing was counted in
        return worked

    async def _write(self, heard: Iterable[Heard], *, fresh: Collection[str] = ()) -> None:
        claims = [rest_claim(each.session, each.observed) for each in heard]
        written = await self._means.write(
            claims, fresh=fresh, raising=self._raising, dry_run=self._dry_run
        )
        for each in written:
            bucket = bucket_of(each.summary.charger, self._means.buckets)
            self._touched[each.session] = _Session(bucket, each.claims, each.summary, each)
            if each.claims[0].is_nameless:
                self._nameless[bucket, each.session] = None

    async def _pair(self) -> None:
        seeds, self._nameless = self._nameless, {}
        if self._dry_run or not seeds:
            return
        near = [(e.bucket, claim) for e in self._touched.values() for claim in e.claims]
        near += self._near
        for paired in await self._means.pairing.pair(seeds, near):
            for member in paired.members:
                before = self._touched.pop(member, None)
                if before is not None and before.written is not None:
                    self._count(before.written, paired.summary)
                self._homes[member] = paired.session
                self._worked.compared.add(member)
            self._touched[paired.session] = _Session(paired.bucket, paired.claims, paired.summary)

    def _now(self, told: Told, read: Collection[Claim]) -> Collection[Claim]:
        """What the session of a row holds by now, as it was read unless it was written since."""
        session = self._touched.get(self._homes.get(told.session, told.session))
        return read if session is None else session.claims

    async def _lone(self, overdue: Sequence[Told]) -> list[tuple[Told, Collection[Claim]]]:
        """Of overdue stops those whose session has no word of REST's, also none of another end."""
        stored = await all_done(
            read_session(self._means.tables, told.bucket, told.session) for told in overdue
        )
        read = [[claim for claim, _ in each.claims.values()] for each in stored]
        return [
            (told, claims)
            for told, claims in zip(overdue, read, strict=True)
            if claims and not _has_rest(self._now(told, claims))
        ]

    async def _look_up_lone(
        self, lone: Sequence[tuple[Told, Collection[Claim]]], budget: Budget
    ) -> None:
        named = [told for told, _ in lone if told.transaction is not None]
        nameless = [told for told, _ in lone if told.is_nameless]
        heard = await self._ask_by_transactions(named, budget)
        near = await self._ask_near(nameless, budget)
        await self._write((*heard, *near))
        if near:
            self._nameless |= {(told.bucket, told.session): None for told in nameless}

    async def _look_up_lacking(self, found: Comparison, budget: Budget) -> list[Lacking]:
        """Sessions with REST rows that the picture lacks: their items may end elsewhere by now.

        Returns:
            Those of which eMabler lists no item any more.
        """
        sessions = await read_lacking(self._means.tables, found.lacking)
        listed = {(key_part(item.charger), item.rest_id) for item in self._picture.items}
        ids = {
            name
            for each in sessions
            for name in each.items
            if (each.charger_part, name) not in listed
        }
        heard: list[Heard] = []
        async for answer in ask_by_rest_ids(self._means.client, ids, budget=budget):
            heard += self._heard(answer)
        items = [*self._picture.items, *(each.session for each in heard)]
        told_as_before = {name for each in sessions for name in each.standing_as_before(items)}
        await self._write(
            each
            for each in heard
            if (key_part(each.session.charger), each.session.rest_id) not in told_as_before
        )
        return [each for each in sessions if not self._is_listed(each, items)]

    def _is_listed(self, lacking: Lacking, items: Sequence[FinishedSession]) -> bool:
        """Whether eMabler lists an item of a session, or did not answer; judges it where it can."""
        if not self._unanswered.isdisjoint(lacking.items):
            return True
        if not lacking.is_listed_in(items):
            return False
        if lacking.claims:
            now = _Session(lacking.told.bucket, lacking.claims, fold(lacking.claims))
            self._touched.setdefault(lacking.told.session, now)
        return True

    async def _ask_by_transactions(self, told: Sequence[Told], budget: Budget) -> list[Heard]:
        heard: list[Heard] = []
        ids = {str(each.transaction) for each in told}
        sessions = {each.session for each in told}
        async for answer in ask_by_transactions(self._means.client, ids, budget=budget):
            heard += self._heard(answer)
            if isinstance(answer, Lie):
                self._unanswered |= {e.session for e in told if e.transaction in answer.ids}
        return [each for each in heard if session_of(each.session) in sessions]

    async def _ask_near(self, told: Sequence[Told], budget: Budget) -> list[Heard]:
        near = {each.session: _near(each) for each in told}
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
        for name, session in self._touched.items():
            if session.written is not None:
                self._count(session.written, session.summary)
            worked.compared.add(name)
            row = rest_row(session.bucket, session.summary)
            if row is not None:
                self._judge_row(told_of(row))
        for told in found.unchanged:
            if told.session not in self._touched:
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
        worked.findings += differences(
            told, self._means.rules.tolerances, worked.as_of, self._means.hashed
        )
        started = str(told.row.columns.get("start", "~"))
        # What ended before the store was first reconciled nobody may have pushed: silence is later.
        expected = started <= self._told_of_by_now and not self._is_history(told.end)
        if expected and self._picture.span.holds(told.end):
            pushed = "push" in told.row.columns
            worked.push.note(told.charger_part, told.session, started, pushed=pushed)

    def _count(self, written: Written, summary: Summary) -> None:
        """Count what came of a session that was written, and tell what was mended by it."""
        worked, outcome = self._worked, outcome_of(written)
        rest = next((claim for claim in written.added if claim.source is Source.REST), None)
        if outcome is Outcome.REPAIRED and summary.pushed is not None:
            outcome = Outcome.CONFIRMED  # it was paired with what push told
        if outcome is Outcome.REPAIRED and rest is not None:
            if self._is_history(rest.end):
                outcome = Outcome.HISTORY
            else:
                worked.repaired.append(self._missing_in_store(rest))
        if self._raising and outcome is Outcome.UNCHANGED and summary.pushed is None:
            # A run that was lost may have repaired it, and not come to say so.
            kept = summary.rest_claim
            if kept is not None and not self._is_history(kept.end):
                worked.repaired.append(self._missing_in_store(kept))
        end = None if summary.rest_claim is None else summary.rest_claim.end
        # What ends with the window the next one counts.
        worked.counts[outcome] += end is None or end != self._picture.span.end
        if outcome is Outcome.CHANGED and rest is not None and written.before is not None:
            former = written.before.claims.get(rest.key)
            if former is not None:
                change = change_of(former[0], rest, worked.as_of, self._means.hashed)
                worked.repaired += [change] if change is not None else []

    def _is_history(self, end: datetime | None) -> bool:
        return self._began is not None and end is not None and end < self._began

    def _missing_in_store(self, rest: Claim) -> Finding:
        return missing_in_store(rest, self._worked.as_of, self._means.hashed)

    def _judge_lone(self, lone: Sequence[tuple[Told, Collection[Claim]]]) -> None:
        worked = self._worked
        for told, read in lone:
            claims = self._now(told, read)
            if told.session not in self._unanswered and not _has_rest(claims):
                worked.compared.add(told.session)
                alone = told.is_nameless and len(claims) == 1
                cls = FindingClass.UNPAIRED if alone else FindingClass.MISSING_AT_EMABLER
                store = _push_says(fold(claims))
                worked.findings.append(finding_on(told, cls, worked.as_of, store, {}))

    def _judge_lacking(self, lacking: Sequence[Lacking]) -> None:
        worked = self._worked
        for each in lacking:
            worked.compared.add(each.told.session)
            if self._is_overdue(each.told.end):
                cls = FindingClass.MISSING_AT_EMABLER
                store = {"rest_id": each.names}
                worked.findings.append(finding_on(each.told, cls, worked.as_of, store, {}))

    def _is_overdue(self, end: datetime | None) -> bool:
        return end is None or self._worked.as_of - end >= self._means.rules.grace


def _has_rest(claims: Iterable[Claim]) -> bool:
    return any(claim.source is Source.REST or claim.part_of is not None for claim in claims)


def _near(told: Told) -> Near | None:
    columns = told.row.columns
    start = parse_instant(str(columns.get("start", "")))
    if told.charger is None or start is None:
        return None
    socket = columns.get("socket")
    return Near(told.charger, None if socket is None else int(socket), start)


def _push_says(summary: Summary) -> dict[str, Value]:
    """What a session without REST's word says, as a finding holds it."""
    values: dict[str, Value | None] = {
        "start": format_instant(summary.start) if summary.start else None,
        "end": format_instant(summary.end) if summary.end else None,
        "energy_wh": summary.energy_wh,
        "socket": summary.socket,
    }
    return {name: value for name, value in values.items() if value is not None}
