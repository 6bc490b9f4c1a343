"""A message's bytes into one of the five events, or a rejection that names all its faults."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from shared.errors import Fault, RejectedMessageError
from shared.push.events import (
    ChargerBoot,
    ChargerState,
    Generation,
    Measurements,
    PushEvent,
    Sample,
    TransactionStart,
    TransactionStop,
)
from shared.push.fields import FieldReader, as_number, is_plausible
from shared.push.json_reading import found, read_json_object

_FULL_FIELDS = frozenset(
    ("meterReadStart", "meterReadEnd", "consumptionWh", "deviceTimeStampEnd", "timeStampEnd")
)
_BOOT_FIELDS = frozenset(
    (
        "serialNumber",
        "chargerModel",
        "manufacturer",
        "firmwareVersion",
        "iccid",
        "imsi",
        "meterSerialNumber",
        "meterType",
    )
)
_SHAPES = (
    "one of ChargerState, ChargerBoot, ChargingTransaction, FullChargingTransaction, Measurements"
)
_START, _STOP = "transaction_start", "transaction_stop"


def decode(body: bytes, declared_type: str | None = None) -> PushEvent:
    """Read one push message.

    Args:
        body: The message as it came.
        declared_type: The type that a property of the message named, if any. The shape counts:
            a type that contradicts it is flagged (`type_contradicts_shape`), and one that is
            known decides only where the shape does not.

    Raises:
        RejectedMessageError: The message cannot be read now or ever by this release; see
            `read_json_object` for the codes of its JSON, else `unknown_shape` or `bad_field`.
    """
    message = read_json_object(body)
    reader = FieldReader(message.fields)
    if message.duplicate_keys:
        reader.flag("duplicate_keys")
    shape = _shape_of(message.fields)
    declared = _DECLARED.get(_plain(declared_type)) if declared_type else None
    if shape is None:
        shape = declared
    elif declared is not None and declared is not shape:
        reader.flag("type_contradicts_shape")
    if shape is None:
        raise RejectedMessageError(
            "unknown_shape",
            (Fault("body", _SHAPES, f"an object with the fields {found(sorted(message.fields))}"),),
        )
    event = shape(reader)
    if reader.faults:
        raise RejectedMessageError("bad_field", tuple(reader.faults))
    return event


def _plain(name: str) -> str:
    return name.replace("_", "").replace(" ", "").casefold()


def _shape_of(fields: dict[str, Any]) -> Callable[[FieldReader], PushEvent] | None:
    # FullChargingTransaction comes first: a ChargingTransaction carries `action` as well.
    if "measurements" in fields:
        return _measurements
    if not _FULL_FIELDS.isdisjoint(fields):
        return _full_transaction
    if "meterRead" in fields or fields.get("action") in (_START, _STOP):
        return _transaction
    if "status" in fields:
        return _state
    if not _BOOT_FIELDS.isdisjoint(fields):
        return _boot
    return None


def _received(reader: FieldReader) -> datetime | None:
    return reader.first_instant("receivedTimestamp", "eventReceivedTimestamp", "timeStamp")


def _generation(reader: FieldReader) -> Generation:
    fields = reader.fields
    if "receivedTimestamp" in fields:
        return Generation.V2
    if "evseTransactionId" in fields or "measurements" in fields:
        return Generation.V2_2025_04
    if any(name.startswith("deviceTimeStamp") for name in fields):
        return Generation.V2_2025_04
    return Generation.V1


def _common(reader: FieldReader, received: datetime | None) -> dict[str, Any]:
    return {
        "charger": reader.required_identifier("chargerId"),
        "generation": _generation(reader),
        "received": received,
        "site": reader.identifier("siteId"),
        "external_site": reader.identifier("externalSiteId"),
    }


def _transaction_ids(reader: FieldReader) -> dict[str, Any]:
    """The transaction's id: `evseTransactionId` counts; a `transactionId` that differs is kept."""
    plain = reader.identifier("transactionId")
    evse = reader.identifier("evseTransactionId")
    if evse is None:
        return {"transaction": plain, "other_transaction": None}
    return {"transaction": evse, "other_transaction": plain if plain != evse else None}


def _state(reader: FieldReader) -> ChargerState:
    received = _received(reader)
    return ChargerState(
        **_common(reader, received),
        socket=reader.socket(),
        instant=reader.event_instant(reader.instant("deviceTimeStamp"), received),
        status=reader.required_identifier("status"),
        error_code=reader.text("errorCode"),
        message=reader.text("message"),
        flags=tuple(reader.flags),
    )


def _boot(reader: FieldReader) -> ChargerBoot:
    received = _received(reader)
    return ChargerBoot(
        **_common(reader, received),
        instant=received,
        serial_number=reader.text("serialNumber"),
        model=reader.text("chargerModel"),
        manufacturer=reader.text("manufacturer"),
        firmware_version=reader.text("firmwareVersion"),
        iccid=reader.text("iccid"),
        imsi=reader.text("imsi"),
        meter_serial_number=reader.text("meterSerialNumber"),
        meter_type=reader.text("meterType"),
        flags=tuple(reader.flags),
    )


def _transaction(reader: FieldReader) -> TransactionStart | TransactionStop:
    received = _received(reader)
    common = _common(reader, received) | _transaction_ids(reader)
    common |= {
        "socket": reader.socket(),
        "socket_name": reader.text("socketName"),
        "instant": reader.event_instant(reader.instant("deviceTimeStamp"), received),
        "tag": reader.identifier("authorizedIdTag"),
    }
    action, meter = reader.text("action"), reader.number("meterRead")
    if action == _STOP:
        return TransactionStop(**common, meter_end_wh=meter, flags=tuple(reader.flags))
    if action != _START:
        reader.fault("action", f"{_START} or {_STOP}", action)
    return TransactionStart(**common, meter_start_wh=meter, flags=tuple(reader.flags))


def _full_transaction(reader: FieldReader) -> TransactionStop:
    received = _received(reader)
    start = reader.first_instant("deviceTimeStampStart", "timeStampStart")
    if start is not None and not is_plausible(start, received):
        reader.flag("start_time_implausible")
        start = None
    end = reader.first_instant("deviceTimeStampEnd", "timeStampEnd")
    return TransactionStop(
        **_common(reader, received),
        **_transaction_ids(reader),
        socket=reader.socket(),
        socket_name=reader.text("socketName"),
        instant=reader.event_instant(end, received),
        start=start,
        tag=reader.identifier("authorizedIdTag"),
        meter_start_wh=reader.number("meterReadStart"),
        meter_end_wh=reader.number("meterReadEnd"),
        energy_wh=reader.number("consumptionWh"),
        full=True,
        flags=tuple(reader.flags),
    )


def _measurements(reader: FieldReader) -> Measurements:
    received = _received(reader)
    samples = _samples(reader)
    times = [sample.device_time for sample in samples if sample.device_time is not None]
    return Measurements(
        **_common(reader, received),
        **_transaction_ids(reader),
        socket=reader.socket(),
        instant=reader.event_instant(max(times, default=None), received),
        samples=samples,
        flags=tuple(reader.flags),
    )


def _samples(reader: FieldReader) -> tuple[Sample, ...]:
    values = reader.fields.get("measurements")
    if not isinstance(values, list):
        reader.fault("measurements", "a list", values)
        return ()
    samples: list[Sample] = []
    for index, value in enumerate(values):
        if not isinstance(value, dict):
            reader.fault(f"measurements[{index}]", "an object", value)
            continue
        inner = FieldReader(value, f"measurements[{index}].")
        samples.append(_sample(inner))
        reader.faults.extend(inner.faults)
        for flag in inner.flags:
            reader.flag(flag)
    return tuple(sorted(samples, key=_sample_order))


def _sample(reader: FieldReader) -> Sample:
    text = reader.text("value")
    number = as_number(text)
    if number is None:
        reader.flag("value_not_a_number")
    return Sample(
        device_time=reader.instant("deviceTimeStamp"),
        kind=reader.text("typeOfMeasurement"),
        phase=reader.text("phase"),
        unit=reader.text("unit"),
        value=text if number is None else number,
    )


def _sample_order(sample: Sample) -> tuple[str, str, str, str, str]:
    return (
        str(sample.device_time or ""),
        sample.kind or "",
        sample.phase or "",
        sample.unit or "",
        str(sample.value),
    )


_DECLARED: dict[str, Callable[[FieldReader], PushEvent]] = {
    "chargerstate": _state,
    "chargerboot": _boot,
    "chargingtransaction": _transaction,
    "fullchargingtransaction": _full_transaction,
    "measurements": _measurements,
}
