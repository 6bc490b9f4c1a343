"""`GET /v2/chargers`: the charge points and their sockets."""

from aiohttp import web

from local.emabler.errors import json_response
from local.emabler.operations import Operation, Reading
from local.emabler.paging import order_of
from local.emabler.records import Charger
from local.emabler.rest import parameters
from local.emabler.views import Query

SORT_KEYS = {
    "ChargerId": "charger_id",
    "Id": "id",
    "Name": "name",
    "State": "state",
    "SiteId": "site_id",
    "SiteName": "site_name",
    "LastSeen": "last_seen",
}


def chargers() -> Operation:
    """Make the read. `search` looks into id, name and serial number."""
    return Operation(
        name="chargers",
        method="GET",
        path="/v2/chargers",
        permission="ReadChargers",
        answer=_answer,
    )


async def _answer(request: web.Request, reading: Reading) -> web.Response:
    asked = parameters.page_request(request)
    site = parameters.optional_number(request, "siteId")
    search = parameters.search(request)

    def wanted(charger: Charger) -> bool:
        return (site is None or charger.site_id == site) and search.finds(
            charger.charger_id, charger.name, charger.serial
        )

    query = Query(
        name=(site, search.text),
        by=order_of(asked, SORT_KEYS, "charger_id"),
        descending=asked.sort_descending,
        wanted=wanted if site is not None or search.text else None,
    )
    return json_response(reading.page(reading.view("chargers").select(query), asked))
