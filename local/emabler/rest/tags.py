"""`GET /v2/tags`: the tags of eMabler's own driver registry."""

from aiohttp import web

from local.emabler.errors import json_response
from local.emabler.operations import Operation, Reading
from local.emabler.paging import order_of
from local.emabler.records import Tag
from local.emabler.rest import parameters
from local.emabler.views import Query

SORT_KEYS = {
    "TagId": "id_tag",
    "IdTag": "id_tag",
    "Id": "id",
    "TokenName": "token_name",
    "DriverId": "driver_id",
    "LastUpdated": "last_updated",
}


def tags() -> Operation:
    """Make the read. `search` looks into the tag id and the token's name."""
    return Operation(
        name="tags", method="GET", path="/v2/tags", permission="ReadTags", answer=_answer
    )


async def _answer(request: web.Request, reading: Reading) -> web.Response:
    asked = parameters.page_request(request)
    driver = parameters.optional_number(request, "driverId")
    search = parameters.search(request)

    def wanted(tag: Tag) -> bool:
        return (driver is None or tag.driver_id == driver) and search.finds(
            tag.id_tag, tag.token_name
        )

    query = Query(
        name=(driver, search.text),
        by=order_of(asked, SORT_KEYS, "id_tag"),
        descending=asked.sort_descending,
        wanted=wanted if driver is not None or search.text else None,
    )
    return json_response(reading.page(reading.view("tags").select(query), asked))
