"""The five kinds of push event, read from any of the three generations into one shape.

Energy is in Wh as eMabler sends it; instants are UTC. Texts are as they came, but for null and
empty, which are absent (None). The rules are those of eMabler's Push API documentation.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class Generation(StrEnum):
    """Which documented generation of the Push API a message was written in."""

    V1 = "v1"
    V2_2025_04 = "v2-2025-04"
    V2 = "v2"


class PushEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What every event has. `instant` is the event's own time; None when nothing tells it.

    `instant` is the device's time when that is plausible, else the time eMabler received the
    event. `flags` name what was odd about the message; see docs/promises.md.
    """

    charger: str
    generation: Generation
    received: datetime | None
    instant: datetime | None
    site: str | None = None
    external_site: str | None = None
    flags: tuple[str, ...] = ()


class ChargerState(PushEvent, frozen=True, kw_only=True):
    """A socket's state (OCPP 1.6 StatusNotification); socket 0 is the charger's main controller."""

    socket: int
    status: str
    error_code: str | None = None
    message: str | None = None


class ChargerBoot(PushEvent, frozen=True, kw_only=True):
    """A charger started (OCPP 1.6 BootNotification)."""

    serial_number: str | None = None
    model: str | None = None
    manufacturer: str | None = None
    firmware_version: str | None = None
    iccid: str | None = None
    imsi: str | None = None
    meter_serial_number: str | None = None
    meter_type: str | None = None


class TransactionStart(PushEvent, frozen=True, kw_only=True):
    """A charging transaction began. `meter_start_wh` is the meter's register in Wh."""

    socket: int
    transaction: str | None
    other_transaction: str | None = None
    tag: str | None = None
    meter_start_wh: float | None = None
    socket_name: str | None = None


class TransactionStop(PushEvent, frozen=True, kw_only=True):
    """A charging transaction ended: a v1 stop, or a full message, which also tells its start.

    `start` is None when the message does not tell it or tells an implausible one.
    """

    socket: int
    transaction: str | None
    other_transaction: str | None = None
    tag: str | None = None
    start: datetime | None = None
    meter_start_wh: float | None = None
    meter_end_wh: float | None = None
    energy_wh: float | None = None
    full: bool = False
    socket_name: str | None = None


class Sample(msgspec.Struct, frozen=True, order=True, array_like=True):
    """One sampled value of a meter (OCPP 1.6 SampledValue). A text that is no number is kept.

    Its fields, in this order, are what the digest of the event covers of it.
    """

    device_time: datetime | None
    kind: str | None
    phase: str | None
    unit: str | None
    value: float | str | None


class Measurements(PushEvent, frozen=True, kw_only=True):
    """Meter values, ordered by time, kind, phase and unit; the transaction may be unknown."""

    socket: int
    transaction: str | None
    other_transaction: str | None = None
    samples: tuple[Sample, ...] = ()


TYPE_NAMES: dict[type[PushEvent], str] = {
    ChargerState: "ChargerState",
    ChargerBoot: "ChargerBoot",
    TransactionStart: "ChargingTransaction",
    TransactionStop: "FullChargingTransaction",
    Measurements: "Measurements",
}


def type_name(event: PushEvent) -> str:
    """The event's type as eMabler names it; a v1 stop is a `ChargingTransaction`."""
    if isinstance(event, TransactionStop) and not event.full:
        return "ChargingTransaction"
    return TYPE_NAMES[type(event)]


CLOCK_FLAGS = ("device_time_implausible", "start_time_implausible")
"""Flags of a charger's clock that cannot have been right."""


def clock_marks(event: PushEvent) -> tuple[str, ...]:
    """Which of the clock's flags a message has. They count in the digest.

    Where a time was refused another one stands in, or none. Two messages that are alike but for
    that are two claims, since only one of them is to be looked at.
    """
    return tuple(flag for flag in CLOCK_FLAGS if flag in event.flags) if event.flags else ()
