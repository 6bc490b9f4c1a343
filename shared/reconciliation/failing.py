"""Whether a question that fails is a place at which eMabler fails, or eMabler is away."""

from __future__ import annotations

from datetime import timedelta

from shared.emabler.client import EmablerClient
from shared.errors import RestUnavailableError
from shared.instants import EPOCH_OF_CHARGERS
from shared.reconciliation.answers import Wrong
from shared.reconciliation.spans import Budget, Span

FAILING = "answer_fails"

BRIEFLY = 2.0
"""Seconds for all tries of a question that is part of one which fails: some three tries."""

_SECOND = timedelta(seconds=1)
_LONG_AGO = EPOCH_OF_CHARGERS - timedelta(days=200, seconds=4711)
_ELSEWHERE = Span(_LONG_AGO, _LONG_AGO + _SECOND)
"""A second in which no session ends, not even one of a clock that was never set."""


async def failed_here(client: EmablerClient, error: RestUnavailableError, budget: Budget) -> Wrong:
    """What is wrong with a question that failed after its tries, where another one is answered.

    EMabler answers such a question with an error for as long as there is, say, a row that it cannot
    write. Whoever is throttled, told when to come again, or not answered at all learns nothing of a
    place.

    Raises:
        RestUnavailableError: `error`: what is asked elsewhere is not answered either.
        BudgetSpentError, RestRefusedError: As of any question.
    """
    answered = error.status is not None and error.code != "rest_throttled"
    if not answered or error.retry_after is not None:
        raise error
    budget.check()
    try:
        await client.finished_sessions(_ELSEWHERE.query(), limit=1, within=0.0)
    except RestUnavailableError:
        raise error from None
    return Wrong(FAILING, f"{error.code}, status {error.status}, after {error.tries} tries")
