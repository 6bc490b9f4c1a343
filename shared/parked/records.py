"""A parked message's row: its bytes, why it is parked, and all that was done with it since."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.instants import format_instant, parse_instant
from shared.storage.bodies import body_columns
from shared.storage.erased import ERASED
from shared.storage.rows import SCHEMA, Row, Value
from shared.storage.tables import PARKED

DEAD_LETTERED = "dead_lettered"
"""The reason of a message that was fetched out of the queue's dead letters."""

REASONS = (
    "not_json",
    "not_text",
    "too_deep",
    "too_large",
    "unknown_shape",
    "bad_field",
    "older_than_retention",
    "unexpected",
    DEAD_LETTERED,
)
"""All reasons that a row can have; docs/promises.md holds the same table."""

_MAX_DETAIL_CHARACTERS = 8_000
_MAX_TYPE_CHARACTERS = 255
_MAX_PROPERTIES_CHARACTERS = 30_000
_MAX_TRACE, _MAX_TRACE_CHARACTERS = 60, 30_000
"""What a trace keeps: the first entry and the latest; each has some 300 characters."""


class ParkedState(StrEnum):
    """Where a parked message stands."""

    PARKED = "parked"
    SENDING = "sending"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parking:
    """A message that is put aside: the bytes as they were, and what the queue said of them."""

    body: bytes
    reason: str
    detail: str
    delivery_count: int = 1
    message_id: str | None = None
    enqueued: datetime | None = None
    declared_type: str | None = None
    properties: Mapping[str, object] = field(default_factory=dict)


def parked_row_of(parking: Parking, now: datetime) -> Row:
    """The row, named by the digest of the bytes: a repeat parks once."""
    digest = hashlib.sha256(parking.body).hexdigest()
    columns: dict[str, Value] = {
        "schema": SCHEMA,
        "state": str(ParkedState.PARKED),
        "reason": parking.reason,
        "detail": parking.detail[:_MAX_DETAIL_CHARACTERS],
        "parked_at": format_instant(now),
        "times_parked": 1,
        "delivery_count": parking.delivery_count,
        "bytes": len(parking.body),
    }
    if parking.message_id:
        columns["message_id"] = parking.message_id
    if parking.enqueued:
        columns["enqueued"] = format_instant(parking.enqueued)
    if parking.declared_type:
        columns["declared_type"] = parking.declared_type[:_MAX_TYPE_CHARACTERS]
    if parking.properties:
        columns["properties"] = _properties_text(parking.properties)
    body = body_columns(parking.body, f"{PARKED}/{digest}", as_bytes=True)
    return Row(digest[:2], digest, columns | body)


def _properties_text(properties: Mapping[str, object]) -> str:
    """The properties as JSON; those that do not fit are left out whole."""
    kept: dict[str, object] = {}
    size = 0
    for name, value in properties.items():
        size += len(json.dumps({name: value}, default=str))
        if size <= _MAX_PROPERTIES_CHARACTERS:
            kept[name] = value
    return json.dumps(kept, default=str)


def properties_of(row: Row) -> dict[str, Any]:
    """The application properties that a message came with."""
    try:
        found = json.loads(str(row.columns.get("properties", "{}")))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def state_of(row: Row) -> ParkedState:
    """Where a message stands; rows of earlier releases do not say that they are parked."""
    return ParkedState(str(row.columns.get("state", ParkedState.PARKED)))


def trace_of(row: Row) -> list[dict[str, str]]:
    """What was done with a message, oldest first: `at`, `what`, `by`, `note`."""
    found = json.loads(str(row.columns.get("trace", "[]")))
    return [dict(entry) for entry in found]


def traced(row: Row, at: str, what: str, by: str, note: str = "") -> str:
    """The row's trace with one entry more, as the column holds it."""
    entry = {"at": at, "what": what, "by": by[:100]}
    if note:
        entry["note"] = note[:200]
    trace = [*trace_of(row), entry]
    if len(trace) > _MAX_TRACE:
        trace = [trace[0], *trace[1 - _MAX_TRACE :]]
    # What is no ASCII takes six characters of JSON.
    while len(text := json.dumps(trace)) > _MAX_TRACE_CHARACTERS:
        del trace[1]
    return text


def number_of(row: Row, column: str) -> int:
    """A count that a row may lack."""
    value = row.columns.get(column, 0)
    return value if isinstance(value, int) else 0


def without_body(columns: Mapping[str, Value]) -> dict[str, Value]:
    """A row's columns without the message's bytes."""
    return {name: value for name, value in columns.items() if not name.startswith("body_")}


_SAME_TIME = timedelta(days=1)
"""Within it a repeat is the same delivery, tried once more; after it the message came again."""


def last_parked(row: Row) -> str:
    """When a message was parked last: as text, as the row holds it."""
    return str(row.columns.get("last_parked_at") or row.columns.get("parked_at", ""))


def came_again(present: Row, fresh: Row) -> bool:
    """Whether a message that is parked already came long after: its age begins anew then."""
    then, now = parse_instant(last_parked(present)), parse_instant(last_parked(fresh))
    return now is not None and (then is None or now - then > _SAME_TIME)


def parked_again(present: Row, fresh: Row) -> dict[str, Value]:
    """The columns of a message that is parked once more: after a replay, a discard or a long time.

    Reason and detail are the new ones, the trace and the first instant stay. Of an erased message
    all that can name a person stays as the erasure left it: bytes, detail, type and properties.
    """
    columns, at = dict(fresh.columns), str(fresh.columns["parked_at"])
    kept = ["parked_at", "enqueued", "message_id", ERASED, "replays", "replayed_at"]
    if present.columns.get(ERASED):
        told = ("detail", "properties", "declared_type")
        columns = {n: v for n, v in without_body(columns).items() if n not in told}
        kept += [*told, *(name for name in present.columns if name.startswith("body_"))]
    columns |= {name: present.columns[name] for name in kept if name in present.columns}
    return columns | {
        "times_parked": max(number_of(present, "times_parked"), 1) + 1,
        "last_parked_at": at,
        "trace": traced(present, at, "parked again", "ingestion", str(fresh.columns["reason"])),
    }
