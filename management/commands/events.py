"""`events list`: what the journal holds."""

from __future__ import annotations

import argparse
from typing import Any

from management.context import Command, Context, limit_argument, time_arguments
from management.listing import print_rows
from shared.ingestion.reading import EventFilter, read_events
from shared.instants import system_clock
from shared.storage.blobs import Blobs
from shared.storage.bodies import read_body
from shared.storage.rows import Row

_TYPES = (
    "ChargerState",
    "ChargerBoot",
    "ChargingTransaction",
    "FullChargingTransaction",
    "Measurements",
)
_WIDTHS = {
    "instant": 27,
    "type": 23,
    "charger": 28,
    "socket": 6,
    "transaction": 20,
    "generation": 10,
    "flags": 30,
}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--charger", metavar="ID", help="events of this charger only")
    parser.add_argument("--type", choices=_TYPES, help="events of this type only")
    parser.add_argument("--transaction", metavar="ID", help="events of this transaction only")
    time_arguments(parser)
    limit_argument(parser)


async def _list(context: Context) -> int:
    options, rooms = context.options, context.rooms
    wanted = EventFilter(
        options.charger, options.type, options.transaction, options.start, options.end
    )
    rows = read_events(
        rooms.tables, wanted, buckets=rooms.settings["STORE_BUCKETS"], now=system_clock()
    )
    wanted_rows = (await _fields(rooms.blobs, row) async for row in rows)
    return await print_rows(context, _WIDTHS, wanted_rows, "events")


async def _fields(blobs: Blobs, row: Row) -> dict[str, Any]:
    columns = row.columns
    return {
        "type": columns["type"],
        "charger": columns["charger"],
        "instant": columns["instant"],
        "received": columns.get("received"),
        "socket": columns.get("socket"),
        "transaction": columns.get("transaction"),
        "generation": columns["generation"],
        "digest": columns["digest"],
        "flags": [flag for flag in str(columns.get("flags", "")).split(",") if flag],
        "message_id": columns.get("message_id"),
        "enqueued": columns.get("enqueued"),
        "stored_at": columns.get("stored_at"),
        "body": (await read_body(blobs, columns)).decode("utf-8", "replace"),
    }


LIST = Command("events list", "list the journal's events", _arguments, _list)
