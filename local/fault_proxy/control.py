"""The control port: rules and records over HTTP. Loopback only, no key.

| call | what |
|---|---|
| `GET /rules` | the rules in force: number, line, matched, happened |
| `POST /rules` | add a rule, or a list of them, each a line or an object; gives their numbers |
| `DELETE /rules` | take all out; `DELETE /rules/{number}` one |
| `GET /decisions` | the calls that went wrong |
| `GET /counts` | how many calls came and what became of them |
| `POST /settle` | let go what is held, and wait until the late writes are done |

What cannot be done is answered 400, with `{"code": …, "what": …, "remedy": …}`.
"""

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from local.errors import LocalError
from local.fault_proxy.proxy import FaultProxy
from local.fault_proxy.rules import read_rule

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_control(proxy: FaultProxy) -> web.Application:
    """Make the web application that controls a proxy."""

    async def rules(_request: web.Request) -> web.Response:
        return _json(proxy.counts().rules)

    async def add(request: web.Request) -> web.Response:
        said = await _body(request)
        # All are read before the first is added: a list is in force whole or not at all.
        wanted = [read_rule(one) for one in (said if isinstance(said, list) else [said])]
        return _json([proxy.add(rule) for rule in wanted])

    async def clear(_request: web.Request) -> web.Response:
        proxy.clear()
        return _json([])

    async def remove(request: web.Request) -> web.Response:
        proxy.remove(int(request.match_info["number"]))
        return _json([])

    async def decisions(_request: web.Request) -> web.Response:
        return _json(proxy.decisions())

    async def counts(_request: web.Request) -> web.Response:
        return _json(proxy.counts())

    async def settle(_request: web.Request) -> web.Response:
        await proxy.settle()
        return _json([])

    app = web.Application(middlewares=[_say_what_is_wrong])
    app.add_routes(
        [
            web.get("/rules", rules),
            web.post("/rules", add),
            web.delete("/rules", clear),
            web.delete(r"/rules/{number:\d+}", remove),
            web.get("/decisions", decisions),
            web.get("/counts", counts),
            web.post("/settle", settle),
        ]
    )
    return app


@web.middleware
async def _say_what_is_wrong(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except LocalError as error:
        told = {"code": error.code, "what": error.what, "remedy": error.remedy}
        return _json(told, status=400)


async def _body(request: web.Request) -> object:
    try:
        return msgspec.json.decode(await request.read())
    except msgspec.DecodeError as error:
        raise LocalError(
            "usage_wrong", f"the body is no JSON: {error}", "send a rule, or a list of them"
        ) from error


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(body), status=status, content_type="application/json"
    )
