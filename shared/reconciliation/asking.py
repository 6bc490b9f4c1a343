"""Asks eMabler for finished sessions until each answer is a picture, or is known to lie.

A question that fails while another one is answered is told as a lie, too: eMabler has a fault at
that place, and what lies beside it is proven all the same (`failing.py`).

One answer that holds all rows of a span is the only consistent picture there is (`Page.holds_all`):
rows move between two pages. So a span is cut until an answer holds a part of it. Where the smallest
part still needs pages, it is walked until two walks in a row give the same sessions: what they have
alike was there when the second began (docs/decisions/0026-what-proves-a-span.md).

```
async with aclosing(pictures(client, span, budget=budget)) as found:
    async for each in found:
        match each:
            case Picture(): …
            case Lie(): …   # the last one: what lies behind it was not asked for
```
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import batched

from shared.emabler.client import EmablerClient
from shared.errors import RestUnavailableError
from shared.reconciliation.answers import (
    More,
    Named,
    Question,
    Rows,
    Unsaid,
    Whole,
    Wrong,
    judged,
)
from shared.reconciliation.failing import BRIEFLY, FAILING, failed_here
from shared.reconciliation.spans import EVER, Budget, Lie, Picture, Span
from shared.reconciliation.steps import Steps

SMALLEST = timedelta(seconds=1)
TRIES = 3
LEAST_OF_A_LIE = timedelta(minutes=15)
"""A span with a lie in it is cut as long as its halves are so long: the rest is proven."""

LONGEST = timedelta(days=1)
"""How long a part of a span is at most, however few sessions eMabler lists in it.

The store may hold many there. What is open-ended is asked for in whole."""

MOST_ROWS = 50_000
"""Of one walk, which are in memory at once: some hundred megabytes."""

_BELOW_INT64, _DIGITS = 2**63, 20

_LAST_WORDS = frozenset(("too_many_rows", FAILING))
"""What is wrong with a walk that no other walk would do better."""

_LIES_OF_WALKS = {"rest_pages_repeat": "pages_repeat", "rest_pages_endless": "pages_endless"}


async def pictures(
    client: EmablerClient,
    span: Span,
    *,
    smallest: timedelta = SMALLEST,
    longest: timedelta = LONGEST,
    tries: int = TRIES,
    budget: Budget | None = None,
) -> AsyncGenerator[Picture | Lie]:
    """Pictures of a span's parts, in the order of their start, without a gap.

    While the caller works on one, the next is asked for. A lie that stayed one through `tries` is
    the last that comes: its span begins where the pictures before it end.

    Raises:
        BudgetSpentError: Nothing more may be asked; the pictures that came hold.
        RestUnavailableError: eMabler is throttling, away, or failing whatever it is asked;
            likewise.
        RestRefusedError: The key, a permission or the request is wrong.
    """
    found = _found(_Asker(client, tries, budget), span, smallest, longest)
    following = asyncio.ensure_future(_next(found))
    try:
        while (each := await following) is not None:
            following = asyncio.ensure_future(_next(found))
            yield each
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await found.aclose()


async def ask_by_transactions(
    client: EmablerClient,
    sessions: Iterable[Named],
    *,
    tries: int = TRIES,
    budget: Budget | None = None,
) -> AsyncGenerator[Picture | Lie]:
    """Pictures of sessions as far as they finished, each by its charger and its transaction's id.

    Each says in `ids` which of them it is about, by their keys. Raises as `pictures` does; after a
    lie the others are asked for all the same.
    """
    asker = _Asker(client, tries, budget)
    named = {each.session: each for each in sessions}
    anywhere = {session for session, each in named.items() if not each.tells_charger}
    for some in (named.keys() - anywhere, anywhere):
        for ids in _batches(client, some):
            async for each in _by_ids(asker, Question(EVER, ids, named=named)):
                yield each


async def ask_by_rest_ids(
    client: EmablerClient,
    rest_ids: Iterable[str],
    *,
    tries: int = TRIES,
    budget: Budget | None = None,
) -> AsyncGenerator[Picture | Lie]:
    """Pictures of the finished sessions with these ids of REST's own; see `ask_by_transactions`.

    Ids that are no numbers of 64 bits cannot be asked for and are left out.
    """
    asker = _Asker(client, tries, budget)
    for ids in _batches(client, filter(_is_int64, rest_ids)):
        async for each in _by_ids(asker, Question(EVER, ids, by_rest_id=True)):
            yield each


async def _next(found: AsyncGenerator[Picture | Lie]) -> Picture | Lie | None:
    return await anext(found, None)


async def _found(
    asker: _Asker, span: Span, smallest: timedelta, longest: timedelta
) -> AsyncGenerator[Picture | Lie]:
    steps = Steps(span, smallest=smallest, limit=asker.limit, longest=longest)
    first_total: int | None = None
    failing_until: datetime | None = None
    while (part := steps.next()) is not None:
        asker.briefly = _begins_before(part, failing_until)
        found = await asker.ask(Question(part))
        if isinstance(found, More):
            if steps.more(found.total, found.rows, fits=found.fits):
                first_total = first_total or found.total
                continue
            found = await asker.walk(Question(part), found, first_total)
        if isinstance(found, Lie):
            if found.code == FAILING and not asker.briefly:
                failing_until = part.end
            if steps.halve(LEAST_OF_A_LIE):
                continue
        asker.note()
        yield found
        if isinstance(found, Lie):
            return
        steps.came(len(found.items) + found.unidentified)


def _begins_before(part: Span, instant: datetime | None) -> bool:
    return instant is not None and part.start is not None and part.start < instant


async def _by_ids(asker: _Asker, question: Question) -> AsyncGenerator[Picture | Lie]:
    waiting = [question]
    asker.briefly = False
    while waiting:
        question = waiting.pop()
        found = await asker.ask(question)
        fails = isinstance(found, Lie) and found.code == FAILING
        if (fails or isinstance(found, More)) and len(question.ids) > 1:
            asker.briefly |= fails
            waiting += question.halves()
            continue
        if isinstance(found, More):
            found = await asker.walk(question, found)
        asker.note()
        yield found


def _batches(client: EmablerClient, ids: Iterable[str]) -> Iterator[frozenset[str]]:
    """Ids by so many that a session each fits on a page."""
    asked = sorted({each for each in ids if each.strip()})
    return map(frozenset, batched(asked, client.options.page_size, strict=False))


def _is_int64(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < _DIGITS and int(text) < _BELOW_INT64


class _Asker:
    """Asks one question until it is answered whole, answered with more, or has only lies.

    `briefly`: the question is part of one that failed after all tries; it gets a few only.
    """

    def __init__(self, client: EmablerClient, tries: int, budget: Budget | None) -> None:
        self.limit = client.options.page_size
        self.briefly = False
        self._client = client
        self._tries = max(tries, 1)
        self._budget = budget or Budget(client.counts)

    def note(self) -> None:
        """Note that something came of the budget."""
        self._budget.came += 1

    @property
    def _within(self) -> float:
        return BRIEFLY if self.briefly else math.inf

    async def ask(self, question: Question) -> Picture | Lie | More:
        """One answer's worth: a picture, or how much more there is."""
        for tries_left in reversed(range(self._tries)):
            self._budget.check()
            try:
                page = await self._client.finished_sessions(
                    question.query(), limit=self.limit, within=self._within
                )
            except RestUnavailableError as error:
                return question.lie(await failed_here(self._client, error, self._budget))
            rows = Rows(question, self._client.drift)
            rows.add(page)
            match judged(page, self.limit, rows.wrong()):
                case Whole():
                    return rows.picture()
                case Unsaid():
                    return await self.walk(question, More(page.rows, page.rows))
                case More(doubtful=doubtful) as more if not (doubtful and tries_left):
                    return replace(more, fits=rows.fits())
                case Wrong() as wrong if not tries_left:
                    return question.lie(wrong)
        raise AssertionError(question)

    async def walk(
        self, question: Question, more: More, first_total: int | None = None
    ) -> Picture | Lie:
        """Pages, until two walks in a row give the same sessions."""
        before: Rows | None = None
        differ = Wrong("walks_differ", f"no two of {self._tries + 1} walks gave the same sessions")
        wrong = differ
        for number in range(self._tries + 1):
            # Another size each time: what one walk skips between two pages, the next one has
            # within a page.
            limit = self.limit if number % 2 == 0 else max(self.limit - self.limit // 4, 1)
            walk = await self._walked(question, limit)
            if isinstance(walk, Wrong):
                before, wrong = None, walk
                if walk.code in _LAST_WORDS:
                    return question.lie(walk)
                continue
            if before is not None:
                if before.content == walk.content:
                    return walk.picture()
                wrong = differ
            before = walk
        if first_total is not None and more.total >= first_total:
            detail = f"{more.total} rows, of {first_total} before the span was cut; {wrong.detail}"
            wrong = Wrong("total_never_falls", detail)
        return question.lie(wrong)

    async def _walked(self, question: Question, limit: int) -> Rows | Wrong:
        walk = self._client.walk_finished_sessions(
            question.query(), limit=limit, within=self._within
        )
        rows = Rows(question, self._client.drift)
        self._budget.check()
        try:
            async for page in walk:
                rows.add(page)
                if rows.rows > MOST_ROWS:
                    return Wrong("too_many_rows", f"more than {MOST_ROWS} rows")
                self._budget.check()
        except RestUnavailableError as error:
            if error.code not in _LIES_OF_WALKS:
                return await failed_here(self._client, error, self._budget)
            return Wrong(_LIES_OF_WALKS[error.code], f"{rows.rows} rows on {rows.pages} pages")
        wrong = rows.wrong()
        if wrong is None and not walk.agrees:
            total = "an untold total" if walk.total is None else walk.total
            detail = f"{rows.rows} rows on {rows.pages} pages, of {total} at last"
            wrong = Wrong("walk_unsteady", detail)
        return wrong or rows
