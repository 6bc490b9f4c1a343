"""A message as the queue handed it over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingMessage:
    """The bytes as they came, and what Service Bus says of the delivery.

    `delivery_count` counts from 1. `declared_type` is the type that a property names, if any.
    """

    body: bytes
    message_id: str | None = None
    enqueued: datetime | None = None
    delivery_count: int = 1
    declared_type: str | None = None
