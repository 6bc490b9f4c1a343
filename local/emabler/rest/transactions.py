"""`POST /v2/transactions` and `/v3/transactions`: finished sessions, a page at a time.

The bodies are the same; v2 gives up to 1000 rows, v3 up to 200. The meaning of the four times is
read from their names, bounds included: the documentation says neither. Null counts as absent.
"""

from datetime import datetime

import msgspec
from aiohttp import web

from local.emabler.books import Books
from local.emabler.errors import BadValueError, json_response
from local.emabler.paging import DEFAULT_LIMIT, PageRequest, page_of
from local.emabler.records import FinishedSession, instant

MOST_ROWS = {"v2": 1000, "v3": 200}

# The names of the documented item, in any case. Which sort keys the service takes is not
# documented; the lists that document one use the item's names with a capital.
_SORT_KEYS = {
    wire.lower(): field
    for field, wire in zip(
        FinishedSession.__struct_fields__, FinishedSession.__struct_encode_fields__, strict=True
    )
    if field != "sanity_flags"
}


class TransactionQuery(msgspec.Struct):
    """The documented request body; every field is optional. Mind the capitals."""

    page: int | None = None
    limit: int | None = None
    sort_key: str | None = msgspec.field(default=None, name="sortKey")
    sort_descending: bool | None = msgspec.field(default=None, name="sortDescending")
    start_time: str | None = msgspec.field(default=None, name="startTime")
    start_time_search_end: str | None = msgspec.field(default=None, name="startTimeSearchEnd")
    stop_time_search_begin: str | None = msgspec.field(default=None, name="stopTimeSearchBegin")
    stop_time: str | None = msgspec.field(default=None, name="stopTime")
    charger_ids: list[str] | None = msgspec.field(default=None, name="chargerIDs")
    driver_ids: list[str] | None = msgspec.field(default=None, name="driverIDs")
    site_ids: list[str] | None = msgspec.field(default=None, name="siteIDs")
    rfid_tags: list[str] | None = msgspec.field(default=None, name="rfidTags")
    transaction_ids: list[int] | None = msgspec.field(default=None, name="transactionIds")
    evse_transaction_ids: list[str] | None = msgspec.field(default=None, name="evseTransactionIds")
    include_sanity_flags: bool | None = msgspec.field(default=None, name="includeSanityFlags")


class TransactionFilter:
    """The filters of a query, read once."""

    def __init__(self, query: TransactionQuery) -> None:
        self._query = query
        self._start = _bounds(query, "startTime", "startTimeSearchEnd")
        self._end = _bounds(query, "stopTimeSearchBegin", "stopTime")

    def lets_through(self, session: FinishedSession) -> bool:
        """Whether a session meets every filter that was given."""
        query = self._query
        return (
            _within(self._start, session.timestamp_start)
            and _within(self._end, session.timestamp_end)
            and (
                not query.charger_ids
                or session.charger_id in query.charger_ids
                or f"{session.charger_id}/{session.socket_id}" in query.charger_ids
            )
            and _one_of(query.driver_ids, str(session.authorized_user_id))
            and _one_of(query.site_ids, str(session.site_id))
            and _one_of(query.rfid_tags, session.authorized_tag_id)
            and (not query.transaction_ids or session.id in query.transaction_ids)
            and _one_of(query.evse_transaction_ids, session.evse_transaction_id)
        )


def transactions(books: Books, version: str) -> web.RouteDef:
    """Make the route of one version, "v2" or "v3"."""

    async def answer(request: web.Request) -> web.Response:
        query = _read(await request.read())
        asked = PageRequest(
            page=1 if query.page is None else query.page,
            limit=DEFAULT_LIMIT if query.limit is None else query.limit,
            sort_key=query.sort_key or "",
            sort_descending=bool(query.sort_descending),
        )
        asked.check(MOST_ROWS[version])
        wanted = TransactionFilter(query)
        page = page_of(
            [session for session in books.shelves.sessions if wanted.lets_through(session)],
            asked,
            keys=_SORT_KEYS,
            default_key="id",
            show=lambda session: _shown(session, flags=bool(query.include_sanity_flags)),
        )
        return json_response(page)

    return web.post(f"/{version}/transactions", answer)


def _read(body: bytes) -> TransactionQuery:
    try:
        return msgspec.json.decode(body or b"{}", type=TransactionQuery)
    except msgspec.DecodeError as error:
        raise BadValueError("body", str(error)) from error


def _shown(session: FinishedSession, *, flags: bool) -> FinishedSession:
    return session if flags else msgspec.structs.replace(session, sanity_flags=[])


def _bounds(
    query: TransactionQuery, first: str, last: str
) -> tuple[datetime | None, datetime | None]:
    names = dict(zip(query.__struct_encode_fields__, query.__struct_fields__, strict=True))

    def read(wire: str) -> datetime | None:
        text = getattr(query, names[wire])
        try:
            return instant(text) if text else None
        except ValueError:
            raise BadValueError(wire, f"'{text}' is not a date-time") from None

    return read(first), read(last)


def _within(bounds: tuple[datetime | None, datetime | None], text: str) -> bool:
    first, last = bounds
    moment = instant(text)
    return (first is None or first <= moment) and (last is None or moment <= last)


def _one_of(wanted: list[str] | None, value: str) -> bool:
    return not wanted or value in wanted
