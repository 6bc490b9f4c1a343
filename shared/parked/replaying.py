"""Parked messages back onto the queue, and messages that nobody needs put away for good.

A replay is written down before the message is sent and again after the queue took it:

    parked ──► sending ──► (the queue has it) ──► replayed
                  │                                  │
                  └── stopped here: sent again       └── not sent again unless asked
                                     ▼
                 ingestion parks it once more: parked, counted

So ingestion, which may park the message again before the last step, is never written over: that
step is made under the row's ETag of the first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from shared.errors import MessageTooLargeError, RowChangedError, RowMissingError
from shared.instants import Clock, format_instant, parse_instant
from shared.parked.reading import ParkedMessage
from shared.parked.records import (
    ParkedState,
    number_of,
    properties_of,
    state_of,
    traced,
    without_body,
)
from shared.storage.blobs import Blobs
from shared.storage.containers import BODIES
from shared.storage.rows import Replace, Row, Tables, Value
from shared.storage.tables import PARKED

FIRST_ENQUEUED = "emablerFirstEnqueued"
"""The application property of a replayed message that tells when it was enqueued first."""


class Queue(Protocol):
    """Where messages go back to."""

    async def send(
        self, body: bytes, *, properties: Mapping[str, str | int | float | bool] | None = None
    ) -> None:
        """Return once the queue has the message."""
        ...


class Outcome(StrEnum):
    """What came of one message."""

    REPLAYED = "replayed"
    DISCARDED = "discarded"
    CHANGED = "changed"
    NO_BODY = "no_body"
    TOO_LARGE = "too_large"


@dataclass(frozen=True, slots=True)
class Hand:
    """Whose doing it is: a name, and the clock that tells when."""

    name: str
    clock: Clock


def may_be_replayed(row: Row, *, again: bool) -> bool:
    """Whether a replay sends this message: one that is parked, or was not known to be taken."""
    state = state_of(row)
    return state in (ParkedState.PARKED, ParkedState.SENDING) or (
        again and state is ParkedState.REPLAYED
    )


def replay_properties(row: Row) -> dict[str, str | int | float | bool]:
    """The message's own properties, and when it was enqueued first."""
    first = row.columns.get("enqueued", row.columns["parked_at"])
    own = {
        # What AMQP has no property for was kept as JSON, and goes as its text.
        name: value if isinstance(value, str | int | float | bool) else json.dumps(value)
        for name, value in properties_of(row).items()
        if value is not None
    }
    return {**own, FIRST_ENQUEUED: str(first)}


def first_enqueued(properties: Mapping[str, object] | None) -> datetime | None:
    """When a replayed message was enqueued first, from its application properties."""
    value = (properties or {}).get(FIRST_ENQUEUED)
    return parse_instant(value) if isinstance(value, str) else None


async def replay(tables: Tables, queue: Queue, message: ParkedMessage, hand: Hand) -> Outcome:
    """Send one message as it was; return once the queue has it and the row says so.

    Raises:
        QueueUnavailableError: The queue may or may not have it; the row says `sending`.
        StoreUnavailableError: As above; replaying again does no harm.
    """
    if message.body is None:
        return Outcome.NO_BODY
    row = message.row
    sending = await _marked(tables, row, {"state": str(ParkedState.SENDING)})
    if sending is None:
        return Outcome.CHANGED
    try:
        await queue.send(message.body, properties=replay_properties(row))
    except MessageTooLargeError:
        now = format_instant(hand.clock())
        trace = traced(row, now, "replay failed", hand.name, "too large for the queue")
        back = {"state": str(state_of(row)), "trace": trace}
        await _marked(tables, sending, back)
        return Outcome.TOO_LARGE
    await _note_replay(tables, sending, hand)
    return Outcome.REPLAYED


async def _note_replay(tables: Tables, sending: Row, hand: Hand) -> None:
    """Write down that the queue took it; if ingestion was faster, what it wrote stands."""
    row: Row | None = sending
    while row is not None:
        now = format_instant(hand.clock())
        changes: dict[str, Value] = {
            "replays": number_of(row, "replays") + 1,
            "replayed_at": now,
            "replayed_by": hand.name,
            "trace": traced(row, now, "replayed", hand.name),
        }
        if state_of(row) is ParkedState.SENDING:
            changes["state"] = str(ParkedState.REPLAYED)
        if await _marked(tables, row, changes) is not None:
            return
        row = await tables.get(PARKED, row.partition, row.key)


async def discard(
    tables: Tables,
    blobs: Blobs,
    message: ParkedMessage,
    hand: Hand,
    *,
    because: str,
    delete_body: bool,
) -> Outcome:
    """Mark a message as needed by nobody; its trace stays, its bytes only where wanted.

    Raises:
        StoreUnavailableError: The same call makes it whole.
    """
    row, now = message.row, format_instant(hand.clock())
    blob = str(row.columns.get("body_blob", ""))
    # Before the row changes: what ingestion writes from then on has another.
    blob_etag = await blobs.etag(BODIES, blob) if delete_body and blob else None
    changes: dict[str, Value] = {
        "state": str(ParkedState.DISCARDED),
        "discarded_at": now,
        "discarded_by": hand.name,
        "discarded_because": because[:1_000],
        "trace": traced(row, now, "discarded", hand.name, because),
    }
    kept = row
    if delete_body:
        changes["bytes_deleted"] = True
        kept = replace(row, columns=without_body(row.columns))
    marked = await _marked(tables, kept, changes)
    if marked is None:
        return Outcome.CHANGED
    # After the row: until then it points at the blob. What a crash leaves, retention finds.
    if blob_etag is not None:
        present = await tables.get(PARKED, row.partition, row.key)
        if present is not None and present.etag == marked.etag:
            await blobs.delete(BODIES, blob, blob_etag)
    return Outcome.DISCARDED


async def _marked(tables: Tables, row: Row, changes: Mapping[str, Value]) -> Row | None:
    """Change columns of a row that is still as it was read; None where it is not."""
    changed = replace(row, columns={**row.columns, **changes})
    try:
        (etag,) = await tables.write(PARKED, [Replace(changed)])
    except (RowChangedError, RowMissingError):
        return None
    return replace(changed, etag=etag)
