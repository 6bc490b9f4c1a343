"""Parking: a message that no retry can help is put aside whole, with its reason."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime

from shared.errors import RowExistsError
from shared.ingestion.messages import IncomingMessage
from shared.instants import format_instant
from shared.storage.bodies import body_columns
from shared.storage.rows import SCHEMA, Insert, Row, Tables, Value
from shared.storage.tables import PARKED
from shared.storage.together import all_done

_MAX_DETAIL_CHARACTERS = 8_000
_MAX_PROPERTIES_CHARACTERS = 30_000


UNEXPECTED = "unexpected"
"""The reason of a message that no rule rejects and that fails all the same, alone."""


def parked_row(message: IncomingMessage, reason: str, detail: str, now: datetime) -> Row:
    """The parked message's row, named by the digest of its bytes: a repeat parks once."""
    digest = hashlib.sha256(message.body).hexdigest()
    columns: dict[str, Value] = {
        "schema": SCHEMA,
        "reason": reason,
        "detail": detail[:_MAX_DETAIL_CHARACTERS],
        "parked_at": format_instant(now),
        "delivery_count": message.delivery_count,
        "bytes": len(message.body),
    }
    if message.message_id:
        columns["message_id"] = message.message_id
    if message.enqueued:
        columns["enqueued"] = format_instant(message.enqueued)
    if message.declared_type:
        columns["declared_type"] = message.declared_type
    if message.properties:
        text = json.dumps(message.properties, default=str, ensure_ascii=True)
        columns["properties"] = text[:_MAX_PROPERTIES_CHARACTERS]
    body = body_columns(message.body, f"{PARKED}/{digest}", as_bytes=True)
    return Row(digest[:2], digest, columns | body)


async def park(tables: Tables, rows: Iterable[Row]) -> None:
    """Park messages; one that is parked already stays as it was first."""

    async def one(row: Row) -> None:
        try:
            await tables.write(PARKED, [Insert(row)])
        except RowExistsError:
            return

    await all_done(one(row) for row in {row.key: row for row in rows}.values())
