"""What one answer, or one walk over pages, is worth as a picture. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise

from shared.emabler.calls import FinishedSessionsQuery
from shared.emabler.models.reading import Drift
from shared.emabler.models.sessions import FinishedSession, read_finished_session
from shared.emabler.paging import Page
from shared.identifiers import READABLE_CHARACTERS
from shared.reconciliation.comparing import session_of
from shared.reconciliation.spans import Lie, Picture, Span
from shared.sessions.claims import Source, session_key

_SEPARATORS = frozenset(",/")
"""`chargerId/socketId` is one socket of a charger; commas part values elsewhere in the API."""


@dataclass(frozen=True, slots=True)
class Named:
    """A session by the names that push gives it: its charger, and a transaction's id that is one.

    Chargers may count their transactions themselves: an id alone is a session at each of them.
    """

    charger: str
    transaction: str

    @property
    def session(self) -> str:
        """The session's key."""
        return session_key(self.charger, self.transaction, Source.REST, "")

    @property
    def tells_charger(self) -> bool:
        """Whether the charger can be asked for: no separator of the API's in it, nor too long."""
        charger = self.charger
        plain = _SEPARATORS.isdisjoint(charger) and charger == charger.strip()
        return plain and len(charger) <= READABLE_CHARACTERS


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for: a span, and of it some ids only.

    `ids` are sessions by their keys, which `named` names, or, `by_rest_id`, REST's own numbers.
    """

    span: Span
    ids: frozenset[str] = frozenset()
    by_rest_id: bool = False
    named: Mapping[str, Named] = field(default_factory=dict)

    def query(self) -> FinishedSessionsQuery:
        """The question as eMabler's API takes it.

        Of sessions it asks for each of the ids at each of the chargers, or at all there are where
        one of the chargers cannot be asked for.
        """
        if not self.ids:
            return self.span.query()
        if self.by_rest_id:
            return FinishedSessionsQuery(rest_ids=sorted(map(int, self.ids)))
        sessions = [self.named[each] for each in self.ids]
        chargers = {each.charger for each in sessions if each.tells_charger}
        return FinishedSessionsQuery(
            chargers=sorted(chargers) if all(each.tells_charger for each in sessions) else (),
            transactions=sorted({each.transaction for each in sessions}),
        )

    def wants(self, session: FinishedSession) -> bool:
        """Whether a session is what was asked for."""
        return self.span.asked_for(session.end) and (
            not self.ids or self._id_of(session) in self.ids
        )

    def tolerates(self, session: FinishedSession) -> bool:
        """Whether a session may stand in the answer: a server may round times, and fold ids.

        One id's sessions at chargers beside those asked for are only too many.
        """
        if not self.span.tolerates(session.end):
            return False
        if not self.ids or self._id_of(session) in self.ids:
            return True
        if self.by_rest_id:
            return folded(session.rest_id) in map(folded, self.ids)
        asked = (self.named[each].transaction for each in self.ids)
        return folded(session.transaction or "") in map(folded, asked)

    def lie(self, wrong: Wrong) -> Lie:
        """What is told of it in place of a picture."""
        return Lie(wrong.code, self.span, wrong.detail, self.ids)

    def halves(self) -> tuple[Question, Question]:
        """Two questions for half of the ids each."""
        ids = sorted(self.ids)
        middle = len(ids) // 2
        return (
            replace(self, ids=frozenset(ids[middle:])),
            replace(self, ids=frozenset(ids[:middle])),
        )

    def _id_of(self, session: FinishedSession) -> str:
        return session.rest_id if self.by_rest_id else session_of(session)


def folded(text: str) -> str:
    """An id as a server may compare it that takes it for a number, or does not mind its case."""
    return text.strip().casefold().lstrip("0")


@dataclass(frozen=True, slots=True)
class Whole:
    """The answer holds all there is."""


@dataclass(frozen=True, slots=True)
class More:
    """There is more than the answer's rows: `total`, at least one more than came.

    `doubtful`: it says so against its own total, or has room for the others; asked again, it may
    say otherwise. `fits` as of `Rows.fits`.
    """

    total: int
    rows: int
    doubtful: bool = False
    fits: datetime | None = None


@dataclass(frozen=True, slots=True)
class Unsaid:
    """All rows of the total came, but not whether a further page does: pages must show it."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """The answer contradicts itself or the question; a code of `spans.LIES`."""

    code: str
    detail: str


_TURNED, _KEPT = 0.1, 0.9
"""Shares of a page's rows: so many may lie out of order, and so many are taken to fit again."""

_TOLD_OF_NEXT: Mapping[bool | None, str] = {
    True: "a next page",
    False: "no next page",
    None: "no word of a next page",
}

type Verdict = Whole | More | Unsaid | Wrong


@dataclass(slots=True)
class Rows:
    """What came in one answer, or in the pages of one walk, as far as it can be read."""

    question: Question
    drift: Drift | None = None
    sessions: list[FinishedSession] = field(default_factory=list)
    pages: int = 0
    unidentified: int = 0
    asked: datetime | None = None

    def add(self, page: Page) -> None:
        """Take in a page."""
        read = (read_finished_session(item, self.drift) for item in page.items)
        known = [session for session in read if session is not None]
        self.sessions += known
        self.unidentified += page.rows - len(known)
        self.pages += 1
        self.asked = self.asked or page.asked

    def wrong(self) -> Wrong | None:
        """What is wrong with the rows themselves: some come twice, or were not asked for."""
        twice = len(self.sessions) - len({session.rest_id for session in self.sessions})
        if twice:
            return Wrong("answer_repeats", f"{twice} of {self.rows} rows come twice")
        strange = sum(not self.question.tolerates(session) for session in self.sessions)
        if strange:
            return Wrong("rows_outside", f"{strange} of {self.rows} rows were not asked for")
        return None

    @property
    def rows(self) -> int:
        """How many rows came."""
        return len(self.sessions) + self.unidentified

    def picture(self) -> Picture:
        """The sessions that were asked for, as of the instant before the first was asked for."""
        if self.asked is None:
            raise ValueError("nothing was asked")
        return Picture(
            self.question.span,
            tuple(filter(self.question.wants, self.sessions)),
            self.asked,
            self.pages,
            self.unidentified,
            self.question.ids,
        )

    def fits(self) -> datetime | None:
        """Up to which end a page seems to hold all, where its rows come in the order of their ends.

        In which order eMabler lists is not documented. This only guides where a span is cut.
        """
        ends = [session.end for session in self.sessions if session.end is not None]
        turned = sum(one > other for one, other in pairwise(ends))
        if not ends or len(ends) < self.rows or turned > self.rows * _TURNED:
            return None
        return sorted(ends)[int(self.rows * _KEPT)]

    @property
    def content(self) -> tuple[int, frozenset[tuple[object, ...]]]:
        """What two equal walks have alike: which sessions there are, and when each ended."""
        return self.unidentified, frozenset(
            (session.rest_id, session.charger, session.transaction, session.end)
            for session in self.sessions
        )


def judged(page: Page, limit: int, wrong: Wrong | None) -> Verdict:
    """What a first page of `limit` rows at most is worth; `wrong` is what its rows are said to be.

    There are two witnesses of what did not come, the total and `hasNextPage`: a page is whole when
    both deny it, and more is believed only when both affirm it.
    """
    if wrong is not None:
        return wrong
    told = f"{page.rows} rows of {'an untold total' if page.total is None else page.total}, "
    told += _TOLD_OF_NEXT[page.has_next]
    if page.has_next:
        return _with_a_next(page, limit, told)
    if page.total is None:
        return Wrong("total_missing", told)
    if page.rows > page.total:
        return Wrong("total_wrong", told)
    if page.has_next is None and (page.rows or not page.total):
        return Unsaid() if page.rows == page.total else _more(page, page.total, limit)
    return Whole() if page.rows == page.total else Wrong("answer_short", told)


def _with_a_next(page: Page, limit: int, told: str) -> Verdict:
    if not page.rows:
        return Wrong("empty_with_more", told)
    if page.total is None:
        return More(2 * page.rows, page.rows)
    return _more(page, page.total, limit)


def _more(page: Page, total: int, limit: int) -> More:
    return More(max(total, page.rows + 1), page.rows, doubtful=total <= limit)
