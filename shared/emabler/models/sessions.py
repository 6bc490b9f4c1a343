"""Charging sessions as REST lists them: finished ones, and those that are going on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import msgspec

from shared.emabler.models.reading import Drift, Fields, Item, finite

_written = msgspec.json.Encoder(order="sorted").encode
_DIGEST_CHARACTERS = 32

BELOW_SOCKETS = 2**31
"""Socket numbers are int32 in one place of the API and int64 in another; push has int32."""


class FinishedSession(msgspec.Struct, frozen=True):
    """A finished session as `POST …/transactions` lists it. Energy in Wh, instants UTC.

    `transaction` is `evseTransactionId`, which is what push calls the transaction id; `rest_id`
    is another number, REST's own. `digest` is that of the whole item, its prices included.
    """

    rest_id: str
    charger: str
    transaction: str | None
    socket: int | None
    start: datetime | None
    end: datetime | None
    energy_wh: float | None
    tag: str | None
    site: str | None
    item: Item
    digest: str


@dataclass(frozen=True, slots=True)
class OngoingSession:
    """A session that goes on, as `GET …/ongoing-transactions` lists it. `transaction` as in push.

    `start_meter_wh` is the meter at the start, `updated` when eMabler last heard of it.
    """

    charger: str
    transaction: str
    socket: int | None
    start: datetime | None
    start_meter_wh: float | None
    tag: str | None
    site: str | None
    created: datetime | None
    updated: datetime | None
    item: Item


def read_finished_session(item: Item, drift: Drift | None = None) -> FinishedSession | None:
    """Read one item; None when it names no charger or has no id, so that nothing identifies it."""
    fields = Fields("finished_session", item, drift)
    rest_id, charger = fields.text("id"), fields.text("chargerId")
    session = FinishedSession(
        rest_id=rest_id or "",
        charger=charger or "",
        transaction=fields.text("evseTransactionId"),
        socket=fields.whole("socketId", below=BELOW_SOCKETS),
        start=fields.instant("timestampStart"),
        end=fields.instant("timestampEnd"),
        energy_wh=_energy(fields),
        tag=fields.text("authorizedTagId"),
        site=fields.text("siteId"),
        item=item,
        digest=digest_of_item(item),
    )
    if rest_id is None or charger is None:
        fields.need("id", "chargerId")
        return None
    return session


def _energy(fields: Fields) -> float | None:
    """Wh, from kWh where only those are told."""
    energy = fields.number("fullConsumptionWh")
    if energy is None and (kwh := fields.number("fullConsumptionKWh")) is not None:
        return finite(kwh * 1000)
    return energy


def read_ongoing_session(item: Item, drift: Drift | None = None) -> OngoingSession | None:
    """Read one item; None when it names no charger or no transaction."""
    fields = Fields("ongoing_session", item, drift)
    charger, transaction = fields.text("chargerId"), fields.text("transactionId")
    session = OngoingSession(
        charger=charger or "",
        transaction=transaction or "",
        socket=fields.whole("socketId", below=BELOW_SOCKETS),
        start=fields.instant("startTime"),
        start_meter_wh=fields.number("startMeterWh"),
        tag=fields.text("authorizedIdTag"),
        site=fields.text("siteId", optional=True),
        created=fields.instant("createdAt"),
        updated=fields.instant("updatedAt"),
        item=item,
    )
    if charger is None or transaction is None:
        fields.need("chargerId", "transactionId")
        return None
    return session


def content_of(item: Item) -> bytes:
    """An item as bytes that are the same for the same content, faster than `canonical`."""
    try:
        return _written(item)
    except UnicodeEncodeError:  # half a surrogate pair
        return canonical(item).encode()


def digest_of_item(item: Item) -> str:
    """The digest of an item's content, 32 hex characters: two answers that differ in it differ."""
    return sha256(content_of(item)).hexdigest()[:_DIGEST_CHARACTERS]


def canonical(item: Item) -> str:
    """An item as JSON text, in ASCII, that is the same for the same content."""
    return json.dumps(item, sort_keys=True, separators=(",", ":"))
