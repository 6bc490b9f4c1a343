"""REST answers read tolerantly: numbers or texts, null or absent, fields that nobody documented."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.instants import EPOCH_OF_CHARGERS, parse_instant

_SOCKETS = 2**31


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: its items as they came, and what the answer says of the others."""

    number: int
    items: tuple[Mapping[str, Any], ...]
    total: int | None
    has_next: bool


@dataclass(frozen=True, slots=True)
class FinishedSession:
    """A finished session as `POST …/transactions` lists it. Energy in Wh, instants UTC.

    `transaction` is `evseTransactionId`, which is what push calls the transaction id; `rest_id`
    is another number, REST's own.
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
    item: Mapping[str, Any]


def read_page(answer: object, number: int) -> Page:
    """Read a list's answer.

    Raises:
        ValueError: It has not the shape of a page.
    """
    if not isinstance(answer, dict) or not isinstance(answer.get("items"), list):
        raise ValueError("the answer is no page: it has no list of items")  # noqa: TRY004 - a wrong answer, not a wrong argument
    items = answer["items"]
    if not all(isinstance(item, dict) for item in items):
        raise ValueError("the answer is no page: an item is no object")
    total = answer.get("totalRecords")
    return Page(
        number,
        tuple(items),
        total if isinstance(total, int) else None,
        answer.get("hasNextPage") is True,
    )


def read_finished_session(item: Mapping[str, Any]) -> FinishedSession | None:
    """Read one item; None when it names no charger or has no id, so that nothing identifies it."""
    rest_id, charger = _text(item.get("id")), _text(item.get("chargerId"))
    if rest_id is None or charger is None:
        return None
    energy = _number(item.get("fullConsumptionWh"))
    if energy is None and (kwh := _number(item.get("fullConsumptionKWh"))) is not None:
        energy = _number(kwh * 1000)
    socket = _number(item.get("socketId"))
    if socket is not None and not (socket.is_integer() and 0 <= socket < _SOCKETS):
        socket = None
    return FinishedSession(
        rest_id=rest_id,
        charger=charger,
        transaction=_text(item.get("evseTransactionId")),
        socket=None if socket is None else int(socket),
        start=_instant(item.get("timestampStart")),
        end=_instant(item.get("timestampEnd")),
        energy_wh=energy,
        tag=_text(item.get("authorizedTagId")),
        site=_text(item.get("siteId")),
        item=item,
    )


def canonical(item: Mapping[str, Any]) -> str:
    """An item as JSON text, in ASCII, that is the same for the same content."""
    return json.dumps(item, sort_keys=True, separators=(",", ":"))


def _text(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can hold and no table can
        return None
    return text if text.strip() else None


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float | str):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            return None
        return number if number - number == 0 else None
    return None


def _instant(value: object) -> datetime | None:
    """An instant; sentinels such as `0001-01-01T00:00:00Z` tell none."""
    instant = parse_instant(value) if isinstance(value, str) else None
    return None if instant is None or instant < EPOCH_OF_CHARGERS.replace(year=1970) else instant
