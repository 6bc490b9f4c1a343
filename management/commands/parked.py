"""`parked list`: messages that could not be read, and why."""

from __future__ import annotations

import argparse
from typing import Any

from management.context import Command, Context, limit_argument
from management.listing import print_rows
from shared.storage.blobs import Blobs
from shared.storage.bodies import read_body
from shared.storage.rows import Row
from shared.storage.tables import PARKED

_WIDTHS = {"parked_at": 27, "reason": 14, "bytes": 8, "message_id": 36, "detail": 0}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", metavar="CODE", help="those of this reason only")
    limit_argument(parser)


async def _list(context: Context) -> int:
    reason = context.options.reason
    rooms = context.rooms
    wanted = (
        await _fields(rooms.blobs, row)
        async for row in rooms.tables.scan(PARKED)
        if reason in (None, row.columns["reason"])
    )
    return await print_rows(context, _WIDTHS, wanted, "parked messages")


async def _fields(blobs: Blobs, row: Row) -> dict[str, Any]:
    columns = row.columns
    return {
        "digest": row.key,
        "reason": columns["reason"],
        "detail": columns["detail"],
        "parked_at": columns["parked_at"],
        "enqueued": columns.get("enqueued"),
        "message_id": columns.get("message_id"),
        "delivery_count": columns["delivery_count"],
        "bytes": columns["bytes"],
        "body": (await read_body(blobs, columns)).decode("utf-8", "replace"),
    }


LIST = Command("parked list", "list messages that could not be read", _arguments, _list)
