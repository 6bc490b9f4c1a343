"""The digest of an event: equal for two messages that say the same, in whatever generation.

It covers the known fields after normalising, without the time of reception (unless that stands in
for the device's time) and without unknown fields. Absent is not a value.

The digest is BLAKE2b, cut to 128 bits, of the fields as one MessagePack array: the type first, the
others in the order of `_known_fields`, absent ones as nil, and none of the absent ones after the
last that is there. Texts are UTF-8, instants MessagePack's timestamps, energies and meters 64-bit
floats, a socket an integer: each has one spelling in that format, which tells where a field ends.
So two lists of fields have the same bytes only when they are equal, on any machine and in any
version of Python; `tests/push/test_digest.py` holds digests that must never change. A field that
comes to be known goes to the end of its type's list: the digests of events without it stay.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

import msgspec

from shared.identifiers import normalise_tag
from shared.push.events import (
    ChargerBoot,
    ChargerState,
    Measurements,
    PushEvent,
    TransactionStart,
    TransactionStop,
    clock_marks,
)

DIGEST_CHARACTERS = 32
"""128 bits as hex: two different events of a fleet meet with a chance below 1e-18."""

_packed = msgspec.msgpack.Encoder().encode


class NamedEvent(msgspec.Struct, frozen=True):
    """An event and its digest, found once for all rows that it is written to."""

    event: PushEvent
    digest: str


def named(event: PushEvent) -> NamedEvent:
    """The event with its digest."""
    return NamedEvent(event, digest_of(event))


def digest_of(event: PushEvent) -> str:
    """The event's digest, 32 hex characters."""
    return digest_fields(_known_fields(event))


def digest_fields(fields: list[object]) -> str:
    """The digest of normalised fields, the type first; an absent one is None."""
    while fields[-1] is None:
        fields.pop()
    return blake2b(_packed(fields), digest_size=DIGEST_CHARACTERS // 2).hexdigest()


def _known_fields(event: PushEvent) -> list[object]:
    match event:
        case Measurements():
            return [
                "Measurements",
                event.charger,
                event.instant,
                event.socket,
                event.samples,
                event.transaction,
                event.site,
                event.external_site,
                event.other_transaction,
            ]
        case ChargerState():
            return [
                "ChargerState",
                event.charger,
                event.instant,
                event.socket,
                as_compared(event.status),
                as_compared(event.error_code),
                event.site,
                event.external_site,
                event.message,
            ]
        case TransactionStart():
            return [
                "ChargingTransaction",
                "start",
                *_transaction_fields(event),
                event.meter_start_wh,
                event.socket_name,
                event.other_transaction,
                clock_marks(event) or None,
            ]
        case TransactionStop():
            return [
                "FullChargingTransaction" if event.full else "ChargingTransaction",
                "stop",
                *_transaction_fields(event),
                event.meter_end_wh,
                event.meter_start_wh,
                event.energy_wh,
                event.start,
                event.socket_name,
                event.other_transaction,
                clock_marks(event) or None,
            ]
        case ChargerBoot():
            return [
                "ChargerBoot",
                event.charger,
                event.instant,
                event.site,
                event.external_site,
                event.serial_number,
                event.model,
                event.manufacturer,
                event.firmware_version,
                event.iccid,
                event.imsi,
                event.meter_serial_number,
                event.meter_type,
            ]
    raise TypeError(f"{type(event).__name__} is none of the five events")


def _transaction_fields(event: TransactionStart | TransactionStop) -> tuple[object, ...]:
    return (
        event.charger,
        event.instant,
        event.socket,
        event.transaction,
        normalise_tag(event.tag) if event.tag else None,
        event.site,
        event.external_site,
    )


@lru_cache(maxsize=512)
def as_compared(text: str | None) -> str | None:
    """A status or error code as it compares: without spaces and case ("No Error", "NoError")."""
    return None if text is None else text.replace(" ", "").casefold()
