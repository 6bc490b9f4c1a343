"""What an operator sets of reconciliation, and what one run did so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.emabler.retries import Counts
from shared.errors import EmablerFunctionsError
from shared.reconciliation.passes import Schedule
from shared.reconciliation.runs import Outcome, RunRow
from shared.reconciliation.spans import Picture, Span

MOST_SECONDS = 480.0
"""How long a run of the timer lasts at most: Azure ends one after ten minutes on some plans."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the operator set.

    `first`: how far back the first run begins. `overlap`: how much of what is proven the front
    walks again. `settling`: a session that ended just now may not be in eMabler's list yet.
    `lease` has to outlast the longest step of a run. `behind_requests`: requests of one run behind
    the front. `seconds`: how long a run lasts at most.
    """

    first: timedelta
    overlap: timedelta
    settling: timedelta
    lease: timedelta
    behind_requests: int
    schedule: Schedule
    seconds: float = MOST_SECONDS


@dataclass(slots=True, kw_only=True)
class Run:
    """What one run did so far.

    `sessions` are counts by what came of a session, `met` findings by class, `new` those of them
    that no run met before, `passes` windows by pass; `open` is how many findings are open after it,
    `push_silent` whether a finding is open that push tells nothing (None: the run did not come to
    look), `oldest_proof` the oldest among the days that are walked again, told once an hour. Of a
    walk by hand, `left_out` are spans of which eMabler lied, `stopped` is where it then gave up.
    """

    id: str
    holder: str
    began: datetime
    ended: datetime | None = None
    complete: bool = True
    windows: int = 0
    pages: int = 0
    front: datetime | None = None
    open: int = 0
    push_silent: bool | None = None
    oldest_proof: datetime | None = None
    sessions: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    new: Counter[str] = field(default_factory=Counter)
    passes: Counter[str] = field(default_factory=Counter)
    left_out: list[Span] = field(default_factory=list)
    stopped: datetime | None = None
    error: EmablerFunctionsError | None = None

    def count(self, name: str, picture: Picture, counts: Counter[str]) -> None:
        """Count a window of a pass."""
        self.windows += 1
        self.passes[name] += 1
        self.pages += picture.pages
        self.sessions += counts

    def leave_out(self, span: Span, left: Span | None, *, goes_on: bool) -> None:
        """Note a span of which eMabler lies; what is `left` behind it is asked for, or not."""
        self.complete = False
        self.left_out.append(span)
        if left is not None and not goes_on:
            self.stopped = left.start

    def tell(self, told: Told, whole: Span, part: Span) -> None:
        """Tell how far the walk over `whole` is after `part`, where both have their bounds."""
        if whole.start is not None and whole.end is not None and part.end is not None:
            told(Progress(whole.start, whole.end, part.end, self))

    def row(self, counts: Counts, outcome: Outcome) -> RunRow:
        """What is kept of it."""
        return RunRow(
            id=self.id,
            began=self.began,
            holder=self.holder,
            ended=self.ended,
            outcome=outcome,
            complete=self.complete,
            windows=self.windows,
            pages=self.pages,
            requests=counts.requests,
            retries=counts.retries,
            throttled=counts.throttled,
            front=self.front,
            sessions=dict(self.sessions),
            found=dict(self.new),
            passes=dict(self.passes),
            oldest_proof=self.oldest_proof,
            error=None if self.error is None else f"{self.error.code}: {self.error}",
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a walk over the session ends from `start` to `end` is."""

    start: datetime
    end: datetime
    at: datetime
    run: Run


type Told = Callable[[Progress], None]


def nobody_told(_progress: Progress) -> None:
    """Where nobody looks on."""
