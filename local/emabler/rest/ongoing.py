"""`GET /v2/ongoing-transactions`: sessions that have started and not ended."""

import msgspec
from aiohttp import web

from local.emabler.books import Books
from local.emabler.errors import json_response
from local.emabler.paging import page_of
from local.emabler.records import OngoingSession, instant
from local.emabler.rest import parameters

_SORT_KEYS = {
    "createdat": "created_at",
    "updatedat": "updated_at",
    "starttime": "start_time",
    "chargerid": "charger_id",
    "socketid": "socket_id",
    "transactionid": "transaction_id",
}
_FILTERS_ONLY = ("externalDriverId", "externalUserId")


def ongoing_transactions(books: Books) -> web.RouteDef:
    """Make the route. `from` and `to` bound the start, both included [a reading of the names]."""

    async def answer(request: web.Request) -> web.Response:
        asked = parameters.page_request(request)
        wanted = [session for session in books.shelves.ongoing if _meets(request, session)]
        return json_response(
            page_of(wanted, asked, keys=_SORT_KEYS, default_key="created_at", show=_shown)
        )

    return web.get("/v2/ongoing-transactions", answer)


def _meets(request: web.Request, session: OngoingSession) -> bool:
    driver = "" if session.authorized_user_id is None else str(session.authorized_user_id)
    filters = {
        "chargerIds": session.charger_id,
        "socketIds": str(session.socket_id),
        "driverIds": driver,
        "externalDriverIds": session.external_driver_id,
        "externalUserIds": session.external_user_id,
    }
    first, last = parameters.time(request, "from"), parameters.time(request, "to")
    start = instant(session.start_time)
    return (
        all(
            value in wanted
            for name, value in filters.items()
            if (wanted := parameters.texts(request, name))
        )
        and (first is None or first <= start)
        and (last is None or start <= last)
    )


def _shown(session: OngoingSession) -> dict[str, object]:
    item: dict[str, object] = msgspec.to_builtins(session)
    return {name: value for name, value in item.items() if name not in _FILTERS_ONLY}
