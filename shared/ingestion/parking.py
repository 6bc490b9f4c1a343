"""Parking: a message that no retry can help is put aside whole, with its reason."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime

from shared.errors import RowExistsError, RowRejectedError
from shared.ingestion.messages import IncomingMessage
from shared.instants import format_instant
from shared.storage.bodies import MAX_BODY_BYTES, body_columns, body_of
from shared.storage.rows import SCHEMA, Insert, Row, Tables, Value
from shared.storage.tables import PARKED
from shared.storage.together import all_done, upsert_all

_MAX_DETAIL_CHARACTERS = 8_000


UNEXPECTED = "unexpected"
"""The reason of a message that no rule rejects and that fails all the same, alone."""


PIECES = "~"
"""What the partitions of further pieces begin with: they come after those of all messages."""


def parked_rows(message: IncomingMessage, reason: str, detail: str, now: datetime) -> list[Row]:
    """The parked message's row, named by the digest of its bytes: a repeat parks once.

    Bytes that fit no row follow in rows of their own, in a partition of their own, and the
    message's row tells how many there are (`pieces`).
    """
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
    try:
        body, pieces = body_columns(message.body, as_bytes=True), []
    except RowRejectedError:
        body, pieces = {}, _pieces(digest, message.body)
        columns["pieces"] = len(pieces)
    return [Row(digest[:2], digest, columns | body), *pieces]


def _pieces(digest: str, body: bytes) -> list[Row]:
    parts = [body[n : n + MAX_BODY_BYTES] for n in range(0, len(body), MAX_BODY_BYTES)]
    return [
        Row(f"{PIECES}{digest}", f"{n:04d}", {"schema": SCHEMA} | body_columns(part, as_bytes=True))
        for n, part in enumerate(parts)
    ]


async def park(tables: Tables, messages: Iterable[Sequence[Row]]) -> None:
    """Park messages; one that is parked already stays as it was first.

    Its pieces are there before the row that tells of them.
    """

    async def one(row: Row, pieces: Sequence[Row]) -> None:
        await upsert_all(tables, PARKED, pieces)
        try:
            await tables.write(PARKED, [Insert(row)])
        except RowExistsError:
            return

    await all_done(
        one(*each) for each in {row.key: (row, rest) for row, *rest in messages}.values()
    )


async def read_parked(tables: Tables) -> AsyncIterator[tuple[Row, bytes]]:
    """The rows of all parked messages, by digest, each with the message's bytes."""
    async for row in tables.scan(PARKED, end=PIECES):
        if "pieces" in row.columns:
            pieces = tables.range(PARKED, f"{PIECES}{row.key}")
            body = b"".join([body_of(piece.columns) async for piece in pieces])
        else:
            body = body_of(row.columns)
        yield row, body
