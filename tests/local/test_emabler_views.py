"""The orders of a shelf: kept through every change, equal to a sort of everything."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from local.emabler.books import Books
from local.emabler.records import Charger, instant
from local.emabler.views import Query, Span, View

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
MINUTES = st.integers(0, 9)


def text(minutes: int) -> str:
    return (NOON + timedelta(minutes=minutes)).isoformat()


CHARGERS = st.builds(
    lambda number, site, seen: Charger(
        id=number,
        charger_id=str(number),
        site_id=site,
        last_seen=None if seen is None else text(seen),
    ),
    st.integers(1, 12),
    st.integers(1, 3),
    st.none() | MINUTES,
)
SPANS = st.builds(
    Span,
    st.none() | MINUTES.map(lambda minutes: NOON + timedelta(minutes=minutes)),
    st.none() | MINUTES.map(lambda minutes: NOON + timedelta(minutes=minutes)),
    st.booleans(),
    st.booleans(),
)
QUERIES: st.SearchStrategy[Query[Charger]] = st.builds(
    lambda span, by, descending, site: Query(
        name=(span, site),
        by=by,
        descending=descending,
        spans={"last_seen": span},
        wanted=None if site is None else lambda charger: charger.site_id == site,
    ),
    SPANS,
    st.sampled_from(["id", "site_id", "last_seen"]),
    st.booleans(),
    st.none() | st.integers(1, 3),
)


def lies_in(span: Span, seen: str | None) -> bool:
    """The meaning of a span, said the long way."""
    if span.first is None and span.last is None:
        return True
    if seen is None:
        return False
    moment = instant(seen)
    after = span.first is None or (
        span.first <= moment if span.first_included else span.first < moment
    )
    before = span.last is None or (
        moment <= span.last if span.last_included else moment < span.last
    )
    return after and before


def sorted_out(chargers: list[Charger], query: Query[Charger]) -> list[int]:
    """What a query must find, by sorting everything."""

    def key(place: int) -> tuple[bool, Any, int]:
        value = getattr(chargers[place], query.by)
        if query.by == "last_seen":
            value = None if value is None else instant(value)
        return value is not None, value if value is not None else 0, place

    found = [
        place
        for place, charger in enumerate(chargers)
        if lies_in(query.spans["last_seen"], charger.last_seen)
        and (query.wanted is None or query.wanted(charger))
    ]
    ordered = sorted(found, key=key, reverse=query.descending)
    return [chargers[place].id for place in ordered]


@given(st.data())
def test_orders_follow_every_change(data: st.DataObject) -> None:
    """After additions, replacements, changes in place and removals a query finds what it must."""
    books = Books()

    def add() -> None:
        books.add("chargers", data.draw(st.lists(CHARGERS, max_size=4)))

    def put() -> None:
        books.put("chargers", data.draw(st.lists(CHARGERS, max_size=4)))

    def change_in_place() -> None:
        if books.shelves.chargers:
            charger = data.draw(st.sampled_from(books.shelves.chargers))
            charger.last_seen = text(data.draw(MINUTES))
            books.change("chargers", added=[charger])

    def remove() -> None:
        gone = data.draw(st.lists(CHARGERS, max_size=2))
        books.change("chargers", added=data.draw(st.lists(CHARGERS, max_size=1)), removed=gone)

    def look() -> None:
        query = data.draw(QUERIES)
        rows = books.view("chargers").select(query)
        assert [charger.id for charger in rows] == sorted_out(books.shelves.chargers, query)

    steps: list[Callable[[], None]] = [add, put, change_in_place, remove, look]
    for step in data.draw(st.lists(st.sampled_from(steps), max_size=12)):
        step()
    look()


class Counting:
    """A record that counts how often it is asked for its number."""

    asked = 0

    def __init__(self, number: int) -> None:
        self._number = number

    @property
    def number(self) -> int:
        Counting.asked += 1
        return self._number


def test_a_page_costs_no_sort() -> None:
    """Each record is looked at once; later pages look at none, an added record costs one look."""
    records = [Counting(number * 7 % 1000) for number in range(1000)]
    view = View(records)
    query = Query[Counting](name="all", by="number")
    Counting.asked = 0
    for first in range(0, 1000, 100):
        assert len(view.select(query)[first : first + 100]) == 100
    assert Counting.asked == 1000

    records.append(Counting(500))
    view.added()
    assert len(view.select(query)) == 1001
    assert Counting.asked == 1001
