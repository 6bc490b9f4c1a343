"""eMabler's books over HTTP, and a store in memory to hold against them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from shared.emabler.calls import Options
from shared.emabler.client import EmablerClient
from shared.emabler.retries import Surroundings
from shared.ingestion.ingest import Ingestion
from shared.ingestion.messages import IncomingMessage
from shared.reconciliation.reconcile import Reconciliation, Run
from shared.sessions.summary import is_summary
from shared.sessions.writer import SessionWriter
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.rows import Row
from shared.storage.tables import ALL_TABLES, SESSIONS
from tests.stores import is_claim

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
HASH_KEY = b"k" * 32
BASE = "https://api.emabler.example/api/v2/cpo/"

PUSHED: dict[str, Any] = {
    "id": 9001,
    "chargerId": "CH-0042",
    "socketId": 1,
    "evseTransactionId": "1032427936",
    "timestampStart": "2026-11-02T09:11:32.4Z",
    "timestampEnd": "2026-11-02T10:41:43.6331432Z",
    "fullConsumptionWh": 12300,
    "authorizedTagId": "TAG123",
    "userName": "A. Driver",
    "totalCostInclVat": 7.5,
}
MISSED = PUSHED | {"id": 9002, "evseTransactionId": "2", "fullConsumptionWh": 800}


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


class Books:
    """eMabler's side: finished sessions, listed in pages over HTTP."""

    def __init__(self, *items: dict[str, Any]) -> None:
        self.items = list(items)
        self.asked: list[dict[str, Any]] = []
        self.while_answering: Callable[[], Awaitable[object]] | None = None

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        assert (request.method, str(request.url)) == ("POST", f"{BASE}v3/transactions")
        body = json.loads(request.content)
        self.asked.append(body)
        first = (body["page"] - 1) * body["limit"]
        fields = {
            "page": body["page"],
            "limit": body["limit"],
            "totalRecords": len(self.items),
            "hasNextPage": first + body["limit"] < len(self.items),
            "items": self.items[first : first + body["limit"]],
        }
        answer = httpx.Response(200, content=json.dumps(fields))
        # The answer is made: what happens now happens before it arrives.
        happening, self.while_answering = self.while_answering, None
        if happening is not None:
            await happening()
        return answer


class Store:
    """The tables, and what is done to them."""

    def __init__(self) -> None:
        self.tables = MemoryTables(*ALL_TABLES)
        self.blobs = MemoryBlobs(*ALL_CONTAINERS)
        self.clock = Clock()

    def _sessions(self) -> SessionWriter:
        return SessionWriter(self.tables, buckets=4, tag_hash_key=HASH_KEY)

    async def ingest(self, *bodies: bytes) -> None:
        ingestion = Ingestion(
            self.tables, self.blobs, buckets=4, sessions=self._sessions(), clock=lambda: NOW
        )
        await ingestion.ingest([IncomingMessage(body=body) for body in bodies])

    async def reconcile(self, books: Books, *, hours: float = 72, page_size: int = 2) -> Run:
        transport = httpx.MockTransport(books)
        async with EmablerClient(
            BASE,
            "key",
            options=Options(page_size=page_size, retry_seconds=0, requests_per_second=1e6),
            around=Surroundings(clock=self.clock),
            transport=transport,
        ) as client:
            return await Reconciliation(client, self._sessions(), clock=self.clock).run(
                timedelta(hours=hours)
            )

    @property
    def summaries(self) -> list[Row]:
        return [row for row in self.tables.rows(SESSIONS) if is_summary(row)]

    @property
    def claims(self) -> list[Row]:
        return [row for row in self.tables.rows(SESSIONS) if is_claim(row)]

    @property
    def content(self) -> list[tuple[object, ...]]:
        """All rows of all tables, without what tells when they were last written."""
        return [
            (table, row.partition, row.key, row.columns)
            for table in ALL_TABLES
            for row in self.tables.rows(table)
        ]
