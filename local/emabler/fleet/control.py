"""`/_fleet`: a fleet is prepared, begun, watched and changed from outside. Loopback only, no key.

| call | what |
|---|---|
| `PUT /_fleet` | prepare a fleet (`local.emabler.fleet.order.Order`); answers its tags |
| `POST /_fleet/begin` | begin to play |
| `GET /_fleet` | how far it has come |
| `GET /_fleet/faults`, `PATCH /_fleet/faults` | see the faults; change those named |
| `GET /_fleet/expected` | what a right store holds of what was told, and what taps were answered |
| `DELETE /_fleet` | stop playing |
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from local.emabler.books import Books
from local.emabler.errors import BadValueError, json_response
from local.emabler.faults.faults import Faults
from local.emabler.fleet.network import Standing
from local.emabler.fleet.order import Order
from local.errors import LocalError

if TYPE_CHECKING:
    from local.emabler.fleet.runner import Fleet

type _Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FleetControl:
    """Holds the one fleet of a server, if there is one."""

    def __init__(self, books: Books, faults: Faults | None = None) -> None:
        """`faults` of the REST side live by the fleet's time while there is a fleet."""
        self._books = books
        self._faults_of_rest = faults
        self._fleet: Fleet | None = None

    async def prepare(self, order: Order) -> "Fleet":
        """Stop the fleet that is there, and prepare another.

        Raises:
            LocalError: `usage_wrong`.
        """
        # Microsoft's SDK takes a third of a second to load: without a fleet nothing needs it.
        from local.emabler.fleet.runner import Fleet  # noqa: PLC0415

        await self.stop()
        self._fleet = fleet = Fleet(order, self._books)
        if self._faults_of_rest is not None:
            self._faults_of_rest.follow(lambda: fleet.now)
        return fleet

    @property
    def fleet(self) -> "Fleet":
        """The fleet.

        Raises:
            LocalError: `usage_wrong`, there is none.
        """
        if self._fleet is None:
            raise LocalError("usage_wrong", "there is no fleet", "prepare one with PUT /_fleet")
        return self._fleet

    async def stop(self) -> None:
        """Stop the fleet, if there is one."""
        if self._fleet is not None:
            await self._fleet.stop()

    def routes(self) -> list[web.RouteDef]:
        """Make the routes."""
        return [
            web.put("/_fleet", _shaped(self._put)),
            web.get("/_fleet", _shaped(self._show)),
            web.delete("/_fleet", _shaped(self._delete)),
            web.post("/_fleet/begin", _shaped(self._begin)),
            web.get("/_fleet/faults", _shaped(self._faults)),
            web.patch("/_fleet/faults", _shaped(self._change_faults)),
            web.get("/_fleet/expected", _shaped(self._expected)),
        ]

    async def _put(self, request: web.Request) -> web.Response:
        try:
            order = msgspec.json.decode(await request.read(), type=Order)
        except msgspec.DecodeError as error:
            raise BadValueError("order", str(error)) from error
        fleet = await self.prepare(order)
        tags = [tag for tag in fleet.day.network.tags if tag.standing is not Standing.REGISTERED]
        return json_response({"progress": fleet.progress(), "tags": tags})

    async def _show(self, _request: web.Request) -> web.Response:
        return json_response(self.fleet.progress())

    async def _delete(self, _request: web.Request) -> web.Response:
        await self.stop()
        return web.Response(status=204)

    async def _begin(self, _request: web.Request) -> web.Response:
        self.fleet.begin()
        return web.Response(status=204)

    async def _faults(self, _request: web.Request) -> web.Response:
        return json_response(self.fleet.rates.shown())

    async def _change_faults(self, request: web.Request) -> web.Response:
        try:
            change = msgspec.json.decode(await request.read(), type=dict[str, str])
        except msgspec.DecodeError as error:
            raise BadValueError("faults", str(error)) from error
        self.fleet.rates.change(change.get("faults", ""))
        return json_response(self.fleet.rates.shown())

    async def _expected(self, _request: web.Request) -> web.Response:
        return json_response(self.fleet.expected())


def _shaped(handler: _Handler) -> _Handler:
    """Answer wrong use with 400 and the one line that says what is wrong."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except LocalError as error:
            raise BadValueError("fleet", str(error)) from error

    return handle
