"""Finished sessions that appear late, or that change after they were listed once.

What is shown too early is a draft of the session in the books: nine tenths of its energy, no
prices yet, and for every second session (by draw) an end that lies before the true one. The books
have the truth all the time.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from local.emabler.faults.plan import Plan
from local.emabler.faults.rules import Rule
from local.emabler.records import LATEST, FinishedSession, instant
from local.emabler.views import Span, View

_LATE_SECONDS = 3600.0
_EARLIER = timedelta(seconds=90)


class _Seen(msgspec.Struct):
    """The shelf as it was shown last: made from what, with which drafts, at which places."""

    name: object
    drafts: frozenset[int]
    view: View[FinishedSession]
    places: dict[int, int]


class SessionFaults:
    """Remembers which sessions were listed when, and the view that was shown last."""

    def __init__(self) -> None:
        self._listed: dict[int, datetime] = {}
        self._draws: dict[tuple[str, int, int], float] = {}
        self._drawn: tuple[object, frozenset[int]] = (None, frozenset())
        self._seen: _Seen | None = None

    def listed(self, sessions: list[FinishedSession], now: datetime) -> None:
        """Take notice that sessions went out in an answer."""
        for session in sessions:
            self._listed.setdefault(session.id, now)

    def hidden(
        self, view: View[FinishedSession], plan: Plan, rule: Rule, now: datetime
    ) -> frozenset[int]:
        """Give the ids of the sessions that are not to be seen yet."""
        delay = _LATE_SECONDS if rule.seconds is None else rule.seconds
        order = view.order("timestamp_end")
        young = Span(first=now - timedelta(seconds=delay), first_included=False)
        low, high = young.within(order)
        recent = (view.records[place].id for _, _, place in order[low:high])
        return frozenset(
            each for each in recent if self._draw(plan, "late_sessions", each) < rule.rate
        )

    def drafts(
        self, view: View[FinishedSession], plan: Plan, rule: Rule, now: datetime
    ) -> frozenset[int]:
        """Give the ids of the sessions that are to be seen as drafts."""
        name = (view, view.version, plan.seed, rule.rate)
        if self._drawn[0] != name:
            ids = (session.id for session in view.records)
            drawn = (
                each for each in ids if self._draw(plan, "changing_sessions", each) < rule.rate
            )
            self._drawn = (name, frozenset(drawn))
        before = now - timedelta(seconds=rule.seconds or 0.0)
        return frozenset(each for each in self._drawn[1] if self._listed.get(each, LATEST) > before)

    def shown(
        self,
        view: View[FinishedSession],
        plan: Plan,
        hidden: frozenset[int],
        drafts: frozenset[int],
    ) -> View[FinishedSession]:
        """Give the shelf without the hidden sessions, with drafts in the place of others."""
        name = (view, view.version, plan.seed, hidden)
        if not hidden and not drafts:
            return view
        if self._seen is None or self._seen.name != name or not drafts <= self._seen.drafts:
            records = [session for session in view.records if session.id not in hidden]
            shown = [_draft(each, plan) if each.id in drafts else each for each in records]
            places = {session.id: place for place, session in enumerate(records)}
            self._seen = _Seen(name, drafts, View(shown), places)
        if drafts != self._seen.drafts:
            self._become(self._seen, view, drafts)
        return self._seen.view

    def _become(self, seen: _Seen, view: View[FinishedSession], drafts: frozenset[int]) -> None:
        """Let the drafts that were listed become what the books say."""
        true = seen.drafts - drafts
        for session in view.records:
            if session.id in true:
                place = seen.places[session.id]
                seen.view.records[place] = session
                seen.view.replaced(place)
        seen.drafts = drafts

    def _draw(self, plan: Plan, fault: str, session: int) -> float:
        name = (fault, plan.seed, session)
        value = self._draws.get(name)
        if value is None:
            value = self._draws[name] = plan.draw(fault, session)
        return value


def _draft(session: FinishedSession, plan: Plan) -> FinishedSession:
    changes: dict[str, Any] = {
        "total_cost_incl_vat": None,
        "total_cost_excl_vat": None,
        "total_vat_amount": None,
        "full_consumption_wh": session.full_consumption_wh * 9 // 10,
        "full_consumption_k_wh": None,
        "operation_timestamp": None,
    }
    if session.full_consumption_wh == 0 or plan.draw("draft", session.id) < 1 / 2:
        start, end = instant(session.timestamp_start), instant(session.timestamp_end)
        earlier = end - min(_EARLIER, max(end - start, timedelta()) / 2)
        changes["timestamp_end"] = earlier.astimezone(UTC).isoformat().replace("+00:00", "Z")
        changes["transaction_length_minutes"] = None
    return msgspec.structs.replace(session, **changes)
