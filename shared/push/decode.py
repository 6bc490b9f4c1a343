"""A message's bytes into one of the five events, or a rejection that names all its faults."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from shared.errors import Fault, RejectedMessageError
from shared.identifiers import identifies_a_transaction
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
from shared.push.fields import FieldReader, as_number, as_text, is_plausible
from shared.push.json_reading import found, read_json_object

type Shape = Callable[[FieldReader], PushEvent]

_FULL_FIELDS = frozenset(
    (
        "meterReadStart",
        "meterReadEnd",
        "consumptionWh",
        "deviceTimeStampStart",
        "deviceTimeStampEnd",
        "timeStampStart",
        "timeStampEnd",
    )
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
_SINCE_APRIL_2025 = frozenset(
    (
        "measurements",
        "deviceTimeStamp",
        "deviceTimeStampStart",
        "deviceTimeStampEnd",
        "eventReceivedTimestamp",
        "evseTransactionId",
    )
)
_SHAPES = (
    "one of ChargerState, ChargerBoot, ChargingTransaction, FullChargingTransaction, Measurements"
)
_START, _STOP = "transaction_start", "transaction_stop"
_ACTIONS = {"transactionstart": _START, "transactionstop": _STOP}
_MOST_FAULTS = 100  # of samples: a message of many thousand broken ones takes no longer
_YEAR_1 = datetime(1, 1, 1, tzinfo=UTC)


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
    fields = message.fields
    reader = FieldReader(fields)
    if message.duplicate_keys:
        reader.flag("duplicate_keys")
    shape = _shape_of(fields)
    if declared_type:
        declared = _DECLARED.get(_plain(declared_type))
        if shape is None:
            shape = declared
        elif declared is not None and declared is not shape:
            reader.flag("type_contradicts_shape")
    if shape is None:
        raise RejectedMessageError(
            "unknown_shape",
            (Fault("body", _SHAPES, f"an object with the fields {found(sorted(fields))}"),),
        )
    event = shape(reader)
    if reader.faults:
        raise RejectedMessageError("bad_field", tuple(reader.faults))
    return event


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name)).casefold()


def _shape_of(fields: dict[str, Any]) -> Shape | None:
    """The shape that the fields show; a field that is null shows one only where no other does."""
    return _shape_of_present(fields) or _shape_of_present(dict.fromkeys(fields, ""))


def _shape_of_present(fields: dict[str, Any]) -> Shape | None:
    # FullChargingTransaction comes first: a ChargingTransaction carries `action` as well.
    if fields.get("measurements") is not None:
        return _measurements
    if _has_one_of(_FULL_FIELDS, fields):
        return _full_transaction
    if fields.get("meterRead") is not None or _action_of(fields.get("action")):
        return _transaction
    if fields.get("status") is not None:
        return _state
    if _has_one_of(_BOOT_FIELDS, fields):
        return _boot
    return None


def _has_one_of(names: frozenset[str], fields: dict[str, Any]) -> bool:
    if names.isdisjoint(fields):
        return False
    return any(fields.get(name) is not None for name in names)


def _action_of(value: object) -> str | None:
    return _ACTIONS.get(_plain(value)) if isinstance(value, str) else None


def _received(reader: FieldReader) -> datetime | None:
    received = reader.instant("receivedTimestamp", "eventReceivedTimestamp", "timeStamp")
    # .NET writes the first instant of year 1 for no time; eMabler's REST does so in `lastSeen`.
    return None if received is None or received.year == 1 else received


def _generation(reader: FieldReader) -> Generation:
    fields = reader.fields
    if "receivedTimestamp" in fields:
        return Generation.V2
    return Generation.V1 if _SINCE_APRIL_2025.isdisjoint(fields) else Generation.V2_2025_04


def _transaction_ids(reader: FieldReader) -> tuple[str | None, str | None]:
    """The transaction's id, and another one that the message names.

    `evseTransactionId` counts; a `transactionId` that differs is kept. What identifies nothing
    (0, -1) gives way to what does; where neither does, it is kept as it came.
    """
    plain = reader.identifier("transactionId")
    evse = reader.identifier("evseTransactionId")
    if evse is None or evse == plain:
        return plain, None
    if not identifies_a_transaction(plain):
        return evse, None
    return (evse, plain) if identifies_a_transaction(evse) else (plain, None)


def _state(reader: FieldReader) -> ChargerState:
    received = _received(reader)
    return ChargerState(
        charger=reader.required_identifier("chargerId"),
        generation=_generation(reader),
        received=received,
        site=reader.identifier("siteId"),
        external_site=reader.identifier("externalSiteId"),
        socket=reader.socket(),
        instant=reader.event_instant(reader.instant("deviceTimeStamp"), received),
        status=reader.required_identifier("status"),
        error_code=reader.text("errorCode"),
        message=reader.text("message"),
        flags=reader.flags,
    )


def _boot(reader: FieldReader) -> ChargerBoot:
    received = _received(reader)
    return ChargerBoot(
        charger=reader.required_identifier("chargerId"),
        generation=_generation(reader),
        received=received,
        site=reader.identifier("siteId"),
        external_site=reader.identifier("externalSiteId"),
        instant=received,
        serial_number=reader.text("serialNumber"),
        model=reader.text("chargerModel"),
        manufacturer=reader.text("manufacturer"),
        firmware_version=reader.text("firmwareVersion"),
        iccid=reader.text("iccid"),
        imsi=reader.text("imsi"),
        meter_serial_number=reader.text("meterSerialNumber"),
        meter_type=reader.text("meterType"),
        flags=reader.flags,
    )


def _transaction(reader: FieldReader) -> TransactionStart | TransactionStop:
    received = _received(reader)
    transaction, other = _transaction_ids(reader)
    common: dict[str, Any] = {
        "charger": reader.required_identifier("chargerId"),
        "generation": _generation(reader),
        "received": received,
        "site": reader.identifier("siteId"),
        "external_site": reader.identifier("externalSiteId"),
        "socket": reader.socket(),
        "socket_name": reader.text("socketName"),
        "instant": reader.event_instant(reader.instant("deviceTimeStamp"), received),
        "transaction": transaction,
        "other_transaction": other,
        "tag": reader.identifier("authorizedIdTag"),
    }
    meter = reader.number("meterRead")
    action = _action_of(reader.fields.get("action"))
    if action == _STOP:
        return TransactionStop(**common, meter_end_wh=meter, flags=reader.flags)
    if action != _START:
        reader.fault("action", f"{_START} or {_STOP}", reader.fields.get("action"))
    return TransactionStart(**common, meter_start_wh=meter, flags=reader.flags)


def _full_transaction(reader: FieldReader) -> TransactionStop:
    received = _received(reader)
    transaction, other = _transaction_ids(reader)
    start = reader.instant("deviceTimeStampStart", "timeStampStart")
    if start is not None and not is_plausible(start, received):
        reader.flag("start_time_implausible")
        start = None
    end = reader.instant("deviceTimeStampEnd", "timeStampEnd")
    return TransactionStop(
        charger=reader.required_identifier("chargerId"),
        generation=_generation(reader),
        received=received,
        site=reader.identifier("siteId"),
        external_site=reader.identifier("externalSiteId"),
        socket=reader.socket(),
        socket_name=reader.text("socketName"),
        instant=reader.event_instant(end, received),
        start=start,
        transaction=transaction,
        other_transaction=other,
        tag=reader.identifier("authorizedIdTag"),
        meter_start_wh=reader.number("meterReadStart"),
        meter_end_wh=reader.number("meterReadEnd"),
        energy_wh=reader.number("consumptionWh"),
        full=True,
        flags=reader.flags,
    )


def _measurements(reader: FieldReader) -> Measurements:
    received = _received(reader)
    transaction, other = _transaction_ids(reader)
    samples = _samples(reader)
    # They are ordered by time, those without one first.
    latest = samples[-1].device_time if samples else None
    return Measurements(
        charger=reader.required_identifier("chargerId"),
        generation=_generation(reader),
        received=received,
        site=reader.identifier("siteId"),
        external_site=reader.identifier("externalSiteId"),
        socket=reader.socket(),
        instant=reader.event_instant(latest, received),
        transaction=transaction,
        other_transaction=other,
        samples=samples,
        flags=reader.flags,
    )


def _samples(reader: FieldReader) -> tuple[Sample, ...]:
    values = reader.fields.get("measurements")
    if not isinstance(values, list):
        reader.fault("measurements", "a list", values)
        return ()
    samples: list[Sample] = []
    inner = FieldReader({})
    written: object = None
    time: datetime | None = None
    for index, value in enumerate(values):
        if len(reader.faults) >= _MOST_FAULTS:
            break
        if not isinstance(value, dict):
            reader.fault(f"measurements[{index}]", "an object", value)
            continue
        inner.fields = value
        # Samples of one message mostly have one time: it is read once.
        if written != value.get("deviceTimeStamp"):
            written = value.get("deviceTimeStamp")
            time = inner.instant("deviceTimeStamp")
        number = as_number(value.get("value"))
        samples.append(
            Sample(
                time,
                inner.text("typeOfMeasurement"),
                inner.text("phase"),
                inner.text("unit"),
                _no_number(inner) if number is None else number,
            )
        )
        if inner.faults or inner.flags:
            reader.adopt(inner, f"measurements[{index}].")
            inner = FieldReader({})
    return _ordered(samples)


def _ordered(samples: list[Sample]) -> tuple[Sample, ...]:
    """The samples by time, type, phase and unit, then by the value."""
    try:
        samples.sort()
    except TypeError:
        # What is absent in one of them is there in another, or a text stands beside a number.
        samples.sort(key=_sample_order)
    return tuple(samples)


def _no_number(reader: FieldReader) -> str | None:
    """A sample's value that is no number, as text (a signed one is long); it is flagged."""
    reader.flag("value_not_a_number")
    value = reader.fields.get("value")
    if value is None or isinstance(value, str):
        return as_text(value)
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _sample_order(sample: Sample) -> tuple[object, ...]:
    """Sorts as samples do among themselves; the absent comes first, a number before a text."""
    time, value = sample.device_time, sample.value
    return (
        time is not None,
        time or _YEAR_1,
        sample.kind or "",
        sample.phase or "",
        sample.unit or "",
        type(value).__name__,
        value,
    )


_DECLARED: dict[str, Shape] = {
    "chargerstate": _state,
    "chargerboot": _boot,
    "chargingtransaction": _transaction,
    "fullchargingtransaction": _full_transaction,
    "measurements": _measurements,
}
