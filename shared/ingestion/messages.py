"""A message as the queue handed it over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingMessage:
    """The bytes as they came, and what Service Bus says of the delivery.

    `delivery_count` counts from 1; `locked_until` is when the delivery is given to another worker.
    `declared_type` is the type that a property names, if any; `properties` are the application
    properties, kept beside a message that is parked. `first_enqueued` is told by a message that was
    parked and is replayed.
    """

    body: bytes
    message_id: str | None = None
    enqueued: datetime | None = None
    first_enqueued: datetime | None = None
    delivery_count: int = 1
    locked_until: datetime | None = None
    declared_type: str | None = None
    properties: Mapping[str, object] = field(default_factory=dict)


def declared_type(properties: Mapping[str, object] | None, names: Iterable[str]) -> str | None:
    """The type that a message's application properties declare, if any.

    `names` are the properties to look for, the first that is there counts; names and values are
    compared without case by whoever reads the type.
    """
    if properties:
        by_name = {str(name).casefold(): value for name, value in properties.items()}
        for name in names:
            value = by_name.get(name.casefold())
            if isinstance(value, str) and value:
                return value
    return None
