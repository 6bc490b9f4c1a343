"""One documented read: its path, the permission that it needs, and what answers it."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

import msgspec
from aiohttp import web

from local.emabler.books import Books
from local.emabler.habits import Permission
from local.emabler.paging import Page, PageRequest, page_of
from local.emabler.views import Rows, View

type OperationName = Literal["transactions", "ongoing", "chargers", "tags", "push"]
type Show = Callable[[Any], object]


class Reading(Protocol):
    """What one call sees of the books: they themselves, or faults in between."""

    def view(self, shelf: str) -> View[Any]:
        """Give a shelf."""

    def page(self, rows: Rows[Any], asked: PageRequest, show: Show = ...) -> Page:
        """Cut the page that is asked for out of the rows that the filters let through."""


class PlainReading:
    """The books as they are."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def view(self, shelf: str) -> View[Any]:
        """Give a shelf."""
        return self._books.view(shelf)

    def page(self, rows: Rows[Any], asked: PageRequest, show: Show = lambda record: record) -> Page:
        """Cut the page that is asked for out of the rows that the filters let through."""
        return page_of(rows, asked, show=show)


type Answer = Callable[[web.Request, Reading], Awaitable[web.Response]]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A read.

    Attributes:
        name: what faults call it; the two versions of transactions have one name.
        method: the HTTP method.
        path: below the base path, with a version of its own.
        permission: what the key's operator must be allowed. Which read needs which is our
            reading of the permissions' names; it is not documented.
        answer: answers a call from a reading of the books.
    """

    name: OperationName
    method: Literal["GET", "POST"]
    path: str
    permission: Permission
    answer: Answer
