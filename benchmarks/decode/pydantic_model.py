"""The baseline: the five messages as pydantic v2 models, normalised and digested as ours are.

Written as somebody who knows pydantic would write it for speed: its own JSON reader, one model for
each shape, its own conversions (numbers and texts, offsets) where it has them, plain functions
where it has none, and nothing that can wait done for messages that are as documented. It does not
look for what pydantic has no means for (keys that stand twice, the depth of nesting), which is to
its advantage.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from shared.identifiers import identifies_a_transaction, normalise_tag
from shared.push.digest import as_compared, digest_fields

_EPOCH_OF_CHARGERS = datetime(2015, 1, 1, tzinfo=UTC)
_AHEAD, _BEHIND = timedelta(days=1), timedelta(days=-365)


def _present(text: str) -> str | None:
    return text if text and not text.isspace() else None


def _required(text: str) -> str:
    if not text or text.isspace():
        raise ValueError("an identifier is expected")
    return text


def _utc(instant: datetime) -> datetime:
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)


type Text = Annotated[str, Field(max_length=4096), AfterValidator(_present)] | None
type Identifier = Annotated[str, Field(max_length=255), AfterValidator(_present)] | None
type RequiredIdentifier = Annotated[str, Field(max_length=255), AfterValidator(_required)]
type Instant = Annotated[datetime, AfterValidator(_utc)] | None
type Socket = Annotated[int, Field(ge=0, lt=2**31)]
type Value = Annotated[float | str | None, Field(union_mode="left_to_right")]


class Model(BaseModel):
    """What all models have in common."""

    model_config = ConfigDict(coerce_numbers_to_str=True, allow_inf_nan=False)


class Message(Model):
    """What every message has."""

    charger: RequiredIdentifier = Field(validation_alias="chargerId")
    received: Instant = Field(
        None,
        validation_alias=AliasChoices("receivedTimestamp", "eventReceivedTimestamp", "timeStamp"),
    )
    site: Identifier = Field(None, validation_alias="siteId")
    external_site: Identifier = Field(None, validation_alias="externalSiteId")

    def instant(self, device: datetime | None) -> datetime | None:
        """The device's time when it is plausible, else the time of reception."""
        return device if device and self.is_plausible(device) else self.received

    def is_plausible(self, device: datetime) -> bool:
        """Whether a device's clock can have been right."""
        return device >= _EPOCH_OF_CHARGERS and (
            self.received is None or _BEHIND <= device - self.received <= _AHEAD
        )

    def known_fields(self) -> list[object]:
        """The normalised fields of the digest."""
        raise NotImplementedError


class ChargerState(Message):
    """A socket's state."""

    socket: Socket = Field(validation_alias="socketId")
    device_time: Instant = Field(None, validation_alias="deviceTimeStamp")
    status: RequiredIdentifier
    error_code: Text = Field(None, validation_alias="errorCode")
    message: Text = None

    def known_fields(self) -> list[object]:
        """The normalised fields of the digest."""
        return [
            "ChargerState",
            self.charger,
            self.instant(self.device_time),
            self.socket,
            as_compared(self.status),
            as_compared(self.error_code),
            self.site,
            self.external_site,
            self.message,
        ]


class ChargerBoot(Message):
    """A charger started."""

    serial_number: Text = Field(None, validation_alias="serialNumber")
    model: Text = Field(None, validation_alias="chargerModel")
    manufacturer: Text = None
    firmware_version: Text = Field(None, validation_alias="firmwareVersion")
    iccid: Text = None
    imsi: Text = None
    meter_serial_number: Text = Field(None, validation_alias="meterSerialNumber")
    meter_type: Text = Field(None, validation_alias="meterType")

    def known_fields(self) -> list[object]:
        """The normalised fields of the digest."""
        return [
            "ChargerBoot",
            self.charger,
            self.received,
            self.site,
            self.external_site,
            self.serial_number,
            self.model,
            self.manufacturer,
            self.firmware_version,
            self.iccid,
            self.imsi,
            self.meter_serial_number,
            self.meter_type,
        ]


class OfTransaction(Message):
    """What messages about a transaction have."""

    socket: Socket = Field(validation_alias="socketId")
    transaction_id: Identifier = Field(None, validation_alias="transactionId")
    evse_transaction_id: Identifier = Field(None, validation_alias="evseTransactionId")

    def transactions(self) -> tuple[str | None, str | None]:
        """The transaction's id, and another one that the message names."""
        plain, evse = self.transaction_id, self.evse_transaction_id
        if evse is None or evse == plain:
            return plain, None
        if not identifies_a_transaction(plain):
            return evse, None
        return (evse, plain) if identifies_a_transaction(evse) else (plain, None)


class ChargingTransaction(OfTransaction):
    """A transaction's start, or its stop in v1."""

    device_time: Instant = Field(None, validation_alias="deviceTimeStamp")
    action: str
    tag: Identifier = Field(None, validation_alias="authorizedIdTag")
    meter: float | None = Field(None, validation_alias="meterRead")
    socket_name: Text = Field(None, validation_alias="socketName")

    def known_fields(self) -> list[object]:
        """The normalised fields of the digest."""
        transaction, other = self.transactions()
        stop = self.action == "transaction_stop"
        return [
            "ChargingTransaction",
            "stop" if stop else "start",
            self.charger,
            self.instant(self.device_time),
            self.socket,
            transaction,
            normalise_tag(self.tag) if self.tag else None,
            self.site,
            self.external_site,
            self.meter,
            *((None, None, None) if stop else ()),
            self.socket_name,
            other,
        ]


class FullChargingTransaction(OfTransaction):
    """A whole session."""

    start: Instant = Field(
        None, validation_alias=AliasChoices("deviceTimeStampStart", "timeStampStart")
    )
    end: Instant = Field(None, validation_alias=AliasChoices("deviceTimeStampEnd", "timeStampEnd"))
    tag: Identifier = Field(None, validation_alias="authorizedIdTag")
    meter_start: float | None = Field(None, validation_alias="meterReadStart")
    meter_end: float | None = Field(None, validation_alias="meterReadEnd")
    energy: float | None = Field(None, validation_alias="consumptionWh")
    socket_name: Text = Field(None, validation_alias="socketName")

    def known_fields(self) -> list[object]:
        """The normalised fields of the digest."""
        transaction, other = self.transactions()
        return [
            "FullChargingTransaction",
            "stop",
            self.charger,
            self.instant(self.end),
            self.socket,
            transaction,
            normalise_tag(self.tag) if self.tag else None,
            self.site,
            self.external_site,
            self.meter_end,
            self.meter_start,
            self.energy,
            self.start if self.start and self.is_plausible(self.start) else None,
            self.socket_name,
            other,
        ]


class Sample(Model):
    """One sampled value of a meter."""

    device_time: Instant = Field(None, validation_alias="deviceTimeStamp")
    kind: Text = Field(None, validation_alias="typeOfMeasurement")
    phase: Text = None
    unit: Text = None
    value: Value = None

    def order(self) -> tuple[object, ...]:
        """By time, type, phase and unit, then by the value."""
        return (
            self.device_time or _EPOCH_OF_CHARGERS,
            self.kind or "",
            self.phase or "",
            self.unit or "",
            type(self.value).__name__,
            self.value,
        )


class Measurements(OfTransaction):
    """Meter values."""

    measurements: list[Sample]

    def known_fields(self) -> list[object]:
        """The normalised fields of the digest."""
        transaction, other = self.transactions()
        samples = sorted(self.measurements, key=Sample.order)
        return [
            "Measurements",
            self.charger,
            self.instant(samples[-1].device_time if samples else None),
            self.socket,
            [[each.device_time, each.kind, each.phase, each.unit, each.value] for each in samples],
            transaction,
            self.site,
            self.external_site,
            other,
        ]


def _model_by_bytes(body: bytes) -> type[Message]:
    """The model of a message's shape, told before it is read: that saves reading it twice."""
    if b'"measurements"' in body:
        return Measurements
    if b'"status"' in body:
        return ChargerState
    if b'"meterRead"' in body:
        return ChargingTransaction
    return FullChargingTransaction if b'"consumptionWh"' in body else ChargerBoot


def _model_by_fields(fields: dict[str, Any]) -> type[Message]:
    if "measurements" in fields:
        return Measurements
    if "consumptionWh" in fields or "meterReadEnd" in fields or "meterReadStart" in fields:
        return FullChargingTransaction
    if "meterRead" in fields or "action" in fields:
        return ChargingTransaction
    return ChargerState if "status" in fields else ChargerBoot


def decode(body: bytes) -> Message:
    """Read one push message; a time that cannot be read counts as none."""
    try:
        return _model_by_bytes(body).model_validate_json(body)
    except ValidationError:
        return _decode_carefully(body)


def _decode_carefully(body: bytes) -> Message:
    fields = from_json(body, allow_inf_nan=False)
    model = _model_by_fields(fields)
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        return model.model_validate(_without_times(fields, error))


def _without_times(fields: dict[str, Any], error: ValidationError) -> dict[str, Any]:
    for each in error.errors():
        if not each["type"].startswith(("datetime", "timezone")):
            raise error
        holder: Any = fields
        *path, name = each["loc"]
        for step in path:
            holder = holder[step]
        del holder[name]
    return fields


def digest_of(message: Message) -> str:
    """The digest of a message's normalised fields."""
    return digest_fields(message.known_fields())
