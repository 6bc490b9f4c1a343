"""The five kinds of push event, read from any of the three generations into one shape.

Energy is in Wh as eMabler sends it; instants are UTC. Texts are as they came, but for null and
empty, which are absent (None). The rules are those of eMabler's Push API documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Generation(StrEnum):
    """Which documented generation of the Push API a message was written in."""

    V1 = "v1"
    V2_2025_04 = "v2-2025-04"
    V2 = "v2"


@dataclass(frozen=True, slots=True, kw_only=True)
class PushEvent:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargerState(PushEvent):
    """A socket's state (OCPP 1.6 StatusNotification); socket 0 is the charger's main controller."""

    socket: int
    status: str
    error_code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargerBoot(PushEvent):
    """A charger started (OCPP 1.6 BootNotification)."""

    serial_number: str | None = None
    model: str | None = None
    manufacturer: str | None = None
    firmware_version: str | None = None
    iccid: str | None = None
    imsi: str | None = None
    meter_serial_number: str | None = None
    meter_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionStart(PushEvent):
    """A charging transaction began. `meter_start_wh` is the meter's register in Wh."""

    socket: int
    transaction: str | None
    other_transaction: str | None = None
    tag: str | None = None
    meter_start_wh: float | None = None
    socket_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionStop(PushEvent):
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


@dataclass(frozen=True, slots=True)
class Sample:
    """One sampled value of a meter (OCPP 1.6 SampledValue). A text that is no number is kept."""

    device_time: datetime | None
    kind: str | None
    phase: str | None
    unit: str | None
    value: float | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements(PushEvent):
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
