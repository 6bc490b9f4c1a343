"""Pages of a list, and walks over them that end, whatever the server says.

A walk is no proof: rows move while it goes on. Only one page that holds everything is a consistent
picture (`Page.holds_all`).
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.emabler.models.reading import Drift, Flaw, finite
from shared.emabler.models.sessions import content_of
from shared.errors import RestUnavailableError

MOST_PAGES = 10_000
_SPARE_PAGES = 20


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: its items as they came, and what the answer says of the others.

    `has_next` None: the answer does not say. `unreadable` counts items that are no objects.
    `asked` is the instant before the request that was answered was sent.
    """

    number: int
    items: tuple[Mapping[str, Any], ...]
    total: int | None
    has_next: bool | None
    asked: datetime
    unreadable: int = 0

    @property
    def rows(self) -> int:
        """How many rows the page has, readable or not."""
        return len(self.items) + self.unreadable

    @property
    def holds_all(self) -> bool:
        """Whether this one answer holds the whole list: the only consistent picture there is."""
        return self.number == 1 and self.has_next is False and self.rows == self.total


def read_page(answer: object, number: int, asked: datetime, drift: Drift | None = None) -> Page:
    """Read a list's answer.

    Raises:
        ValueError: It has not the shape of a page.
    """
    if not isinstance(answer, dict) or not isinstance(answer.get("items"), list):
        raise ValueError("the answer is no page: it has no list of items")  # noqa: TRY004 - a wrong answer, not a wrong argument
    rows = answer["items"]
    items = tuple(row for row in rows if isinstance(row, dict))
    total, has_next = _total(answer.get("totalRecords")), _has_next(answer.get("hasNextPage"))
    if drift is not None:
        drift.items["page"] += 1
        drift.relied_on |= {("page", name) for name in ("items", "totalRecords", "hasNextPage")}
        for name, value in (("totalRecords", total), ("hasNextPage", has_next)):
            if value is None:
                flaw = Flaw.REQUIRED_MISSING if answer.get(name) is None else Flaw.WRONG_TYPE
                drift.note("page", name, flaw)
        if len(items) < len(rows):
            drift.note("page", "items", Flaw.WRONG_TYPE)
    return Page(number, items, total, has_next, asked, len(rows) - len(items))


def _total(value: object) -> int | None:
    number = finite(value)
    return int(number) if number is not None and number.is_integer() and number >= 0 else None


def _has_next(value: object) -> bool | None:
    match value:
        case bool():
            return value
        case str() if value.strip().lower() in ("true", "false"):
            return value.strip().lower() == "true"
    return None


class Walk:
    """Walks a list from page 1 on, as long as an answer says that there is a next page.

    Where an answer does not say, a full page is taken for one that has a next. An empty page ends
    the walk whatever it says. What could go on for ever ends with an error: a page that came
    before, and more pages than twice what the first answer's total needs and some.

    Iterate it once; afterwards `rows` and `agrees` say what came.
    """

    def __init__(self, ask: Callable[[int], Awaitable[Page]], *, what: str, limit: int) -> None:
        self.pages = 0
        self.rows = 0
        self.unreadable = 0
        self.total: int | None = None
        self._ask = ask
        self._what = what
        self._limit = limit
        self._steady = True
        self._ended = False
        self._seen: dict[bytes, int] = {}

    @property
    def agrees(self) -> bool:
        """Whether it came to its end, all answers named one total, and so many rows came."""
        return self._ended and self._steady and self.rows == self.total

    async def __aiter__(self) -> AsyncIterator[Page]:
        """The pages, in order.

        Raises:
            RestUnavailableError: Throttled, failing, away, unreadable; or the walk would not end:
                `rest_pages_repeat`, `rest_pages_endless`.
            RestRefusedError: The key, a permission or the request is wrong.
        """
        most = MOST_PAGES
        while True:
            page = await self._ask(self.pages + 1)
            if self.pages == 0:
                self.total = page.total
                most = self._most(page)
            self._count(page)
            more = self._goes_on(page)
            if more:
                self._refuse_repeats(page)
                if self.pages >= most:
                    raise self._endless()
            else:
                self._ended = not page.has_next
            yield page
            if not more:
                return

    def _count(self, page: Page) -> None:
        self.pages += 1
        self.rows += page.rows
        self.unreadable += page.unreadable
        self._steady = self._steady and page.total is not None and page.total == self.total
        self.total = page.total

    def _goes_on(self, page: Page) -> bool:
        if not page.rows:
            return False
        return page.rows >= self._limit if page.has_next is None else page.has_next

    @staticmethod
    def _most(first: Page) -> int:
        if first.total is None or not first.rows:
            return MOST_PAGES
        return min(MOST_PAGES, 2 * (first.total // first.rows) + _SPARE_PAGES)

    def _refuse_repeats(self, page: Page) -> None:
        digest = hashlib.blake2b(digest_size=16)
        for item in page.items:
            digest.update(content_of(item))
        before = self._seen.setdefault(digest.digest(), page.number)
        if before != page.number:
            message = (
                f"{self._what}: page {page.number} is page {before} again, and a next one is "
                "promised: the server does not turn pages, or its rows move as they are read"
            )
            raise RestUnavailableError(message, code="rest_pages_repeat")

    def _endless(self) -> RestUnavailableError:
        return RestUnavailableError(
            f"{self._what}: after {self.pages} pages with {self.rows} rows a next one is still "
            f"promised; the last total was {self.total}",
            code="rest_pages_endless",
        )
