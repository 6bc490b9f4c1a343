"""Pages as the documentation describes them: from 1, with the total and what lies beside."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from local.emabler.errors import BadSortKeyError, BadValueError

DEFAULT_LIMIT = 100
INT32_MOST = 2**31 - 1


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
    sort_key: str | None = None
    sort_descending: bool = False

    def check(self, most: int) -> None:
        """Refuse a page that is no int32 from 1 on, and a limit outside 1..most.

        Raises:
            BadValueError: naming the field.
        """
        if not 1 <= self.page <= INT32_MOST:
            raise BadValueError("page", f"must be between 1 and {INT32_MOST}")
        if not 1 <= self.limit <= most:
            raise BadValueError("limit", f"must be between 1 and {most}")


def page_of(
    rows: Sequence[Any],
    asked: PageRequest,
    *,
    show: Callable[[Any], object] = lambda record: record,
) -> Page:
    """Cut a page out of the rows, in their order, and make its items with `show`."""
    first = (asked.page - 1) * asked.limit
    return Page(
        page=asked.page,
        limit=asked.limit,
        total_records=len(rows),
        has_next_page=first + asked.limit < len(rows),
        has_previous_page=asked.page > 1,
        items=[show(record) for record in rows[first : first + asked.limit]],
    )


def order_of(asked: PageRequest, keys: Mapping[str, str], default_key: str) -> str:
    """Give the field that orders.

    Args:
        asked: its sort key counts in any case; without one the default does.
        keys: sort keys of the wire → the record's field.
        default_key: the field that orders when no key is given.

    Raises:
        BadSortKeyError: the sort key is not known.
    """
    if asked.sort_key is None:
        return default_key
    wanted = asked.sort_key.lower()
    for key, field in keys.items():
        if key.lower() == wanted:
            return field
    raise BadSortKeyError(asked.sort_key, tuple(keys))
