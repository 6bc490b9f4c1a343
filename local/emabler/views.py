"""Orders of a shelf, kept while its records change, so that a page costs no sort.

An order is a sorted list of keys `(is there a value, the value, place in the shelf)`. Records
without a value come first, as nulls do in the databases behind such services; equal values keep
the order of the shelf, and a descending list is the exact reverse. A record that comes or changes
is put into the orders that there are; a range of time is found by halving.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import datetime
from functools import cache
from math import inf
from operator import attrgetter
from typing import Any

import msgspec

from local.emabler.records import LATEST, TIME_FIELDS, instant

type Key = tuple[bool, Any, int]

_ANSWERS_KEPT = 16
_FEW = 8


class Span(msgspec.Struct, frozen=True):
    """A range of time; a bound that is None sets no limit. Whether bounds belong to it is told."""

    first: datetime | None = None
    last: datetime | None = None
    first_included: bool = True
    last_included: bool = True

    @property
    def limits(self) -> bool:
        """Whether it leaves anything out."""
        return self.first is not None or self.last is not None

    def holds(self, moment: datetime | None) -> bool:
        """Whether an instant lies within; what has none lies nowhere."""
        low, high = self._edges()
        return moment is not None and low <= (True, moment, 0) < high

    def within(self, order: list[Key]) -> tuple[int, int]:
        """Where in an order by time the range begins and ends."""
        low, high = self._edges()
        return bisect_left(order, low), bisect_left(order, high)

    def _edges(self) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        # Behind (True, t) lie all keys of the instant t, before (True, t, inf) too.
        behind: tuple[Any, ...] = (True, LATEST, inf)
        low: tuple[Any, ...] = (True,)
        if self.first is not None:
            low = (True, self.first) if self.first_included else (True, self.first, inf)
        if self.last is not None:
            behind = (True, self.last, inf) if self.last_included else (True, self.last)
        return low, behind


class Query[T](msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a shelf.

    Attributes:
        name: the filters as a value, so that an answer can be kept for the next page.
        by: the field that orders.
        descending: whether the order is reversed.
        spans: time fields and the ranges that they must lie in.
        wanted: whether a record meets the other filters; None lets all through.
    """

    name: Hashable
    by: str
    descending: bool = False
    spans: Mapping[str, Span] = {}
    wanted: Callable[[T], bool] | None = None

    def lets_through(self, record: T) -> bool:
        """Whether a record meets every filter."""
        return all(
            not span.limits or span.holds(_value_of(field)(record))
            for field, span in self.spans.items()
        ) and (self.wanted is None or self.wanted(record))


class View[T]:
    """A shelf and its orders. Changes are told with `added` and `replaced`."""

    def __init__(self, records: list[T]) -> None:
        self.records = records
        self.version = 0
        self.length = len(records)
        # By field: the keys in order, and by place. A record may be changed where it lies, so
        # what its key was cannot be asked of it.
        self._orders: dict[str, list[Key]] = {}
        self._keys: dict[str, list[Key]] = {}
        self._answers: OrderedDict[Hashable, tuple[Query[T], list[Key]]] = OrderedDict()

    def added(self) -> None:
        """Take notice of a record at the end of the shelf."""
        place = self.length
        self.length += 1
        for field, keys in self._keys.items():
            keys.append(_key(field, self.records[place], place))
            insort(self._orders[field], keys[place])
        self.version += 1
        self._forget_answers_with(self.records[place])

    def replaced(self, place: int) -> None:
        """Take notice of another record at a place, or of the same one with other content."""
        for field, keys in self._keys.items():
            order = self._orders[field]
            del order[bisect_left(order, keys[place])]
            keys[place] = _key(field, self.records[place], place)
            insort(order, keys[place])
        self.version += 1
        self._answers.clear()

    def order(self, field: str) -> list[Key]:
        """Give the shelf in the order of one field."""
        if field not in self._orders:
            keys = [_key(field, record, place) for place, record in enumerate(self.records)]
            self._keys[field] = keys
            self._orders[field] = sorted(keys)
        return self._orders[field]

    def select(self, query: Query[T]) -> "Rows[T]":
        """Find the records that a query lets through, in its order."""
        name = (query.name, query.by, query.descending)
        if name not in self._answers:
            self._answers[name] = (query, self._select(query))
            if len(self._answers) > _ANSWERS_KEPT:
                self._answers.popitem(last=False)
        self._answers.move_to_end(name)
        return Rows(self, self._answers[name][1], query.name)

    def _select(self, query: Query[T]) -> list[Key]:
        spans = {field: span for field, span in query.spans.items() if span.limits}
        field, low, high = self._narrowest(query.by, spans)
        keys = self.order(field)[low:high]
        for other, span in spans.items():
            if other != field and not self._covers(other, span):
                value = _value_of(other)
                keys = [key for key in keys if span.holds(value(self.records[key[2]]))]
        if query.wanted is not None:
            keys = [key for key in keys if query.wanted(self.records[key[2]])]
        if field != query.by:
            keys = self._in_order(query.by, [place for _, _, place in keys])
        return keys[::-1] if query.descending else keys

    def _covers(self, field: str, span: Span) -> bool:
        return span.within(self.order(field)) == (0, self.length)

    def _in_order(self, field: str, places: list[int]) -> list[Key]:
        """Bring places into an order: a few by a sort, many by leaving the others out of it."""
        if len(places) * _FEW < self.length:
            return sorted(_key(field, self.records[place], place) for place in places)
        among = bytearray(self.length)
        for place in places:
            among[place] = 1
        return [key for key in self.order(field) if among[key[2]]]

    def _narrowest(self, by: str, spans: Mapping[str, Span]) -> tuple[str, int, int]:
        """Find the range that leaves least; without any, the whole in the order asked for."""
        ranges = [(name, *span.within(self.order(name))) for name, span in spans.items()]
        whole = (by, 0, self.length)
        return min([whole, *ranges], key=lambda each: (each[2] - each[1], each[0] != by))

    def _forget_answers_with(self, record: T) -> None:
        """Forget the answers that a new record belongs to; a walk elsewhere goes on undisturbed."""
        answers = self._answers.items()
        for name in [name for name, (query, _) in answers if query.lets_through(record)]:
            del self._answers[name]


class Rows[T](Sequence[T]):
    """Some records of a view, in order, and the name of the filters. Slices are lists."""

    def __init__(self, view: View[T], keys: Sequence[Key], name: Hashable) -> None:
        self.view = view
        self.keys = keys
        self.name = name

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: Any) -> Any:  # noqa: ANN401 - one record, or a list of them
        if isinstance(index, slice):
            return [self.view.records[place] for _, _, place in self.keys[index]]
        return self.view.records[self.keys[index][2]]


@cache
def _value_of(field: str) -> Callable[[Any], Any]:
    read = attrgetter(field)
    if field not in TIME_FIELDS:
        return read

    def time(record: object) -> datetime | None:
        text = read(record)
        return instant(text) if text else None

    return time


def _key(field: str, record: object, place: int) -> Key:
    value = _value_of(field)(record)
    return (value is not None, value, place)
