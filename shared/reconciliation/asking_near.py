"""Asks eMabler for sessions by charger and start: for what no transaction id names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.emabler.calls import FinishedSessionsQuery
from shared.emabler.client import EmablerClient
from shared.emabler.models.sessions import FinishedSession, read_finished_session
from shared.emabler.paging import Page
from shared.errors import RestUnavailableError
from shared.reconciliation.failing import failed_here
from shared.reconciliation.pairing import agree
from shared.reconciliation.spans import Budget
from shared.sessions.plausibility import AGREEMENT

_ROUNDING = timedelta(seconds=1)
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Near:
    """Where and when a session began; `socket` None: on any socket."""

    charger: str
    socket: int | None
    start: datetime


@dataclass(frozen=True, slots=True)
class Heard:
    """A finished session, and the instant before it was asked for."""

    session: FinishedSession
    observed: datetime


@dataclass(frozen=True, slots=True)
class NearBy:
    """What was found; `unanswered` are those of which no answer was whole: nothing is known."""

    heard: tuple[Heard, ...]
    unanswered: frozenset[Near]


async def ask_near(client: EmablerClient, asked: Iterable[Near], budget: Budget) -> NearBy:
    """Ask for finished sessions that began there and then, one request each.

    Raises:
        BudgetSpentError: Nothing more may be asked.
        RestUnavailableError: eMabler is throttling, away, or failing whatever it is asked.
        RestRefusedError: The key, a permission or the request is wrong.
    """
    heard: list[Heard] = []
    unanswered: set[Near] = set()
    for near in dict.fromkeys(asked):
        page = await _whole_page(client, near, budget)
        if page is None:
            unanswered.add(near)
            continue
        read = [read_finished_session(item, client.drift) for item in page.items]
        heard += [Heard(each, page.asked) for each in read if each and _is_there(each, near)]
    return NearBy(tuple(heard), frozenset(unanswered))


async def _whole_page(client: EmablerClient, near: Near, budget: Budget) -> Page | None:
    within = AGREEMENT + _ROUNDING
    query = FinishedSessionsQuery(
        chargers=[near.charger],
        started_from=near.start - within,
        started_to=near.start + within,
    )
    for _ in range(_TRIES):
        budget.check()
        try:
            page = await client.finished_sessions(query)
        except RestUnavailableError as error:
            await failed_here(client, error, budget)
            return None
        if page.holds_all:
            return page
    return None


def _is_there(session: FinishedSession, near: Near) -> bool:
    return (
        session.charger == near.charger
        and (near.socket is None or session.socket == near.socket)
        and session.start is not None
        and agree(session.start, near.start)
    )
