"""`GET /v2/ongoing-transactions`: sessions that have started and not ended.

`from` and `to` bound the start: a reading of the names.
"""

import msgspec
from aiohttp import web

from local.emabler.errors import json_response
from local.emabler.habits import Habits
from local.emabler.operations import Operation, Reading
from local.emabler.paging import order_of
from local.emabler.records import OngoingSession
from local.emabler.rest import parameters
from local.emabler.views import Query, Span

SORT_KEYS = {
    "CreatedAt": "created_at",
    "UpdatedAt": "updated_at",
    "StartTime": "start_time",
    "ChargerId": "charger_id",
    "SocketId": "socket_id",
    "TransactionId": "transaction_id",
}
FILTERS = ("chargerIds", "socketIds", "driverIds", "externalDriverIds", "externalUserIds")
_FILTERS_ONLY = ("externalDriverId", "externalUserId")


def ongoing_transactions(habits: Habits) -> Operation:
    """Make the read."""

    async def answer(request: web.Request, reading: Reading) -> web.Response:
        asked = parameters.page_request(request)
        filters = tuple(parameters.texts(request, name) for name in FILTERS)
        span = habits.span(Span(parameters.time(request, "from"), parameters.time(request, "to")))

        def wanted(session: OngoingSession) -> bool:
            values = zip(filters, _filtered_values(session), strict=True)
            return all(not some or value in some for some, value in values)

        query = Query(
            name=(filters, span),
            by=order_of(asked, SORT_KEYS, "created_at"),
            descending=asked.sort_descending,
            spans={"start_time": span},
            wanted=wanted if any(filters) else None,
        )
        rows = reading.view("ongoing").select(query)
        return json_response(reading.page(rows, asked, _shown))

    return Operation(
        name="ongoing",
        method="GET",
        path="/v2/ongoing-transactions",
        permission="ReadSessions",
        answer=answer,
    )


def _filtered_values(session: OngoingSession) -> tuple[str, ...]:
    """Give what each of `FILTERS` looks at, as text: eMabler's ids are numbers and texts."""
    driver = "" if session.authorized_user_id is None else str(session.authorized_user_id)
    return (
        session.charger_id,
        str(session.socket_id),
        driver,
        session.external_driver_id,
        session.external_user_id,
    )


def _shown(session: OngoingSession) -> dict[str, object]:
    item: dict[str, object] = msgspec.to_builtins(session)
    return {name: value for name, value in item.items() if name not in _FILTERS_ONLY}
