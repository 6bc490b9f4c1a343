"""`GET /v2/tags`: the tags of eMabler's own driver registry."""

from aiohttp import web

from local.emabler.books import Books
from local.emabler.errors import json_response
from local.emabler.paging import page_of
from local.emabler.rest import parameters

_SORT_KEYS = {
    "tagid": "id_tag",
    "idtag": "id_tag",
    "id": "id",
    "tokenname": "token_name",
    "driverid": "driver_id",
    "lastupdated": "last_updated",
}


def tags(books: Books) -> web.RouteDef:
    """Make the route. `search` looks into the tag id and the token's name."""

    async def answer(request: web.Request) -> web.Response:
        asked = parameters.page_request(request)
        driver = parameters.optional_number(request, "driverId")
        search = request.query.get("search", "")
        wanted = [
            tag
            for tag in books.shelves.tags
            if (driver is None or tag.driver_id == driver)
            and parameters.matches_search(search, tag.id_tag, tag.token_name)
        ]
        return json_response(page_of(wanted, asked, keys=_SORT_KEYS, default_key="id_tag"))

    return web.get("/v2/tags", answer)
