"""`GET /v2/push-integrations/configurations` and what lies below each of them.

The paths and the permission are documented, the fields are our reading: a configuration has
endpoints, each endpoint its own message types. The lists page as all lists do.
"""

from aiohttp import web

from local.emabler.errors import NotThereError, json_response
from local.emabler.operations import Operation, Reading
from local.emabler.paging import order_of
from local.emabler.records import PushConfiguration
from local.emabler.rest import parameters
from local.emabler.views import Query, View

CONFIGURATIONS = "/v2/push-integrations/configurations"
SORT_KEYS = {"Id": "id"}


def push_integrations() -> list[Operation]:
    """Make the three reads."""
    answers = {
        CONFIGURATIONS: _configurations,
        f"{CONFIGURATIONS}/{{id}}/endpoints": _endpoints,
        f"{CONFIGURATIONS}/{{id}}/messages": _messages,
    }
    return [
        Operation(
            name="push", method="GET", path=path, permission="ReadIntegrations", answer=answer
        )
        for path, answer in answers.items()
    ]


async def _configurations(request: web.Request, reading: Reading) -> web.Response:
    return _listed(request, reading, reading.view("push_configurations"))


async def _endpoints(request: web.Request, reading: Reading) -> web.Response:
    return _listed(request, reading, View(_named(request, reading).endpoints))


async def _messages(request: web.Request, reading: Reading) -> web.Response:
    return _listed(request, reading, View(_named(request, reading).messages))


def _named(request: web.Request, reading: Reading) -> PushConfiguration:
    number = parameters.path_number(request, "id")
    found: list[PushConfiguration] = reading.view("push_configurations").records
    for configuration in found:
        if configuration.id == number:
            return configuration
    raise NotThereError(f"There is no push configuration {number}.")


def _listed[T](request: web.Request, reading: Reading, view: View[T]) -> web.Response:
    asked = parameters.page_request(request)
    by = order_of(asked, SORT_KEYS, "id")
    rows = view.select(Query(name=(), by=by, descending=asked.sort_descending))
    return json_response(reading.page(rows, asked, _shown))


def _shown(record: object) -> object:
    if isinstance(record, PushConfiguration):
        return {"id": record.id, "name": record.name, "enabled": record.enabled}
    return record
