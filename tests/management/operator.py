"""An operator with a store in memory and the command line in the same process."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from management.context import Context
from management.main import parser
from management.output import Output
from management.running import run_command
from shared.emabler.client import EmablerClient
from shared.ingestion.ingest import Ingestion
from shared.ingestion.messages import IncomingMessage
from shared.rooms import Rooms
from shared.sessions.writer import SessionWriter
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.tables import ALL_TABLES
from tests import payloads
from tests.payloads import ABSENT

NOW = datetime(2026, 11, 3, 12, tzinfo=UTC)
SECRET = "correct horse battery staple 0123456789"
SETTINGS = {
    "DataStorageConnection": "UseDevelopmentStorage=true",
    "EMABLER_ENVIRONMENT": "test",
    "TAG_HASH_KEY": SECRET,
    "WEBHOOK_AUTHORIZATION": SECRET.upper(),
}

ONE_DAY = [
    payloads.state_v2(),
    payloads.state_v2(socketId=2, status="Faulted", errorCode="GroundFailure"),
    payloads.boot_v2(),
    payloads.start_v2(),
    payloads.full_v2(),
    payloads.start_v2(chargerId="CH-0043", transactionId="7", deviceTimeStamp=ABSENT),
    payloads.measurements(),
    payloads.full_v2(
        chargerId="CH-0044",
        transactionId="-1",
        receivedTimestamp="2026-11-03T00:00:01Z",
        deviceTimeStampStart="2026-11-02T23:00:00Z",
        deviceTimeStampEnd="2026-11-03T00:00:00Z",
    ),
    payloads.full_v1(chargerId="CH-0045", timeStampEnd="1970-01-01T00:00:00Z"),
    b"not json",
    payloads.start_v2(socketId="left"),
]


@dataclass
class Ran:
    """A command's exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    def all(self, name: str) -> list[Any]:
        return [row[name] for row in self.rows]


class Operator:
    """Somebody with a store and a command line."""

    def __init__(self) -> None:
        self.tables = MemoryTables(*ALL_TABLES)
        self.blobs = MemoryBlobs(*ALL_CONTAINERS)
        self.settings = dict(SETTINGS)
        self.parts: dict[str, Any] = {}
        self.emabler: Callable[[], EmablerClient] | None = None
        self.environ: dict[str, str] = {}

    async def ingest(self, *bodies: bytes) -> None:
        writer = SessionWriter(self.tables, buckets=4, tag_hash_key=SECRET.encode())
        ingestion = Ingestion(
            self.tables, self.blobs, buckets=4, sessions=writer, clock=lambda: NOW
        )
        await ingestion.ingest([IncomingMessage(body=body) for body in bodies])

    async def run(self, *arguments: str) -> Ran:
        options = parser().parse_args(arguments)
        out, err = io.StringIO(), io.StringIO()
        output = Output(as_json=options.json, out=out, err=err)
        rooms = Rooms(self.settings, tables=self.tables, blobs=self.blobs, emabler=self.emabler)
        rooms.__dict__.update(self.parts)
        code = await run_command(Context(options, output, rooms, self.environ))
        return Ran(code, out.getvalue(), err.getvalue())
