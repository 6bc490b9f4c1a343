"""`GET /v2/chargers`: the charge points and their sockets."""

from aiohttp import web

from local.emabler.books import Books
from local.emabler.errors import json_response
from local.emabler.paging import page_of
from local.emabler.rest import parameters

_SORT_KEYS = {
    "chargerid": "charger_id",
    "id": "id",
    "name": "name",
    "state": "state",
    "siteid": "site_id",
    "sitename": "site_name",
    "lastseen": "last_seen",
}


def chargers(books: Books) -> web.RouteDef:
    """Make the route. `search` looks into id, name and serial number."""

    async def answer(request: web.Request) -> web.Response:
        asked = parameters.page_request(request)
        site = parameters.optional_number(request, "siteId")
        search = request.query.get("search", "")
        wanted = [
            charger
            for charger in books.shelves.chargers
            if (site is None or charger.site_id == site)
            and parameters.matches_search(search, charger.charger_id, charger.name, charger.serial)
        ]
        return json_response(page_of(wanted, asked, keys=_SORT_KEYS, default_key="charger_id"))

    return web.get("/v2/chargers", answer)
