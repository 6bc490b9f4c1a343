"""Query parameters of the lists: numbers, flags, times and comma separated arrays.

A parameter that is given must be of its type: an empty number is no number.
"""

import re
from datetime import datetime

import msgspec
from aiohttp import web

from local.emabler.errors import BadValueError
from local.emabler.paging import DEFAULT_LIMIT, PageRequest
from local.emabler.records import instant

MOST_ROWS = 100
INT64_MOST = 2**63 - 1

# Python's int() reads more than this: signs, underscores, blanks, digits of other scripts.
_NUMBER = re.compile(r"-?[0-9]{1,19}")


class Search(msgspec.Struct, frozen=True):
    """A search text, in lower case; the empty one finds all."""

    text: str

    def finds(self, *fields: str) -> bool:
        """Whether it is part of one of the fields, in any case."""
        return not self.text or any(self.text in field.lower() for field in fields)


def page_request(request: web.Request) -> PageRequest:
    """Read page, limit, sortKey and sortDescending of a GET list (at most 100 rows)."""
    asked = PageRequest(
        page=_number(request, "page", 1),
        limit=_number(request, "limit", DEFAULT_LIMIT),
        sort_key=request.query.get("sortKey"),
        sort_descending=flag(request, "sortDescending"),
    )
    asked.check(MOST_ROWS)
    return asked


def optional_number(request: web.Request, name: str) -> int | None:
    """Read a whole number that may be absent."""
    return _number(request, name, 0) if name in request.query else None


def path_number(request: web.Request, name: str) -> int:
    """Read a whole number of the path."""
    return _whole(name, request.match_info[name])


def flag(request: web.Request, name: str) -> bool:
    """Read true or false; absent is false."""
    text = request.query.get(name, "false").lower()
    if text not in {"true", "false"}:
        raise BadValueError(name, f"'{text}' is neither true nor false")
    return text == "true"


def time(request: web.Request, name: str) -> datetime | None:
    """Read a time that may be absent."""
    if name not in request.query:
        return None
    text = request.query[name]
    try:
        return instant(text)
    except ValueError:
        raise BadValueError(name, f"'{text}' is not a date-time") from None


def texts(request: web.Request, name: str) -> frozenset[str]:
    """Read an array: comma separated, as the OpenAPI description says. Empty means no filter."""
    return frozenset(part for part in request.query.get(name, "").split(",") if part)


def search(request: web.Request) -> Search:
    """Read the search text."""
    return Search(request.query.get("search", "").strip().lower())


def _number(request: web.Request, name: str, default: int) -> int:
    return _whole(name, request.query[name]) if name in request.query else default


def _whole(name: str, text: str) -> int:
    if not _NUMBER.fullmatch(text) or not -INT64_MOST <= int(text) <= INT64_MOST:
        raise BadValueError(name, f"'{text}' is not a whole number")
    return int(text)
