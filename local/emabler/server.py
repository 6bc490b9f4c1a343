"""The web application: the REST reads below their base path, and the control routes."""

import hmac
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from local.emabler import BASE_PATH
from local.emabler.books import Books, Call
from local.emabler.control import control_routes
from local.emabler.errors import BadSortKeyError, BadValueError, bad_value, older
from local.emabler.rest.chargers import chargers
from local.emabler.rest.ongoing import ongoing_transactions
from local.emabler.rest.tags import tags
from local.emabler.rest.transactions import transactions

MOST_BYTES = 64 * 1024 * 1024

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = logging.getLogger("local.emabler")


def make_app(books: Books, api_key: str) -> web.Application:
    """Make the application.

    Args:
        books: what the reads answer from.
        api_key: the key that the `x-api-key` header must carry; without it a read answers 401.
    """
    app = web.Application(
        middlewares=[_record_calls(books), _shape_errors, _ask_for_key(api_key)],
        client_max_size=MOST_BYTES,
    )
    reads = [
        transactions(books, "v2"),
        transactions(books, "v3"),
        ongoing_transactions(books),
        chargers(books),
        tags(books),
    ]
    app.add_routes(
        [web.RouteDef(read.method, BASE_PATH + read.path, read.handler, {}) for read in reads]
    )
    app.add_routes(control_routes(books))
    return app


def _record_calls(books: Books) -> Middleware:
    @web.middleware
    async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await handler(request)
        if request.path.startswith(BASE_PATH):
            books.calls.append(Call(request.method, request.path, answer.status))
        return answer

    return record


@web.middleware
async def _shape_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except BadValueError as error:
        return bad_value(request, error)
    except BadSortKeyError as error:
        return older("INVALID_SORT_KEY", f"'{error}' is not a sort key", 400)
    except web.HTTPException as error:
        return web.Response(status=error.status, headers={"Allow": error.headers.get("Allow", "")})
    except Exception:  # noqa: BLE001 - whatever it was, the caller gets the documented body
        _log.exception("a read failed")
        return older("INTERNAL_ERROR", "An unexpected error occurred.", 500)


def _ask_for_key(api_key: str) -> Middleware:
    @web.middleware
    async def ask(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("x-api-key", "")
        if request.path.startswith(BASE_PATH) and not hmac.compare_digest(
            given.encode(), api_key.encode()
        ):
            # No body is documented for 401.
            return web.Response(status=401)
        return await handler(request)

    return ask
