"""Parking: a message that no retry can help is put aside whole, with its reason."""

from __future__ import annotations

from datetime import datetime

from shared.ingestion.messages import IncomingMessage
from shared.parked.records import Parking, parked_row_of
from shared.storage.rows import Row

UNEXPECTED = "unexpected"
"""The reason of a message that no rule rejects and that fails all the same, alone."""


def parked_row(message: IncomingMessage, reason: str, detail: str, now: datetime) -> Row:
    """The parked message's row, with the time at which it was enqueued first."""
    parking = Parking(
        body=message.body,
        reason=reason,
        detail=detail,
        delivery_count=message.delivery_count,
        message_id=message.message_id,
        enqueued=message.first_enqueued or message.enqueued,
        declared_type=message.declared_type,
        properties=message.properties,
    )
    return parked_row_of(parking, now)
