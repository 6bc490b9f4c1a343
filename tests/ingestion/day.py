"""A charger's day, all that can befall it, and the product's own ingestion on a store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from shared.errors import TransientError
from shared.ingestion.ingest import Ingestion
from shared.ingestion.messages import IncomingMessage
from shared.sessions.writer import SessionWriter
from shared.storage.blobs import Blobs
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.rows import Tables
from tests import payloads
from tests.payloads import ABSENT

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
HASH_KEY = b"k" * 32
MOST_DELIVERIES = 20


def events_of(charger: str) -> list[bytes]:
    """All that can befall a charger: five types, three generations, contradictions, odd ids."""
    own = {"chargerId": charger}
    third = {"deviceTimeStamp": "2026-11-04T09:11:33Z", "receivedTimestamp": "2026-11-04T09:11:34Z"}
    return [
        *(make(**own) for make in payloads.ALL_SHAPES.values()),
        # Two stops that contradict the first one, one of them with a later end.
        payloads.full_v2(**own, consumptionWh=12400, meterReadEnd=13400),
        payloads.full_v2(**own, deviceTimeStampEnd="2026-11-02T10:41:50Z"),
        # The id comes again two days later, and with another tag.
        payloads.start_v2(**own, **third),
        payloads.start_v1(**own, authorizedIdTag="OTHER"),
        payloads.start_v2(**own, authorizedIdTag="tag-123", socketId=2),
        # A session that has not ended, and ids that identify nothing.
        payloads.start_v2(**own, transactionId="12"),
        payloads.start_v2(**own, transactionId=-1),
        payloads.stop_v1(**own, transactionId=ABSENT),
        payloads.full_v2(**own, transactionId="0"),
        # Older, newer, at the same time, differently spelled, at a time that cannot be.
        payloads.state_v2(**own, status="Preparing", deviceTimeStamp="2026-11-02T09:00:00Z"),
        payloads.state_v2(**own, status="Charging", deviceTimeStamp="2026-11-02T09:30:00Z"),
        payloads.state_v2(**own, status="Faulted"),
        payloads.state_v2(**own, errorCode="no error"),
        payloads.state_v2(**own, status="Finishing", deviceTimeStamp="1970-01-01T00:00:00Z"),
        payloads.state_v2(**own, socketId=2),
        payloads.boot_v2(**own, firmwareVersion="1.2", receivedTimestamp="2026-11-02T09:12:00Z"),
        payloads.boot_v2(**own, chargerModel="Wallbox 11"),
        payloads.measurements(**own, transactionId=ABSENT),
        # Nothing tells when it was.
        payloads.full_v1(**own, timeStampEnd="1970-01-01T00:00:00Z"),
    ]


# In one bucket and in others, alike but for the case, and with what keys may not have.
CHARGERS_HERE = ("CH-1", "ch-1", "CH-2", "CH/\\#?|~%")
POISON = [b"not json", b"{}", payloads.state_v2(socketId="left")]
EVERYTHING = [*(body for charger in CHARGERS_HERE for body in events_of(charger)), *POISON]


def messages(*bodies: bytes, deliveries: int = 1) -> list[IncomingMessage]:
    return [IncomingMessage(body=body, delivery_count=deliveries) for body in bodies]


def sessions(tables: Tables) -> SessionWriter:
    return SessionWriter(tables, buckets=4, tag_hash_key=HASH_KEY)


def ingestion(tables: Tables, blobs: Blobs | None = None) -> Ingestion:
    """A worker that has just started: what it remembers of chargers is nothing."""
    return Ingestion(
        tables,
        blobs or MemoryBlobs(*ALL_CONTAINERS),
        buckets=4,
        sessions=sessions(tables),
        clock=lambda: NOW,
    )


async def deliver(to: Ingestion, batch: Sequence[bytes]) -> None:
    """Deliver a batch until it is taken, as the queue does when a race was lost too often."""
    for count in range(1, MOST_DELIVERIES):
        try:
            await to.ingest(messages(*batch, deliveries=count))
        except TransientError:
            continue
        return
    raise AssertionError("a batch was never taken")
