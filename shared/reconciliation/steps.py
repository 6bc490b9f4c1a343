"""Which part of a span to ask for next, so that one answer holds it. Pure.

Parts come in the order of their start, without a gap, cut on whole seconds. A part with more than a
page is cut again, at most in the middle; how long a part may be is guessed from how many rows the
last one had. What is known to hold more than a page is not asked for in whole: its rows would be
sent for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.instants import floor_instant
from shared.reconciliation.spans import Span

_SECOND = timedelta(seconds=1)
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""Within these an open-ended span is cut; ends beyond them are few, and nobody's clock."""

_FILLED = 0.85
"""How full a page is wanted, so that a part which is denser than the last one still fits."""

_MOST_OF_IT = 0.9

_GROWTH = 8
"""How much longer than the last part the next one is at most: a night may end at any minute."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A part that is still to be asked for; of `total` rows when `before` rows had come.

    `by_rows`: it was cut where the rows of an answer said.
    """

    span: Span
    total: int | None = None
    before: int = 0
    by_rows: bool = False


class Steps:
    """Hands out the parts of a span; told of each what came, it knows how to go on."""

    def __init__(
        self, span: Span, *, smallest: timedelta, limit: int, longest: timedelta = timedelta.max
    ) -> None:
        self._smallest = max(smallest, _SECOND)
        # Halves of an open-ended span are decades: nothing is to be found in most of them.
        self._most = timedelta.max if span.length is None else max(longest, self._smallest)
        self._limit = limit
        self._room = limit
        self._waiting = [_Part(span)]
        self._part = _Part(span)
        self._rows = 0
        self._density: float | None = None
        self._longest: timedelta | None = None

    def next(self) -> Span | None:
        """The next part to ask for; None when the span is done."""
        if not self._waiting:
            return None
        part = self._waiting.pop()
        start, end = part.span.start, part.span.end
        if start is not None and end is not None:
            wanted = self._wanted() if self._is_more_than_a_page(part) else self._most
            cut = self._cut(start, end, min(wanted, self._most))
            if cut is not None:
                self._waiting.append(_Part(Span(cut, end), part.total, part.before))
                part = _Part(Span(start, cut))
        self._part = part
        return part.span

    def came(self, rows: int) -> None:
        """The part that was handed out is done: it had so many rows."""
        self._rows += rows
        if (length := self._part.span.length) is not None:
            self._density = rows / length.total_seconds()
            self._longest = _GROWTH * max(length, self._smallest)

    def more(self, total: int, rows: int, *, fits: datetime | None = None) -> bool:
        """The part that was handed out has `total` rows, too many for an answer, which held `rows`.

        `fits` is up to when an answer seems to hold all, where the rows that came show it.

        Returns:
            Whether it can be cut; what then comes next is its beginning.
        """
        part = self._part
        # A server may give fewer rows than it is asked for.
        self._room = max(min(rows, self._limit), self._limit // 4, 1)
        middle = _middle(part.span)
        if (length := part.span.length) is not None:
            if length <= self._smallest or part.span.start is None:
                return False
            self._density = total / length.total_seconds()
            self._longest = max(length / 2, self._smallest)
            wanted = self._wanted()
            if fits is not None and not part.by_rows:
                # Believed once: a server that lies cannot keep parts from becoming half as long.
                wanted = min(fits - part.span.start, _MOST_OF_IT * length)
            middle = self._cut(part.span.start, part.span.end, wanted)
        if middle is None:
            return False
        known = total if length is not None else None
        self._waiting.append(_Part(Span(middle, part.span.end), known, self._rows))
        self._waiting.append(_Part(Span(part.span.start, middle), by_rows=fits is not None))
        return True

    def halve(self, least: timedelta) -> bool:
        """The part that was handed out has only lies: whether it can be cut, to ask for each half.

        It is cut at whole multiples of `least`, and not within one: so that one bad row hides no
        more than that, and is found at one place, whatever part of the time was asked for.
        """
        span = self._part.span
        middle = _middle(span)
        if span.start is None or span.end is None or middle is None:
            return False
        cut = floor_instant(middle, least)
        cut = cut if cut > span.start else cut + least
        if cut >= span.end:
            return False
        self._waiting.append(_Part(Span(cut, span.end)))
        self._waiting.append(_Part(Span(span.start, cut)))
        return True

    def _is_more_than_a_page(self, part: _Part) -> bool:
        return part.total is not None and part.total - (self._rows - part.before) > self._room

    def _wanted(self) -> timedelta:
        """How long a part may be to fill a page as far as is wanted."""
        longest = self._longest or timedelta.max
        if not self._density:
            return longest
        seconds = _FILLED * self._room / self._density
        return min(longest, timedelta(seconds=min(seconds, longest.total_seconds())))

    def _cut(self, start: datetime, end: datetime | None, wanted: timedelta) -> datetime | None:
        """Where a part that begins at `start` ends, on a whole second; None: not before `end`."""
        if end is None or wanted >= end - start:
            return None
        cut = floor_instant(start + max(wanted, self._smallest), _SECOND)
        cut = cut if cut > start else floor_instant(start, _SECOND) + _SECOND
        return cut if cut < end else None


def _middle(span: Span) -> datetime | None:
    """Where an open-ended span is cut, on a whole second; None where it is too far out."""
    first = _FIRST if span.start is None else span.start
    last = _LAST if span.end is None else span.end
    middle = floor_instant(first + (last - first) / 2, _SECOND)
    return middle if first < middle < last else None
