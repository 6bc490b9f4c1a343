"""Sessions that are open in the store, against those that eMabler lists as going on.

Nothing is closed by invention: a session that REST lists neither as ongoing nor as finished stays
open and is a finding, and taps count it no longer. One that REST lists as ongoing and the store
does not have is written as REST tells it (docs/decisions/0028).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from zlib import crc32

from shared.emabler.models.sessions import OngoingSession
from shared.errors import RowMissingError
from shared.identifiers import bucket_of, hash_tag, identifies_a_transaction
from shared.instants import format_instant
from shared.reconciliation.answers import Named
from shared.reconciliation.asking import ask_by_transactions
from shared.reconciliation.asking_near import Heard, Near, ask_near
from shared.reconciliation.findings import Finding, FindingClass
from shared.reconciliation.means import Means, Worked
from shared.reconciliation.ongoing import (
    Ongoing,
    OpenRow,
    ask_again,
    key_of,
    may_be_open,
    ongoing_claim,
    open_row_of,
    read_ongoing,
)
from shared.reconciliation.outcomes import Outcome, missing_in_store, outcome_of
from shared.reconciliation.rest_claims import rest_claim
from shared.reconciliation.spans import Budget, Lie
from shared.sessions.claims import BEGINNINGS, Claim
from shared.sessions.indexes import OPEN_ROWS
from shared.sessions.planning import Stored, Written
from shared.sessions.reading import read_session
from shared.sessions.writer import row_of_unlisted
from shared.storage.rows import Delete, Row, Value
from shared.storage.tables import SESSIONS, TAGS
from shared.storage.together import all_done, upsert_all

OF_OPEN_SESSIONS = frozenset(
    (
        FindingClass.OPEN_TOO_LONG,
        FindingClass.OPEN_NOT_AT_EMABLER,
        FindingClass.UNPAIRED,
    )
)
"""What this work meets, or knows to be so no longer."""

SETTLING = timedelta(minutes=2)
"""What began so short a time ago may be on its way, to eMabler's list or to the store."""

UNLISTED_AFTER = timedelta(hours=1)
"""A session that began so long ago and that eMabler lists nowhere is counted by taps no more."""

ASKED_FOR = timedelta(days=35)
"""An open session that began longer ago, and of which it is known that eMabler lists it nowhere, is
asked for no more."""

ASKED_DAILY = timedelta(days=3)
"""A start without an id that began longer ago, and whose finding is known, is asked for weekly.

Each costs a request of its own, while those with an id share one."""

_WEEK = 7
_MOST_NAMELESS, _MOST_ROWS = 5, 100
"""How many open sessions are asked for before what came of them is handed back: some ten requests.
"""

_UNLISTED = frozenset((FindingClass.OPEN_NOT_AT_EMABLER, FindingClass.UNPAIRED))
"""Findings with which taps count a session no more."""


class OpenSessionsWork:
    """Works on open sessions; holds no ledger. Safe to repeat, and beside other writers."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def work(
        self,
        now: datetime,
        *,
        doubted: Mapping[FindingClass, Collection[str]] | None = None,
        asks: bool = True,
        after: str = "",
        dry_run: bool = False,
        budget: Budget | None = None,
    ) -> AsyncGenerator[Worked]:
        """Compare the open sessions with the ongoing ones.

        Args:
            now: The present instant.
            doubted: Sessions with a finding of `OF_OPEN_SESSIONS`, open or resolved, by its class.
            asks: Ask for what is not listed as ongoing among the finished sessions, each by its
                id, and tell what is in neither. False: only what the list itself says is told.
            after: `Worked.after` of a round that was cut short: it goes on there.
            dry_run: Nothing is written anywhere.
            budget: Bounds what is asked for. It ends between two parts.

        Yields:
            What the list says, then what came of those that were asked for, part by part; the last
            one's `Worked.after` is None.

        Raises:
            BudgetSpentError: Not all could be asked for; the parts that came hold.
            RestUnavailableError, RestRefusedError: Likewise.
            StoreUnavailableError: Some is written; the same call makes it whole.
        """
        budget = budget or Budget(self._means.client.counts)
        task = _Task(self._means, now, doubted or {}, dry_run=dry_run)
        rows = [row for row in await task.begin(budget) if asks and row.session > after]
        parts = list(_parts(rows))
        yield task.part(after if parts else None)
        for number, part in enumerate(parts, start=1):
            budget.check()
            await task.ask(part, budget.of_time())
            budget.came += 1
            yield task.part(part[-1].session if number < len(parts) else None)


class _Task:
    def __init__(
        self,
        means: Means,
        now: datetime,
        doubted: Mapping[FindingClass, Collection[str]],
        *,
        dry_run: bool,
    ) -> None:
        self._means = means
        self._now = now
        self._doubted = {session for each in doubted.values() for session in each}
        self._unlisted_before = {s for cls in _UNLISTED for s in doubted.get(cls, ())}
        self._dry_run = dry_run
        self._relisted: list[OpenRow] = []
        self._worked = Worked(now)

    def part(self, after: str | None) -> Worked:
        """What came since the last part."""
        worked, self._worked = self._worked, Worked(self._worked.as_of)
        worked.after = after
        return worked

    async def begin(self, budget: Budget) -> list[OpenRow]:
        """Compare with eMabler's list; what is to be asked for, in the order of its sessions."""
        ongoing = await read_ongoing(self._means.client, self._now, budget)
        self._worked = Worked(ongoing.as_of)
        # Read after eMabler was asked: what ended or began meanwhile is then the store's to say.
        rows = {row.session: row for row in await self._open_rows()}
        # What is open no more was ended by what was written meanwhile.
        self._worked.compared |= set(filter(may_be_open, self._doubted - rows.keys()))
        unlisted: list[OpenRow] = []
        for row in rows.values():
            listed = ongoing.lists(row)
            if listed is None:
                unlisted.append(row)
            else:
                self._judge_listed(row, listed)
        await self._repair(ongoing, rows.keys())
        await self._pair_with_listed(ongoing, rows.values())
        await self._list_again()
        return sorted(filter(self._is_worth_asking, unlisted), key=lambda row: row.session)

    async def _open_rows(self) -> list[OpenRow]:
        async def of(bucket: int) -> list[OpenRow]:
            rows = self._means.tables.range(SESSIONS, str(bucket), OPEN_ROWS, f"{OPEN_ROWS}~")
            return [open_row_of(row) async for row in rows]

        found = await all_done(of(bucket) for bucket in range(self._means.buckets))
        return [row for rows in found for row in rows]

    def _judge_listed(self, row: OpenRow, listed: OngoingSession) -> None:
        self._worked.compared.add(row.session)
        if row.session in self._unlisted_before:
            self._relisted.append(row)
        start = row.start or listed.start
        if start is not None and self._now - start >= self._means.rules.longest_open:
            self._find(
                FindingClass.OPEN_TOO_LONG,
                row,
                {"start": format_instant(listed.start)} if listed.start else {},
            )

    def _find(self, cls: FindingClass, row: OpenRow, emabler: dict[str, Value]) -> None:
        store: dict[str, Value] = {"start": format_instant(row.start)} if row.start else {}
        if row.socket is not None:
            store["socket"] = row.socket
        self._worked.findings.append(
            Finding(
                cls,
                row.session,
                self._worked.as_of,
                charger=row.charger,
                transaction=row.transaction,
                store=store,
                emabler=emabler,
            )
        )

    async def _repair(self, ongoing: Ongoing, known: Collection[str]) -> None:
        """Sessions that go on and that the store does not have: its start was lost."""
        missing = [
            each
            for session, each in ongoing.sessions.items()
            if session not in known and self._is_settled(each.start or each.created)
        ]
        stored = await self._read(map(self._place_of, missing))
        lost = [e for e, each in zip(missing, stored, strict=True) if not each.claims]
        claims = [ongoing_claim(each, ongoing.as_of) for each in lost]
        written = await self._means.write(
            claims, fresh={claim.session for claim in claims}, dry_run=self._dry_run
        )
        self._worked.counts.update(outcome_of(each) for each in written)
        for claim in (claim for each in written for claim in each.added):
            self._worked.repaired.append(
                Finding(
                    FindingClass.ONGOING_MISSING_IN_STORE,
                    claim.session,
                    self._worked.as_of,
                    charger=claim.charger,
                    transaction=claim.transaction,
                    emabler={"start": format_instant(claim.start)} if claim.start else {},
                )
            )

    async def _pair_with_listed(self, ongoing: Ongoing, rows: Iterable[OpenRow]) -> None:
        """Starts without an id that eMabler lists with one."""
        for row in rows:
            listed = ongoing.lists(row) if row.is_nameless else None
            if listed is not None and identifies_a_transaction(listed.transaction):
                claim = ongoing_claim(listed, ongoing.as_of)
                await self._pair([row], [(row.bucket, claim)])

    def _place_of(self, ongoing: OngoingSession) -> tuple[str, str]:
        return bucket_of(ongoing.charger, self._means.buckets), key_of(ongoing)

    async def ask(self, rows: Sequence[OpenRow], budget: Budget) -> None:
        """What the walk did not list: by its charger, then among the finished sessions."""
        again, unknown = await ask_again(self._means.client, rows, budget)
        left = []
        for row in rows:
            listed = again and again.lists(row)
            if listed:
                self._judge_listed(row, listed)
            elif row.charger not in unknown:
                left.append(row)
        heard, unanswered = await self._ask_finished(left, budget)
        written = await self._means.write(
            [rest_claim(each.session, each.observed) for each in heard], dry_run=self._dry_run
        )
        self._count(written)
        ended = {each.session for each in written}
        near = [
            (bucket_of(each.summary.charger, self._means.buckets), claim)
            for each in written
            for claim in each.claims
        ]
        ended |= await self._pair([row for row in left if row.is_nameless], near)
        await self._end([r for r in left if r.session not in ended and r.session not in unanswered])
        self._worked.compared |= ended
        await self._list_again()

    def _count(self, written: Iterable[Written]) -> None:
        """Count what came of finished sessions, and tell of those that push never told of."""
        worked = self._worked
        for each in written:
            outcome = outcome_of(each)
            worked.counts[outcome] += 1
            rest = each.summary.rest_claim
            if outcome is Outcome.REPAIRED and rest is not None:
                worked.repaired.append(missing_in_store(rest, worked.as_of, self._means.hashed))

    async def _ask_finished(
        self, rows: Sequence[OpenRow], budget: Budget
    ) -> tuple[list[Heard], set[str]]:
        """The finished sessions that rows are by now; and rows of which no answer was whole."""
        named = await self._named(rows)
        heard: list[Heard] = []
        unanswered: set[str] = set()
        async for answer in ask_by_transactions(self._means.client, named, budget=budget):
            if isinstance(answer, Lie):
                self._worked.lies.append(answer)
                unanswered |= answer.ids
                continue
            heard += [Heard(item, answer.as_of) for item in answer.items]
        near = {row.session: _near(row) for row in rows if row.is_nameless}
        found = await ask_near(
            self._means.client, (each for each in near.values() if each is not None), budget
        )
        unanswered |= {s for s, each in near.items() if each in found.unanswered}
        return [*heard, *found.heard], unanswered

    async def _named(self, rows: Sequence[OpenRow]) -> set[Named]:
        """The sessions that have an id, by it; of a long one the key has a hash."""
        told = [(row.charger, row.transaction) for row in rows if row.transaction is not None]
        hashed = [row for row in rows if not row.is_nameless and row.transaction is None]
        for each in await self._read((row.bucket, row.session) for row in hashed):
            own = (claim for claim, _ in each.claims.values() if claim.within is None)
            told += [(e.charger, e.transaction) for e in own if e.transaction is not None]
        return {Named(*each) for each in told}

    async def _pair(self, rows: Sequence[OpenRow], near: Sequence[tuple[str, Claim]]) -> set[str]:
        """Pair starts without an id with what was found of them; those that are paired now."""
        if self._dry_run or not rows:
            return set()
        seeds = [(row.bucket, row.session) for row in rows]
        paired = await self._means.pairing.pair(seeds, near)
        return {member for each in paired if not each.is_alone for member in each.members}

    async def _end(self, rows: Sequence[OpenRow]) -> None:
        """What REST lists nowhere is a finding, and no tap counts it any more."""
        for row in rows:
            self._worked.compared.add(row.session)
            cls = FindingClass.UNPAIRED if row.is_nameless else FindingClass.OPEN_NOT_AT_EMABLER
            self._find(cls, row, {})
        if self._dry_run:
            return
        stored = await self._read((row.bucket, row.session) for row in rows)
        for row, each in zip(rows, stored, strict=True):
            await upsert_all(self._means.tables, TAGS, self._unlisted(row, each))

    async def _list_again(self) -> None:
        """What REST lists again as ongoing counts again for taps."""
        rows, self._relisted = self._relisted, []
        if self._dry_run:
            return
        stored = await self._read((row.bucket, row.session) for row in rows)
        for row, each in zip(rows, stored, strict=True):
            for ended in self._unlisted(row, each):
                with suppress(RowMissingError):
                    await self._means.tables.write(TAGS, [Delete(ended.partition, ended.key)])

    def _unlisted(self, row: OpenRow, stored: Stored) -> list[Row]:
        """The rows that end a session for its tags: of the beginning that is its latest."""
        claims = [claim for claim, _ in stored.claims.values()]
        hashes = {hash_tag(claim.tag, self._means.tag_hash_key) for claim in claims if claim.tag}
        begun = [c for c in claims if c.source in BEGINNINGS and c.start is not None]
        if not begun:
            return []
        latest = max(begun, key=_when)
        return [row_of_unlisted(hashed, row.session, latest) for hashed in sorted(hashes)]

    async def _read(self, sessions: Iterable[tuple[str, str]]) -> list[Stored]:
        return await all_done(
            read_session(self._means.tables, bucket, session) for bucket, session in sessions
        )

    def _is_settled(self, start: datetime | None, after: timedelta = SETTLING) -> bool:
        return start is None or self._now - start >= after

    def _is_worth_asking(self, row: OpenRow) -> bool:
        # A start without an id says nothing of eMabler's lists before its pair had time to come.
        after = self._means.rules.grace if row.is_nameless else UNLISTED_AFTER
        if not self._is_settled(row.start, after):
            return False
        if row.session not in self._unlisted_before:
            return True
        age = ASKED_FOR if row.start is None else self._now - row.start
        if row.is_nameless and age > ASKED_DAILY and not self._is_its_day(row):
            return False
        return row.start is not None and age <= ASKED_FOR

    def _is_its_day(self, row: OpenRow) -> bool:
        """Whether a session that is asked for weekly is asked for on this day: a seventh each."""
        return (self._now.toordinal() + crc32(row.session.encode())) % _WEEK == 0


def _parts(rows: Sequence[OpenRow]) -> Iterator[list[OpenRow]]:
    """Rows by so many that some ten requests tell of them."""
    part: list[OpenRow] = []
    nameless = 0
    for row in rows:
        if len(part) == _MOST_ROWS or nameless == _MOST_NAMELESS:
            yield part
            part, nameless = [], 0
        part.append(row)
        nameless += row.is_nameless
    if part:
        yield part


def _when(claim: Claim) -> tuple[str, str]:
    return format_instant(claim.start) if claim.start else "", claim.digest


def _near(row: OpenRow) -> Near | None:
    return None if row.start is None else Near(row.charger, row.socket, row.start)
