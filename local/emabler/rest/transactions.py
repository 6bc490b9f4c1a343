"""`POST /v2/transactions` and `/v3/transactions`: finished sessions, a page at a time.

The bodies are the same; v2 gives up to 1000 rows, v3 up to 200. The meaning of the four times is
read from their names: `startTime` to `startTimeSearchEnd` bounds the start, `stopTimeSearchBegin`
to `stopTime` the end. Which bounds belong to the range is a habit. Null and empty lists count as
absent.
"""

from collections.abc import Callable, Hashable
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from local.emabler.errors import BadValueError, json_response
from local.emabler.habits import Habits
from local.emabler.operations import Operation, Reading
from local.emabler.paging import DEFAULT_LIMIT, PageRequest, order_of
from local.emabler.records import FinishedSession, instant
from local.emabler.views import Query, Span

MOST_ROWS = {"v2": 1000, "v3": 200}

type Version = Literal["v2", "v3"]
type Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

# The names of the documented item, and the names of the time filters for the same fields. Which
# sort keys the service takes is not documented; the lists that document one use the item's names
# with a capital.
SORT_KEYS = {
    wire[0].upper() + wire[1:]: field
    for field, wire in zip(
        FinishedSession.__struct_fields__, FinishedSession.__struct_encode_fields__, strict=True
    )
    if field != "sanity_flags"
} | {"StartTime": "timestamp_start", "StopTime": "timestamp_end"}


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
    transaction_ids: list[Int64] | None = msgspec.field(default=None, name="transactionIds")
    evse_transaction_ids: list[str] | None = msgspec.field(default=None, name="evseTransactionIds")
    include_sanity_flags: bool | None = msgspec.field(default=None, name="includeSanityFlags")

    def asked(self) -> PageRequest:
        """Give the page and the order that it asks for."""
        return PageRequest(
            page=1 if self.page is None else self.page,
            limit=DEFAULT_LIMIT if self.limit is None else self.limit,
            sort_key=self.sort_key,
            sort_descending=bool(self.sort_descending),
        )

    def lists(self) -> tuple[frozenset[str], ...]:
        """Give the lists that narrow, as text, in the order of `_HAS`."""
        given = (
            self.charger_ids,
            self.driver_ids,
            self.site_ids,
            self.rfid_tags,
            self.transaction_ids,
            self.evse_transaction_ids,
        )
        return tuple(frozenset(map(str, values or ())) for values in given)


def transactions(version: Version, habits: Habits) -> Operation:
    """Make the read of one version."""

    async def answer(request: web.Request, reading: Reading) -> web.Response:
        query = _read(await request.read())
        asked = query.asked()
        asked.check(MOST_ROWS[version])
        rows = reading.view("sessions").select(_selection(query, habits))
        show = _whole if query.include_sanity_flags else _without_flags
        return json_response(reading.page(rows, asked, show))

    return Operation(
        name="transactions",
        method="POST",
        path=f"/{version}/transactions",
        permission="ReadSessions",
        answer=answer,
    )


def _read(body: bytes) -> TransactionQuery:
    try:
        return msgspec.json.decode(body or b"{}", type=TransactionQuery)
    except msgspec.DecodeError as error:
        raise BadValueError("body", str(error)) from error
    except UnicodeDecodeError:
        raise BadValueError("body", "it is not in UTF-8") from None


def _selection(query: TransactionQuery, habits: Habits) -> Query[FinishedSession]:
    asked = query.asked()
    spans = {
        "timestamp_start": habits.span(_span(query, "startTime", "startTimeSearchEnd")),
        "timestamp_end": habits.span(_span(query, "stopTimeSearchBegin", "stopTime")),
    }
    lists = query.lists()
    name: Hashable = (lists, *spans.values())
    return Query(
        name=name,
        by=order_of(asked, SORT_KEYS, "id"),
        descending=asked.sort_descending,
        spans=spans,
        wanted=_wanted(lists) if any(lists) else None,
    )


def _wanted(lists: tuple[frozenset[str], ...]) -> Callable[[FinishedSession], bool]:
    given = [(some, has) for some, has in zip(lists, _HAS, strict=True) if some]

    def wanted(session: FinishedSession) -> bool:
        return all(has(session, some) for some, has in given)

    return wanted


def _is_of_charger(session: FinishedSession, chargers: frozenset[str]) -> bool:
    charger = session.charger_id
    return charger in chargers or f"{charger}/{session.socket_id}" in chargers


# What each list of a query looks at, in the order of `TransactionQuery.lists`.
_HAS: tuple[Callable[[FinishedSession, frozenset[str]], bool], ...] = (
    _is_of_charger,
    lambda session, drivers: str(session.authorized_user_id) in drivers,
    lambda session, sites: str(session.site_id) in sites,
    lambda session, tags: session.authorized_tag_id in tags,
    lambda session, ids: str(session.id) in ids,
    lambda session, ids: session.evse_transaction_id in ids,
)


def _whole(session: FinishedSession) -> FinishedSession:
    return session


def _without_flags(session: FinishedSession) -> FinishedSession:
    if not session.sanity_flags:
        return session
    return msgspec.structs.replace(session, sanity_flags=[])


def _span(query: TransactionQuery, first: str, last: str) -> Span:
    names = dict(zip(query.__struct_encode_fields__, query.__struct_fields__, strict=True))

    def read(wire: str) -> datetime | None:
        text = getattr(query, names[wire])
        try:
            return None if text is None else instant(text)
        except ValueError:
            raise BadValueError(wire, f"'{text}' is not a date-time") from None

    return Span(read(first), read(last))
