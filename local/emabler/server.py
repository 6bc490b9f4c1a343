"""The web application: the REST reads below their base path, and the control routes.

The description of the reads is served without a key, below the base path and beside it: which of
the two eMabler does is not documented.
"""

import hmac
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Middleware

from local.emabler import BASE_PATH
from local.emabler.books import Books, Call
from local.emabler.control import control_routes
from local.emabler.errors import MissingPermissionError, RefusalError, older
from local.emabler.faults.faults import HUNG, SUFFERED, Faults
from local.emabler.habits import Habits
from local.emabler.limits import RateLimits
from local.emabler.operations import Operation, PlainReading, Reading
from local.emabler.rest.reads import all_reads

MOST_BYTES = 64 * 1024 * 1024
DESCRIPTION = Path(__file__).resolve().parent / "openapi.json"
DESCRIPTION_PATH = "/swagger.json"

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = logging.getLogger("local.emabler")


def make_app(
    books: Books, api_key: str, *, habits: Habits | None = None, faults: Faults | None = None
) -> web.Application:
    """Make the application.

    Args:
        books: what the reads answer from.
        api_key: the key that the `x-api-key` header must carry; without it a read answers 401.
        habits: what is not documented; by default all is allowed, without limits of rate.
        faults: what goes wrong; by default nothing, until a control route says otherwise.
    """
    habits = Habits() if habits is None else habits
    faults = Faults() if faults is None else faults
    app = web.Application(
        middlewares=[_record_calls(books), _shape_errors, _ask_for_key(api_key)],
        client_max_size=MOST_BYTES,
    )
    limits = RateLimits(habits)
    for read in all_reads(habits):
        handler = _handler(read, PlainReading(books), habits, limits, faults)
        app.router.add_route(read.method, BASE_PATH + read.path, handler)
    app.router.add_get(DESCRIPTION_PATH, _describe)
    app.router.add_get(BASE_PATH + DESCRIPTION_PATH, _describe)
    app.add_routes(control_routes(books, habits, faults))

    async def let_go(_app: web.Application) -> None:
        faults.release()

    app.on_shutdown.append(let_go)
    return app


def _handler(
    read: Operation, plain: Reading, habits: Habits, limits: RateLimits, faults: Faults
) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        async def answer(reading: Reading) -> web.Response:
            if read.permission not in habits.permissions:
                raise MissingPermissionError
            limits.count(read)
            return await read.answer(request, reading)

        return await faults.around(request, read, plain, answer)

    return handle


async def _describe(_request: web.Request) -> web.Response:
    return web.Response(body=DESCRIPTION.read_bytes(), content_type="application/json")


def _record_calls(books: Books) -> Middleware:
    @web.middleware
    async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
        status = 0  # stays when the caller goes before there is an answer
        try:
            answer = await handler(request)
            status = answer.status
            return answer
        finally:
            if _below_the_base(request):
                suffered = tuple(request.get(SUFFERED, ()))
                status = 0 if HUNG in suffered else status
                books.calls.append(Call(request.method, request.path, status, suffered))

    return record


@web.middleware
async def _shape_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RefusalError as error:
        return error.answer(request)
    except web.HTTPException as error:
        allowed = error.headers.get("Allow")
        return web.Response(status=error.status, headers={"Allow": allowed} if allowed else None)
    except Exception:  # noqa: BLE001 - whatever it was, the caller gets the documented body
        _log.exception("a read failed")
        return older("INTERNAL_ERROR", "An unexpected error occurred.", 500)


def _ask_for_key(api_key: str) -> Middleware:
    @web.middleware
    async def ask(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("x-api-key", "")
        if _below_the_base(request) and not hmac.compare_digest(
            given.encode("utf-8", "surrogateescape"), api_key.encode()
        ):
            # No body is documented for 401.
            return web.Response(status=401)
        return await handler(request)

    return ask


def _below_the_base(request: web.Request) -> bool:
    path = request.path
    return path.startswith(BASE_PATH) and path != BASE_PATH + DESCRIPTION_PATH
