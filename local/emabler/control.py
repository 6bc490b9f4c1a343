"""`/_books/…`: fill, change and read the books from outside. Loopback only, no key.

| call | what |
|---|---|
| `GET /_books/{shelf}` | the records of sessions, ongoing, chargers or tags |
| `PUT /_books/{shelf}` | make a list of records its whole content |
| `POST /_books/{shelf}` | add records; the same subject is replaced |
| `DELETE /_books` | empty everything |
| `GET /_books/calls` | the last thousand REST calls |

Records are given in the wire's names; fields with a default may be left out.
"""

from collections.abc import Callable, Iterable

import msgspec
from aiohttp import web

from local.emabler.books import SHELF_TYPES, AnyRecord, Books
from local.emabler.errors import BadValueError, json_response


def control_routes(books: Books) -> list[web.RouteDef]:
    """Make the control routes over the books."""

    async def calls(_request: web.Request) -> web.Response:
        return json_response(list(books.calls))

    async def clear(_request: web.Request) -> web.Response:
        books.clear()
        return web.Response(status=204)

    async def show(request: web.Request) -> web.Response:
        return json_response(books.shelf(_shelf(request)))

    async def put(request: web.Request) -> web.Response:
        return await _take(request, books.put)

    async def add(request: web.Request) -> web.Response:
        return await _take(request, books.add)

    return [
        web.get("/_books/calls", calls),
        web.delete("/_books", clear),
        web.get("/_books/{shelf}", show),
        web.put("/_books/{shelf}", put),
        web.post("/_books/{shelf}", add),
    ]


def _shelf(request: web.Request) -> str:
    name = request.match_info["shelf"]
    if name not in SHELF_TYPES:
        raise BadValueError("shelf", f"'{name}' is none of {', '.join(SHELF_TYPES)}")
    return name


async def _take(
    request: web.Request, keep: Callable[[str, Iterable[AnyRecord]], None]
) -> web.Response:
    shelf = _shelf(request)
    try:
        records = msgspec.json.decode(await request.read(), type=SHELF_TYPES[shelf])
    except msgspec.DecodeError as error:
        raise BadValueError(shelf, str(error)) from error
    keep(shelf, records)
    return web.Response(status=204)
