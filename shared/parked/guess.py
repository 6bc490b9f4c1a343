"""What a message that could not be read is most likely about: type and charger, as far as it goes.

For an operator's filters only. Nothing is decided by it: `shared.push.decode` decides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

_FIELDS_OF = (
    ("Measurements", {"measurements"}),
    (
        "FullChargingTransaction",
        {"meterReadStart", "meterReadEnd", "consumptionWh", "deviceTimeStampEnd", "timeStampEnd"},
    ),
    ("ChargingTransaction", {"meterRead", "action"}),
    ("ChargerState", {"status"}),
    (
        "ChargerBoot",
        {"serialNumber", "chargerModel", "manufacturer", "firmwareVersion", "meterSerialNumber"},
    ),
)
TYPES = tuple(name for name, _ in _FIELDS_OF)

_FIELD = re.compile(r'"(\w{1,64})"\s*:')
_CHARGER = re.compile(r'"chargerId"\s*:\s*(?:"((?:[^"\\]|\\.){1,255})"|(\d{1,30}))')
_LOOKED_AT = 256 * 1024


@dataclass(frozen=True, slots=True)
class Guess:
    """What could be told of a message; None where nothing could."""

    type: str | None = None
    charger: str | None = None


def guess(body: bytes, declared_type: str | None = None) -> Guess:
    """Guess from the fields' names; where there are none, from the type that was declared."""
    fields = _fields(body)
    if fields is not None:
        charger = fields.get("chargerId")
        told = str(charger) if isinstance(charger, str | int) and charger != "" else None
        return Guess(_type(fields) or _declared(declared_type), told)
    # No JSON object: the names that stand in the text, cut off or not.
    text = _text(body)
    match = _CHARGER.search(text)
    charger = (match[1] or match[2]) if match else None
    return Guess(_type(set(_FIELD.findall(text))) or _declared(declared_type), charger)


def _fields(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(_text(body))
        if isinstance(value, str):
            value = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _text(body: bytes) -> str:
    start = body[:_LOOKED_AT]
    try:
        encoding = json.detect_encoding(start)
    except (IndexError, ValueError):
        encoding = "utf-8"
    return start.decode(encoding, "replace").removeprefix("\ufeff")


def _type(names: Collection[str]) -> str | None:
    present = set(names)
    return next((name for name, fields in _FIELDS_OF if fields & present), None)


def _declared(name: str | None) -> str | None:
    plain = (name or "").replace("_", "").replace(" ", "").casefold()
    return next((known for known in TYPES if known.casefold() == plain), None)
