"""Pages that move, are short, empty or wrong, or hold what was not asked for.

What a page holds back follows on the next one (see `walks`): a caller who follows `hasNextPage`
meets every row, unless rows were removed before a page.
"""

from collections.abc import Hashable
from datetime import datetime
from typing import Any

import msgspec

from local.emabler.errors import PoisonedRowError
from local.emabler.faults.plan import Plan
from local.emabler.faults.rules import FaultName, Rule
from local.emabler.faults.sessions import SessionFaults
from local.emabler.faults.values import VALUE_FAULTS
from local.emabler.faults.walks import Walk, Walks
from local.emabler.operations import Reading, Show
from local.emabler.paging import Page, PageRequest
from local.emabler.records import FinishedSession
from local.emabler.views import Rows, View

_MOST_ROWS = 3


class State(msgspec.Struct, kw_only=True):
    """What the faults remember from call to call."""

    sessions: SessionFaults = msgspec.field(default_factory=SessionFaults)
    walks: Walks = msgspec.field(default_factory=Walks)


class FaultyReading:
    """The books as a call sees them that some faults want.

    Attributes:
        suffered: the faults that made a difference, in the order in which they did.
    """

    def __init__(
        self,
        plain: Reading,
        state: State,
        *,
        plan: Plan,
        wanting: dict[FaultName, Rule],
        number: int,
        now: datetime,
        path: str,
    ) -> None:
        self.suffered: list[FaultName] = []
        self._plain = plain
        self._state = state
        self._plan = plan
        self._wanting = wanting
        self._number = number
        self._now = now
        self._path = path

    def view(self, shelf: str) -> View[Any]:
        """Give a shelf; that of the sessions as late and changing ones let it be seen."""
        view = self._plain.view(shelf)
        late = self._wanting.get("late_sessions")
        changing = self._wanting.get("changing_sessions")
        if shelf != "sessions" or (late is None and changing is None):
            return view
        sessions, none = self._state.sessions, frozenset[int]()
        hidden = sessions.hidden(view, self._plan, late, self._now) if late else none
        drafts = sessions.drafts(view, self._plan, changing, self._now) if changing else none
        self._note("late_sessions", happened=bool(hidden))
        self._note("changing_sessions", happened=bool(drafts))
        return sessions.shown(view, self._plan, hidden, drafts)

    def page(self, rows: Rows[Any], asked: PageRequest, show: Show = lambda record: record) -> Page:
        """Cut a page out of the rows, and let go wrong what the plan says."""
        walk = self._walk(rows, asked)
        self._move(walk, asked)
        first = walk.first_row(asked.page, asked.limit)
        whole = rows[first : first + asked.limit]
        kept, strangers = self._chosen(rows, whole, asked.limit)
        is_next = first + len(kept) < len(rows)
        walk.held[asked.page] = asked.limit - len(kept) if is_next else 0
        self._refuse_poison([*kept, *strangers])
        if "changing_sessions" in self._wanting:
            self._state.sessions.listed(kept, self._now)
        return Page(
            page=asked.page,
            limit=asked.limit,
            total_records=self._total(len(rows) + sum(walk.inserted.values())),
            has_next_page=is_next or "empty_page_with_more" in self._wanting,
            has_previous_page=asked.page > 1,
            items=[self._item(record, show) for record in (*kept, *strangers)],
        )

    def _refuse_poison(self, records: list[Any]) -> None:
        """Fail as a service does that cannot write one of the sessions of a page."""
        rule = self._wanting.get("poisoned_sessions")
        sessions = [each for each in records if isinstance(each, FinishedSession)]
        if rule and any(
            self._plan.draw("poisoned_sessions", each.id) < rule.rate for each in sessions
        ):
            self._note("poisoned_sessions")
            raise PoisonedRowError

    def _walk(self, rows: Rows[Any], asked: PageRequest) -> Walk:
        name: Hashable = (self._path, rows.name, msgspec.structs.replace(asked, page=1))
        walk = self._state.walks.walk(name)
        walk.forget_from(asked.page)
        return walk

    def _move(self, walk: Walk, asked: PageRequest) -> None:
        rule = self._wanting.get("moving_pages")
        if rule is not None and asked.page > 1:
            how = rule.how or self._plan.choose(
                ("inserted", "removed"), "moving_pages", self._number
            )
            number = self._how_many("moving_pages", asked.limit)
            walk.inserted[asked.page] = number if how == "inserted" else -number
            self._note("moving_pages")

    def _chosen(self, rows: Rows[Any], whole: list[Any], limit: int) -> tuple[list[Any], list[Any]]:
        """Give the rows of the page that it keeps, and those that do not belong there."""
        if "empty_page_with_more" in self._wanting:
            self._note("empty_page_with_more")
            return [], []
        kept, strangers = whole, list[Any]()
        if "short_page" in self._wanting and len(kept) == limit > 1 and kept[-1] is not rows[-1]:
            kept = kept[: -self._how_many("short_page", len(kept) - 1)]
            self._note("short_page")
        if "repeated_rows" in self._wanting:
            strangers += self._some(kept, "repeated_rows", limit - 1)
        if "outside_window" in self._wanting:
            room = limit - 1 - len(strangers)
            strangers += self._some(self._outside(rows), "outside_window", room)
        return kept[: limit - len(strangers)], strangers

    def _some(self, others: list[Any], fault: FaultName, room: int) -> list[Any]:
        """Give some of the rows that are to stand beside those of a page, if there is room."""
        if not others or room < 1:
            return []
        self._note(fault)
        return others[: self._how_many(fault, room)]

    def _outside(self, rows: Rows[Any]) -> list[Any]:
        inside = {place for _, _, place in rows.keys}
        records = rows.view.records
        most = self._rows("outside_window")
        found = (record for place, record in enumerate(records) if place not in inside)
        return [record for record, _ in zip(found, range(most), strict=False)]

    def _total(self, total: int) -> int:
        if "wrong_total" not in self._wanting:
            return total
        self._note("wrong_total")
        wrong = (0, total - 1, total + 1, total + 100)
        others = tuple(each for each in wrong if each >= 0 and each != total)
        return self._plan.choose(others, "wrong_total", self._number)

    def _item(self, record: object, show: Show) -> object:
        shown = show(record)
        faults = [name for name in VALUE_FAULTS if name in self._wanting]
        if not faults:
            return shown
        item = msgspec.to_builtins(shown)
        for name in faults:
            before = msgspec.json.encode(item)
            VALUE_FAULTS[name](item, self._wanting[name], self._plan, self._number)
            self._note(name, happened=msgspec.json.encode(item) != before)
        return item

    def _how_many(self, fault: FaultName, most: int) -> int:
        among = tuple(range(1, max(1, min(self._rows(fault), most)) + 1))
        return self._plan.choose(among, fault, self._number, "rows")

    def _rows(self, fault: FaultName) -> int:
        return self._wanting[fault].rows or _MOST_ROWS

    def _note(self, fault: FaultName, *, happened: bool = True) -> None:
        if happened and fault not in self.suffered:
            self.suffered.append(fault)
