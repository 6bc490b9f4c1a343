"""Walk eMabler's finished sessions, page by page, and put what is missing into the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.emabler.calls import FinishedSessionsQuery
from shared.emabler.client import EmablerClient
from shared.emabler.models.sessions import FinishedSession, read_finished_session
from shared.instants import Clock
from shared.reconciliation.outcomes import Outcome, outcome_of
from shared.reconciliation.rest_claims import rest_claim
from shared.sessions.writer import SessionWriter

SETTLING = timedelta(minutes=2)
"""A session that ended just now may not be in eMabler's list yet."""


@dataclass(slots=True)
class Run:
    """What one run did; energy and prices are in the store, not here.

    `walk_agrees` False: the answers named other totals than came, so that the walk may have missed
    sessions that the next one finds.
    """

    window_start: datetime
    window_end: datetime
    pages: int = 0
    walk_agrees: bool = True
    sessions: Counter[str] = field(default_factory=Counter)


class Reconciliation:
    """Walks a range of session ends and repairs."""

    def __init__(self, client: EmablerClient, sessions: SessionWriter, *, clock: Clock) -> None:
        self._client = client
        self._sessions = sessions
        self._clock = clock

    async def run(self, lookback: timedelta) -> Run:
        """Reconcile the sessions that ended within `lookback`.

        Raises:
            TransientError: REST or the store is away; what was done stays, the next run goes on.
            RestRefusedError: The key or a permission is wrong.
        """
        now = self._clock()
        run = Run(now - lookback, now - SETTLING)
        query = FinishedSessionsQuery(ended_from=run.window_start, ended_to=run.window_end)
        walk = self._client.walk_finished_sessions(query)
        async for page in walk:
            sessions = [read_finished_session(item, self._client.drift) for item in page.items]
            known = [session for session in sessions if session is not None]
            run.sessions[Outcome.UNIDENTIFIED] += page.rows - len(known)
            await self._store(known, page.asked, run)
            run.pages += 1
        run.walk_agrees = walk.agrees
        run.sessions += Counter()  # drops classes that nothing was counted in
        return run

    async def _store(
        self, sessions: Sequence[FinishedSession], observed: datetime, run: Run
    ) -> None:
        written = await self._sessions.write(rest_claim(session, observed) for session in sessions)
        run.sessions.update(map(outcome_of, written))
