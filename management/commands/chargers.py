"""`chargers list`: the latest state of each charger and socket."""

from __future__ import annotations

import argparse
from typing import Any

from management.context import Command, Context, limit_argument
from management.listing import print_rows
from shared.chargers.reading import read_chargers
from shared.storage.rows import Row

_WIDTHS = {
    "charger": 28,
    "socket": 6,
    "status": 20,
    "error_code": 20,
    "instant": 27,
    "last_seen": 27,
    "model": 20,
}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--charger", metavar="ID", help="this charger only")
    limit_argument(parser)


async def _list(context: Context) -> int:
    rooms = context.rooms
    rows = read_chargers(
        rooms.tables, charger=context.options.charger, buckets=rooms.settings["STORE_BUCKETS"]
    )
    wanted = (_fields(row) async for row in rows)
    return await print_rows(context, _WIDTHS, wanted, "chargers and sockets")


def _fields(row: Row) -> dict[str, Any]:
    """A socket's row has a number; the row about the charger itself has none."""
    columns = row.columns
    return {
        "charger": columns["charger"],
        "socket": columns.get("socket"),
        "status": columns.get("state_status"),
        "error_code": columns.get("state_error_code"),
        "message": columns.get("state_message"),
        "instant": columns.get("state_instant"),
        "last_seen": columns.get("last_seen"),
        "booted": columns.get("boot_instant"),
        "model": columns.get("boot_model"),
        "manufacturer": columns.get("boot_manufacturer"),
        "firmware_version": columns.get("boot_firmware_version"),
        "serial_number": columns.get("boot_serial_number"),
        "site": columns.get("state_site") or columns.get("boot_site"),
    }


LIST = Command("chargers list", "list chargers and their sockets", _arguments, _list)
