"""Where eMabler's answers lie, as findings name it: the same lie has one name, run after run. Pure.

A lie is named by where its stretch begins. Each walk cuts elsewhere, so what is known to begin
within a stretch is the same lie. What is open to the future begins whenever it is asked for, and so
does the first run's stretch as long as nothing of it is proven: they have names without an instant,
as what is asked for by ids has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from shared.identifiers import identifier_of
from shared.instants import format_instant, parse_instant
from shared.reconciliation.findings import Finding, FindingClass
from shared.reconciliation.spans import Lie, Span

_FROM, _BEGINNING = "ends from ", "the beginning"
_TO_COME = "ends to come"
FIRST_STRETCH, OPEN_SESSIONS = "the first stretch", "open sessions"

MOST_LIES = 3
"""How many spans a pass behind the front leaves out before it leaves the rest to the next run."""

MOST_IN_A_ROW = 12
"""After so many lies with nothing true between them a walk by hand ends: some three hours of ends.

Lies that lie apart it passes, however many: nobody goes on where it ends by itself."""


class Passing:
    """Counts the lies that a walk passes, and says how far it goes on."""

    def __init__(self, *, by_hand: bool) -> None:
        self._by_hand = by_hand
        self._met = 0
        self._in_a_row = 0

    def left(self, walked: Span, lie: Lie) -> Span | None:
        """What of a walked span lies behind a lie that ended its walk; None where nothing does."""
        true_before = lie.span.start != walked.start
        self._in_a_row = 1 if true_before else self._in_a_row + 1
        self._met += 1
        end = lie.span.end
        ends = end is None or (walked.end is not None and end >= walked.end)
        return None if ends else Span(end, walked.end)

    @property
    def goes_on(self) -> bool:
        """Whether what is left is walked now."""
        return self._in_a_row < MOST_IN_A_ROW if self._by_hand else self._met < MOST_LIES


class KnownLies:
    """The lies that are open findings, by `Finding.about`."""

    def __init__(self, abouts: Iterable[str]) -> None:
        self._subjects = {about: str(identifier_of(about[1:])) for about in abouts}

    def met(self, lie: Lie, span: Span, now: datetime, *, subject: str | None = None) -> Finding:
        """The finding of an answer that stayed wrong; `span` is what is not proven for it.

        `subject`: its name, where that is not told by where the span begins.
        """
        if subject is None:
            known = (each for each in self._subjects.values() if _begins_in(each, span))
            subject = next(known, None) or _subject(span)
        finding = Finding(
            FindingClass.ANSWER_WRONG,
            None,
            now,
            subject=subject,
            emabler={"code": lie.code},
            end=span.start if subject == _TO_COME else _start(subject),
        )
        self._subjects[finding.about] = subject
        return finding

    def answered(self, span: Span) -> list[str]:
        """What an answer that does not lie settles: what was known to begin in its span."""
        return self._settle(lambda subject: _begins_in(subject, span))

    def about(self, subject: str) -> str | None:
        """The `Finding.about` of a lie that is known by this name; None where none is."""
        return next((about for about, each in self._subjects.items() if each == subject), None)

    def settled(self, subject: str) -> list[str]:
        """What is settled where something with a name without an instant lies no more."""
        return self._settle(lambda each: each == subject)

    def _settle(self, is_settled: Callable[[str], bool]) -> list[str]:
        settled = [about for about, each in self._subjects.items() if is_settled(each)]
        for about in settled:
            del self._subjects[about]
        return settled


def _subject(span: Span) -> str:
    if span.end is None:
        return _TO_COME
    return _FROM + (format_instant(span.start) if span.start else _BEGINNING)


def _start(subject: str) -> datetime | None:
    return parse_instant(subject.removeprefix(_FROM))


def _begins_in(subject: str, span: Span) -> bool:
    if subject == _TO_COME:
        return span.end is None
    if not subject.startswith(_FROM):
        return False
    start = _start(subject)
    return span.start is None if start is None else span.owns(start)
