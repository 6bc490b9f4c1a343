"""Spans of session ends, and what asking for one gives: a picture of it, or a lie. Pure.

`LIES` is the table of all that can be wrong with answers that came; docs/emabler-rest.md is held to
it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

from shared.emabler.calls import FinishedSessionsQuery
from shared.emabler.models.sessions import FinishedSession
from shared.emabler.retries import Counts
from shared.errors import BudgetSpentError
from shared.instants import format_instant

OVERLAP = timedelta(seconds=1)
"""By how much more than a span is asked for at both ends: whether a bound belongs to its range is
not documented."""

_ROUNDING = timedelta(seconds=1)
"""By how much a row may lie beyond what was asked for: servers round times as they compare."""

LIES: Mapping[str, str] = {
    "answer_short": "no further page, and fewer rows than the total",
    "answer_repeats": "one REST id on two rows of an answer or walk",
    "total_wrong": "more rows than the total",
    "total_missing": "no total, and no promise of a further page",
    "empty_with_more": "no row, and a promise of a further page",
    "rows_outside": "rows whose end, or id, was not asked for, or has no end that can be read",
    "total_never_falls": "walks that do not add up, of a total that cutting the span did not lower",
    "walks_differ": "no two walks in a row of the smallest span gave the same sessions",
    "walk_unsteady": "pages of one walk name several totals, or other rows came than the total",
    "too_many_rows": "the smallest span has more rows than are held in memory",
    "pages_repeat": "a page of a walk that came before, with a promise of a further one",
    "pages_endless": "more pages in a walk than twice what its total needs, and 20",
    "answer_fails": "an error of eMabler's own, or an answer that cannot be read, while another "
    "question is answered",
}
"""The codes of lies, and what each is."""


@dataclass(frozen=True, slots=True)
class Span:
    """Session ends from `start` on and before `end`; None: without a bound on that side.

    A session whose end is missing or unreadable belongs to no bounded span: it is in whichever
    open-ended one eMabler lists it for.
    """

    start: datetime | None
    end: datetime | None

    def __str__(self) -> str:
        return " to ".join(
            "any time" if bound is None else format_instant(bound)
            for bound in (self.start, self.end)
        )

    @property
    def length(self) -> timedelta | None:
        """How long it is; None where it is open-ended."""
        return None if self.start is None or self.end is None else self.end - self.start

    def query(self) -> FinishedSessionsQuery:
        """The question for it, which overlaps its neighbours'."""
        return FinishedSessionsQuery(
            ended_from=None if self.start is None else self.start - OVERLAP,
            ended_to=None if self.end is None else self.end + OVERLAP,
        )

    def holds(self, end: datetime | None, *, by: timedelta = timedelta()) -> bool:
        """Whether an end lies in it, widened by so much on both sides, bounds included."""
        if end is None:
            return self.start is None or self.end is None
        return (self.start is None or self.start - by <= end) and (
            self.end is None or end <= self.end + by
        )

    def owns(self, end: datetime | None) -> bool:
        """Whether an end is counted here: one that is its own end is the next span's."""
        return self.holds(end) and (end is None or end != self.end)

    def asked_for(self, end: datetime | None) -> bool:
        """Whether an end lies in what `query` asks for."""
        return self.holds(end, by=OVERLAP)

    def tolerates(self, end: datetime | None) -> bool:
        """Whether an end may stand in the answer of a server that rounds."""
        return self.holds(end, by=OVERLAP + _ROUNDING)


EVER = Span(None, None)
"""All sessions, whenever they ended: what is asked for by ids is asked for in it."""


@dataclass(frozen=True, slots=True)
class Picture:
    """All finished sessions of a span, or of some ids, as they were at one instant.

    `items` are those whose end lies in the span widened by `OVERLAP`; they come once each. `as_of`
    is before the request whose one answer held them all, or, where no answer can, before the first
    request of the second of two equal walks. `unidentified` counts rows without a REST id or
    charger, which are none of the items. `ids` says what was asked for where it was by ids.
    """

    span: Span
    items: tuple[FinishedSession, ...]
    as_of: datetime
    pages: int = 1
    unidentified: int = 0
    ids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Lie:
    """Answers for a span that contradict themselves or fail, however often it was asked: `LIES`.

    `detail` says what came, in numbers.
    """

    code: str
    span: Span
    detail: str
    ids: frozenset[str] = frozenset()


class Budget:
    """How many requests and seconds a walk may use. It ends between pictures.

    It counts what the client does, also for others than the walk. The first picture may cost more
    requests than there are, and so may what is looked up for it: else one that needs more than a
    budget would never come, or never be done. Seconds have no such exception; a request that was
    begun in time may take the time of one more answer. `came` counts the pictures that came,
    `done` those that were worked on.
    """

    def __init__(
        self,
        counts: Counts,
        *,
        requests: int | None = None,
        seconds: float | None = None,
        elapsed: Callable[[], float] = monotonic,
    ) -> None:
        self.came = 0
        self.done = 0
        self._counts = counts
        self._elapsed = elapsed
        self._last_request = None if requests is None else counts.requests + requests
        self._until = None if seconds is None else elapsed() + seconds

    @property
    def spent(self) -> str | None:
        """What is used up: "seconds", "requests" or, None, nothing."""
        if self._until is not None and self._elapsed() >= self._until:
            return "seconds"
        if self._last_request is not None and self._counts.requests >= self._last_request:
            return "requests"
        return None

    def of_time(self) -> Budget:
        """The same time without a bound of requests: for a small step that is done as a whole."""
        bounds = Budget(self._counts, elapsed=self._elapsed)
        bounds._until = self._until
        return bounds

    def of_look_ups(self) -> Budget:
        """What a picture's look-ups may use."""
        return self if self.done else self.of_time()

    def check(self) -> None:
        """Let a request be sent that the budget has room for.

        Raises:
            BudgetSpentError: It is used up.
        """
        spent = self.spent
        if spent == "seconds" or (spent and self.came):
            raise BudgetSpentError(f"the {spent} of this run are used up; the next one goes on")
