"""A store with parked messages, a queue that can fail, and ingestion that a release can change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.errors import EmablerFunctionsError
from shared.ingestion import ingest
from shared.ingestion.ingest import Ingestion
from shared.ingestion.messages import IncomingMessage
from shared.parked.reading import ParkedFilter, ParkedMessage, read_parked
from shared.parked.replaying import Hand, Outcome, first_enqueued, may_be_replayed, replay
from shared.push.decode import decode
from shared.push.events import PushEvent
from shared.sessions.writer import SessionWriter
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.rows import Row
from shared.storage.tables import ALL_TABLES, PARKED

NOW = datetime(2026, 11, 3, 12, tzinfo=UTC)
ENQUEUED = datetime(2026, 11, 2, 10, tzinfo=UTC)
HAND = Hand("ann", lambda: NOW)


@dataclass
class Sent:
    body: bytes
    properties: dict[str, Any]


@dataclass
class FakeQueue:
    """Keeps what it is sent; `fails` is raised instead, before or after it is kept."""

    sent: list[Sent] = field(default_factory=list)
    fails: EmablerFunctionsError | None = None
    keeps: bool = True

    async def send(
        self,
        body: bytes,
        *,
        properties: Mapping[str, Any] | None = None,
    ) -> None:
        if self.keeps:
            self.sent.append(Sent(body, dict(properties or {})))
        if self.fails is not None:
            raise self.fails

    async def close(self) -> None:
        """Nothing to give back."""


class Store:
    """A store, and what goes in and out of it."""

    def __init__(self) -> None:
        self.tables = MemoryTables(*ALL_TABLES)
        self.blobs = MemoryBlobs(*ALL_CONTAINERS)
        self.queue = FakeQueue()
        self.ingestion = Ingestion(
            self.tables,
            self.blobs,
            buckets=4,
            sessions=SessionWriter(self.tables, buckets=4, tag_hash_key=b"k" * 32),
            clock=lambda: NOW,
        )

    async def take(self, *bodies: bytes, **fields: Any) -> dict[str, int]:
        messages = [IncomingMessage(body=body, enqueued=ENQUEUED, **fields) for body in bodies]
        return (await self.ingestion.ingest(messages)).parked

    async def take_sent(self) -> dict[str, int]:
        """Ingest what was put onto the queue."""
        messages = [
            IncomingMessage(
                body=sent.body,
                enqueued=NOW,
                first_enqueued=first_enqueued(sent.properties),
                properties=sent.properties,
            )
            for sent in self.queue.sent
        ]
        self.queue.sent.clear()
        return (await self.ingestion.ingest(messages)).parked

    async def parked(self, **wanted: Any) -> list[ParkedMessage]:
        return [m async for m in read_parked(self.tables, self.blobs, ParkedFilter(**wanted))]

    async def replay_all(self, *, again: bool = False) -> list[Outcome]:
        return [
            await replay(self.tables, self.queue, message, HAND)
            for message in await self.parked()
            if may_be_replayed(message.row, again=again)
        ]

    def row(self) -> Row:
        (row,) = self.tables.rows(PARKED)
        return row


def new_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that reads messages whose socket is `left`: it is the first one."""

    def tolerant(body: bytes, declared_type: str | None = None) -> PushEvent:
        return decode(body.replace(b'"left"', b"1"), declared_type)

    monkeypatch.setattr(ingest, "decode", tolerant)
