"""Facts as push messages in the three documented generations, field by field.

Written from the documentation's tables and samples. Casing is uneven on purpose, as there.
"""

import json
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from local.emabler.fleet.facts import (
    AnyFact,
    Booted,
    Clock,
    MetersTold,
    StartTold,
    StateTold,
    StopTold,
)
from local.emabler.fleet.network import Charger, Generation

_V1, _OLD, _NEW = Generation.V1, Generation.V2_2025_04, Generation.V2
_RECEIVED: Final = {_V1: "timeStamp", _OLD: "timeStamp", _NEW: "receivedTimestamp"}
_HELSINKI: Final = timezone(timedelta(hours=2))

type Fields = dict[str, Any]


def write(fact: AnyFact, clock: Clock, received: datetime) -> bytes:
    """Write the message that tells a fact, as eMabler sends it on reception."""
    fields = _fields(fact, clock, received)
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def type_of(fact: AnyFact) -> str:
    """Name the message's type as eMabler does: a stop of 2022 may be a `ChargingTransaction`."""
    match fact:
        case Booted():
            return "ChargerBoot"
        case StateTold():
            return "ChargerState"
        case MetersTold():
            return "Measurements"
        case StopTold() if _is_full(fact.charger):
            return "FullChargingTransaction"
        case _:
            return "ChargingTransaction"


def _is_full(charger: Charger) -> bool:
    return charger.generation is not _V1 or charger.by_full


def _fields(fact: AnyFact, clock: Clock, received: datetime) -> Fields:
    match fact:
        case Booted():
            return _boot(fact.charger, received)
        case StateTold():
            return _state(fact, clock, received)
        case StartTold():
            return _start(fact, clock, received)
        case StopTold():
            return _full(fact, clock, received) if _is_full(fact.charger) else _stop(fact, received)
        case MetersTold():
            return _meters(fact, clock, received)


def _head(charger: Charger, received: datetime, socket: int | None, name: str = "") -> Fields:
    """The fields that all messages begin with; the current generation tells the site."""
    fields: Fields = {"chargerId": charger.id}
    if socket is not None:
        fields["socketId"] = socket
    fields[name or _RECEIVED[charger.generation]] = _text(received)
    if charger.generation is _NEW:
        fields |= {"siteId": str(charger.site.number), "externalSiteId": charger.site.external}
    return fields


def _boot(charger: Charger, received: datetime) -> Fields:
    card = f"{charger.number:07}"
    return _head(charger, received, None) | {
        "serialNumber": charger.serial,
        "chargerModel": charger.model.name,
        "manufacturer": charger.model.manufacturer,
        "firmwareVersion": charger.model.firmware,
        "iccid": f"893580120000{card}",
        "imsi": f"24405120{card}",
        "meterSerialNumber": f"M-{charger.number}",
        "meterType": charger.model.meter,
    }


def _state(fact: StateTold, clock: Clock, received: datetime) -> Fields:
    fields = _head(fact.charger, received, fact.socket)
    if fact.charger.generation is not _V1:
        fields["deviceTimeStamp"] = _text(clock.device(fact.at))
    # 2022 says "No Error", later generations "NoError".
    spaced = fact.charger.generation is _V1 and fact.error == "NoError"
    fields |= {"status": fact.status, "errorCode": "No Error" if spaced else fact.error}
    return fields | {"message": fact.message}


def _start(fact: StartTold, clock: Clock, received: datetime) -> Fields:
    charger, session = fact.charger, fact.session
    fields = _head(charger, received, session.socket)
    if charger.generation is not _V1:
        fields |= {
            "socketName": f"{charger.number}-{session.socket}",
            "deviceTimeStamp": _text(clock.device(fact.at)),
        }
    fields["action"] = "transaction_start"
    fields |= _transaction(charger, session.transaction, start=True)
    return fields | {"authorizedIdTag": session.tag.id, "meterRead": fact.meter}


def _stop(fact: StopTold, received: datetime) -> Fields:
    session = fact.session
    fields = _head(fact.charger, received, session.socket) | {"action": "transaction_stop"}
    fields |= _transaction(fact.charger, session.transaction, start=False)
    return fields | {"authorizedIdTag": session.tag.id, "meterRead": fact.meter_end}


def _full(fact: StopTold, clock: Clock, received: datetime) -> Fields:
    charger, session = fact.charger, fact.session
    # The samples tell one start with seven digits in its own message, with one in the full one.
    start = _tenths(clock.device(session.starts))
    end = clock.device(fact.at)
    if charger.generation is _V1:
        fields: Fields = {
            "chargerId": charger.id,
            "socketId": session.socket,
            "timeStampStart": _text(start),
            "timeStampEnd": _with_offset(end),
        }
    else:
        name = "eventReceivedTimestamp" if charger.generation is _OLD else ""
        fields = _head(charger, received, session.socket, name) | {
            "deviceTimeStampStart": _text(start),
            "deviceTimeStampEnd": _text(end),
        }
    fields |= _transaction(charger, session.transaction, start=False)
    fields |= {
        "authorizedIdTag": session.tag.id,
        "meterReadStart": fact.meter_start,
        "meterReadEnd": fact.meter_end,
        "consumptionWh": fact.meter_end - fact.meter_start,
    }
    return fields if charger.generation is _V1 else fields | {"action": "transaction_stop"}


def _transaction(charger: Charger, transaction: str, *, start: bool) -> Fields:
    match charger.generation:
        case Generation.V1:
            return {"transactionId": int(transaction)}
        case Generation.V2_2025_04 if start:
            return {"evseTransactionId": transaction}
        case Generation.V2_2025_04:
            return {"transactionId": int(transaction), "evseTransactionId": transaction}
        case _:
            return {"transactionId": transaction}


def _meters(fact: MetersTold, clock: Clock, received: datetime) -> Fields:
    charger, session = fact.charger, fact.session
    fields = _head(charger, received, session.socket)
    if fact.of_transaction:
        number = charger.generation is _V1
        fields["transactionId"] = int(session.transaction) if number else session.transaction
    values = [
        (str(fact.register), "Energy.Active.Import.Register", None, "Wh"),
        (str(fact.watts), "Power.Active.Import", None, "W"),
        (f"{fact.watts // 23 / 30:.1f}", "Current.Import", "L1", "A"),
    ]
    if fact.charge is not None:
        values.append((str(fact.charge), "SoC", None, "Percent"))
    time = _text(clock.device(fact.at))
    fields["measurements"] = [
        {
            "deviceTimeStamp": time,
            "value": value,
            "typeOfMeasurement": kind,
            "phase": phase,
            "unit": unit,
        }
        for value, kind, phase, unit in values
    ]
    return fields


def _text(moment: datetime) -> str:
    """A time with seven fractional digits, as eMabler's servers write them."""
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}{moment.microsecond * 7 % 10}Z"


def _with_offset(moment: datetime) -> str:
    return moment.astimezone(_HELSINKI).isoformat(timespec="microseconds")


def _tenths(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 100_000 * 100_000)
