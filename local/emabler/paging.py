"""Pages as the documentation describes them: from 1, with the total and what lies beside."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from local.emabler.errors import BadSortKeyError, BadValueError
from local.emabler.records import TIME_FIELDS, instant

DEFAULT_LIMIT = 100


class Page(msgspec.Struct, rename="camel"):
    """The answer of every list."""

    page: int
    limit: int
    total_records: int
    has_next_page: bool
    has_previous_page: bool
    items: list[Any]


class PageRequest(msgspec.Struct, frozen=True):
    """Which part of a list is asked for, and in which order."""

    page: int = 1
    limit: int = DEFAULT_LIMIT
    sort_key: str = ""
    sort_descending: bool = False

    def check(self, most: int) -> None:
        """Refuse a page below 1 and a limit outside 1..most.

        Raises:
            BadValueError: naming the field.
        """
        if self.page < 1:
            raise BadValueError("page", "must be 1 or more")
        if not 1 <= self.limit <= most:
            raise BadValueError("limit", f"must be between 1 and {most}")


def page_of[T](
    records: Sequence[T],
    asked: PageRequest,
    *,
    keys: dict[str, str],
    default_key: str,
    show: Callable[[T], object] = lambda record: record,
) -> Page:
    """Sort the records, cut the page out and show its items.

    Args:
        records: everything that the filters let through.
        asked: the page and the order.
        keys: sort keys in lower case → the record's field.
        default_key: the field that orders when no key is given.
        show: makes the item of the wire from a record.

    Raises:
        BadSortKeyError: the sort key is not in `keys`.
    """
    field = keys.get(asked.sort_key.lower()) if asked.sort_key else default_key
    if field is None:
        raise BadSortKeyError(asked.sort_key)
    text = attrgetter(field)

    def value(record: T) -> Any:  # noqa: ANN401 - fields of any type order a list
        found = text(record)
        return instant(found) if found and field in TIME_FIELDS else found

    # Absent values come first, as nulls do in the databases behind such services; Python's sort
    # is stable, so equal values keep the order of the books.
    present = [record for record in records if value(record) is not None]
    absent = [record for record in records if value(record) is None]
    ordered = absent + sorted(present, key=value)
    if asked.sort_descending:
        ordered = sorted(present, key=value, reverse=True) + absent
    first = (asked.page - 1) * asked.limit
    return Page(
        page=asked.page,
        limit=asked.limit,
        total_records=len(ordered),
        has_next_page=first + asked.limit < len(ordered),
        has_previous_page=asked.page > 1,
        items=[show(record) for record in ordered[first : first + asked.limit]],
    )
