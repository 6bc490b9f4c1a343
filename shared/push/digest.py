"""The digest of an event: equal for two messages that say the same, in whatever generation.

It covers the known fields after normalising, without the time of reception (unless that stands in
for the device's time) and without unknown fields. Absent is not a value.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from shared.identifiers import normalise_tag
from shared.instants import format_instant
from shared.push.events import (
    ChargerBoot,
    ChargerState,
    Measurements,
    PushEvent,
    Sample,
    TransactionStart,
    TransactionStop,
    type_name,
)

DIGEST_CHARACTERS = 32
"""128 bits as hex: two different events of a fleet meet with a chance below 1e-18."""


@dataclass(frozen=True, slots=True)
class NamedEvent:
    """An event and its digest, found once for all rows that it is written to."""

    event: PushEvent
    digest: str


def named(event: PushEvent) -> NamedEvent:
    """The event with its digest."""
    return NamedEvent(event, digest_of(event))


def digest_of(event: PushEvent) -> str:
    """The event's digest, 32 hex characters."""
    return digest_fields(_known_fields(event))


def digest_fields(fields: dict[str, Any]) -> str:
    """The digest of normalised fields; those that are None do not count."""
    present = {name: value for name, value in fields.items() if value is not None}
    text = json.dumps(present, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_CHARACTERS]


def _known_fields(event: PushEvent) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "type": type_name(event),
        "charger": event.charger,
        "instant": format_instant(event.instant) if event.instant else None,
        "site": event.site,
        "external_site": event.external_site,
    }
    match event:
        case ChargerState():
            fields |= {
                "socket": event.socket,
                "status": _word(event.status),
                "error_code": _word(event.error_code),
                "message": event.message,
            }
        case ChargerBoot():
            fields |= {
                "serial_number": event.serial_number,
                "model": event.model,
                "manufacturer": event.manufacturer,
                "firmware_version": event.firmware_version,
                "iccid": event.iccid,
                "imsi": event.imsi,
                "meter_serial_number": event.meter_serial_number,
                "meter_type": event.meter_type,
            }
        case TransactionStart():
            fields |= _transaction_fields(event) | {"meter_start": event.meter_start_wh}
        case TransactionStop():
            fields |= _transaction_fields(event) | {
                "start": format_instant(event.start) if event.start else None,
                "meter_start": event.meter_start_wh,
                "meter_end": event.meter_end_wh,
                "energy": event.energy_wh,
            }
        case Measurements():
            fields |= {
                "socket": event.socket,
                "transaction": event.transaction,
                "other_transaction": event.other_transaction,
                "samples": [_sample(sample) for sample in event.samples],
            }
    return fields


def _transaction_fields(event: TransactionStart | TransactionStop) -> dict[str, Any]:
    return {
        "action": "start" if isinstance(event, TransactionStart) else "stop",
        "socket": event.socket,
        "socket_name": event.socket_name,
        "transaction": event.transaction,
        "other_transaction": event.other_transaction,
        "tag": normalise_tag(event.tag) if event.tag else None,
    }


def _sample(sample: Sample) -> list[Any]:
    time = format_instant(sample.device_time) if sample.device_time else None
    return [time, sample.kind, sample.phase, sample.unit, sample.value]


def _word(text: str | None) -> str | None:
    """Statuses and error codes compare without spaces and case ("No Error", "NoError")."""
    return None if text is None else text.replace(" ", "").casefold()
