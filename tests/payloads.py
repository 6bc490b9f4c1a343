"""Push messages in the shapes of all three generations: fields can be given or left out."""

from __future__ import annotations

import json
from typing import Any

ABSENT = object()
"""Given for a field, leaves it out."""


def body(fields: dict[str, Any], changes: dict[str, Any]) -> bytes:
    merged = {name: value for name, value in (fields | changes).items() if value is not ABSENT}
    return json.dumps(merged).encode()


def state_v2(**changes: Any) -> bytes:
    return body(
        {
            "chargerId": "CH-0042",
            "socketId": 1,
            "receivedTimestamp": "2026-11-02T09:11:03.7849436Z",
            "siteId": "77",
            "externalSiteId": "EXT-77",
            "deviceTimeStamp": "2026-11-02T09:11:03.680905Z",
            "status": "Available",
            "errorCode": "NoError",
            "message": "all is well",
        },
        changes,
    )


def state_v2_2025(**changes: Any) -> bytes:
    return body(
        {
            "chargerId": "CH-0042",
            "socketId": 1,
            "timeStamp": "2026-11-02T09:11:03.7849436Z",
            "deviceTimeStamp": "2026-11-02T09:11:03.680905Z",
            "status": "Available",
            "errorCode": "NoError",
            "message": "all is well",
        },
        changes,
    )


def state_v1(**changes: Any) -> bytes:
    return body(
        {
            "chargerId": "CH-0042",
            "socketId": 1,
            "timeStamp": "2026-11-02T09:11:03.680905Z",
            "status": "Available",
            "errorCode": "No Error",
            "message": "all is well",
        },
        changes,
    )


def boot_v2(**changes: Any) -> bytes:
    return body(
        {
            "chargerId": "CH-0042",
            "receivedTimestamp": "2026-11-02T09:11:03.7373916Z",
            "siteId": "77",
            "externalSiteId": "EXT-77",
            "serialNumber": "SN-1",
            "chargerModel": "Wallbox 22",
            "manufacturer": "Acme",
            "firmwareVersion": "1.1",
            "iccid": "8935",
            "imsi": "24491",
            "meterSerialNumber": "M-9",
            "meterType": "S0",
        },
        changes,
    )


def boot_v1(**changes: Any) -> bytes:
    return body(
        {
            "chargerId": "CH-0042",
            "timeStamp": "2026-11-02T09:11:03.23181Z",
            "serialNumber": "SN-1",
            "chargerModel": "Wallbox 22",
            "manufacturer": "Acme",
            "firmwareVersion": "1.1",
            "iccid": "8935",
            "imsi": "24491",
            "meterSerialNumber": "M-9",
            "meterType": "S0",
        },
        changes,
    )


def start_v2(**changes: Any) -> bytes:
    return body(
        {
            "chargerId": "CH-0042",
            "socketId": 1,
            "socketName": "left",
            "receivedTimestamp": "2026-11-02T09:11:32.4951111Z",
            "siteId": "77",
            "externalSiteId": "EXT-77",
            "deviceTimeStamp": "2026-11-02T09:11:32.3991208Z",
            "action": "transaction_start",
            "transactionId": "1032427936",
            "authorizedIdTag": "TAG123",
            "meterRead": 1000,
        },
        changes,
    )


def start_v2_2025(**changes: Any) -> bytes:
    return body(
        {
            "chargerId": "CH-0042",
            "socketId": 1,
            "socketName": "left",
            "timeStamp": "2026-11-02T09:11:32.4951111Z",
            "deviceTimeStamp": "2026-11-02T09:11:32.3991208Z",
            "action": "transaction_start",
            "evseTransactionId": "1032427936",
            "authorizedIdTag": "TAG123",
            "meterRead": 1000,
        },
        changes,
    )


def start_v1(**changes: Any) -> bytes:
    return body(
        {
            "chargerId": "CH-0042",
            "socketId": 1,
            "timeStamp": "2026-11-02T09:11:32.399Z",
            "action": "transaction_start",
            "transactionId": 1032427936,
            "authorizedIdTag": "TAG123",
            "meterRead": 1000,
        },
        changes,
    )


def stop_v1(**changes: Any) -> bytes:
    return body(
        {
            "chargerId": "CH-0042",
            "socketId": 1,
            "timeStamp": "2026-11-02T10:41:43.633Z",
            "action": "transaction_stop",
            "transactionId": 1032427936,
            "authorizedIdTag": "TAG123",
            "meterRead": 13300,
        },
        changes,
    )


def full_v2(**changes: Any) -> bytes:
    return body(
        {
            "chargerId": "CH-0042",
            "socketId": 1,
            "receivedTimestamp": "2026-11-02T10:41:43.700944Z",
            "siteId": "77",
            "externalSiteId": "EXT-77",
            "deviceTimeStampStart": "2026-11-02T09:11:32.4Z",
            "deviceTimeStampEnd": "2026-11-02T10:41:43.6331432Z",
            "transactionId": "1032427936",
            "authorizedIdTag": "TAG123",
            "meterReadStart": 1000,
            "meterReadEnd": 13300,
            "consumptionWh": 12300,
            "action": "transaction_stop",
        },
        changes,
    )


def full_v2_2025(**changes: Any) -> bytes:
    return body(
        {
            "chargerId": "CH-0042",
            "socketId": 1,
            "eventReceivedTimestamp": "2026-11-02T10:41:43.700944Z",
            "deviceTimeStampStart": "2026-11-02T09:11:32.4Z",
            "deviceTimeStampEnd": "2026-11-02T10:41:43.6331432Z",
            "transactionId": 1032427936,
            "evseTransactionId": "1032427936",
            "authorizedIdTag": "TAG123",
            "meterReadStart": 1000,
            "meterReadEnd": 13300,
            "consumptionWh": 12300,
            "action": "transaction_stop",
        },
        changes,
    )


def full_v1(**changes: Any) -> bytes:
    return body(
        {
            "chargerId": "CH-0042",
            "socketId": 1,
            "timeStampStart": "2026-11-02T09:11:32.4Z",
            "timeStampEnd": "2026-11-02T12:41:43.633143+02:00",
            "transactionId": 1032427936,
            "authorizedIdTag": "TAG123",
            "meterReadStart": 1000,
            "meterReadEnd": 13300,
            "consumptionWh": 12300,
        },
        changes,
    )


def measurements(**changes: Any) -> bytes:
    return body(
        {
            "chargerId": "CH-0042",
            "socketId": 1,
            "timeStamp": "2026-11-02T09:50:27.7813314Z",
            "transactionId": "1032427936",
            "measurements": [
                {
                    "deviceTimeStamp": "2026-11-02T09:50:27.6874092Z",
                    "value": value,
                    "typeOfMeasurement": kind,
                    "phase": phase,
                    "unit": unit,
                }
                for value, kind, phase, unit in (
                    ("5", "Current.Import", "L1", "A"),
                    ("236", "Voltage", "L1-N", "V"),
                )
            ],
        },
        changes,
    )


ALL_SHAPES = {
    "state_v2": state_v2,
    "state_v2_2025": state_v2_2025,
    "state_v1": state_v1,
    "boot_v2": boot_v2,
    "boot_v1": boot_v1,
    "start_v2": start_v2,
    "start_v2_2025": start_v2_2025,
    "start_v1": start_v1,
    "stop_v1": stop_v1,
    "full_v2": full_v2,
    "full_v2_2025": full_v2_2025,
    "full_v1": full_v1,
    "measurements": measurements,
}
