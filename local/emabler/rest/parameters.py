"""Query parameters of the lists: numbers, flags, times and comma separated arrays."""

from datetime import datetime

from aiohttp import web

from local.emabler.errors import BadValueError
from local.emabler.paging import DEFAULT_LIMIT, PageRequest
from local.emabler.records import instant

MOST_ROWS = 100


def page_request(request: web.Request) -> PageRequest:
    """Read page, limit, sortKey and sortDescending of a GET list (at most 100 rows)."""
    asked = PageRequest(
        page=number(request, "page", 1),
        limit=number(request, "limit", DEFAULT_LIMIT),
        sort_key=request.query.get("sortKey", ""),
        sort_descending=flag(request, "sortDescending"),
    )
    asked.check(MOST_ROWS)
    return asked


def number(request: web.Request, name: str, default: int) -> int:
    """Read a whole number."""
    text = request.query.get(name, "")
    try:
        return int(text) if text else default
    except ValueError:
        raise BadValueError(name, f"'{text}' is not a whole number") from None


def optional_number(request: web.Request, name: str) -> int | None:
    """Read a whole number that may be absent."""
    return number(request, name, 0) if request.query.get(name) else None


def flag(request: web.Request, name: str) -> bool:
    """Read true or false; absent is false."""
    text = request.query.get(name, "false").lower()
    if text not in {"true", "false"}:
        raise BadValueError(name, f"'{text}' is neither true nor false")
    return text == "true"


def time(request: web.Request, name: str) -> datetime | None:
    """Read a time that may be absent."""
    text = request.query.get(name, "")
    try:
        return instant(text) if text else None
    except ValueError:
        raise BadValueError(name, f"'{text}' is not a date-time") from None


def texts(request: web.Request, name: str) -> frozenset[str]:
    """Read an array: comma separated, as the OpenAPI description says. Empty means no filter."""
    return frozenset(part for part in request.query.get(name, "").split(",") if part)


def matches_search(search: str, *fields: str) -> bool:
    """Whether a search text is part of one of the fields, in any case."""
    wanted = search.strip().lower()
    return not wanted or any(wanted in field.lower() for field in fields)
