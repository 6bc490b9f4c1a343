"""Two stores of one kind with one container of backups, and a fleet's charging day in the first."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from management.context import Context
from management.main import parser
from management.output import Output
from shared.backup.contents import OWN_PARTITION
from shared.backup.take import BackUp, Taken
from shared.ingestion.ingest import Ingestion
from shared.ingestion.messages import IncomingMessage
from shared.rooms import Rooms
from shared.sessions.writer import SessionWriter
from shared.storage.blobs import Blobs
from shared.storage.containers import ALL_CONTAINERS, BACKUPS, SNAPSHOTS
from shared.storage.roster_mark import ROSTER
from shared.storage.rows import Tables
from shared.storage.tables import ALL_TABLES, STORE, TAG_ROSTER

BEGUN = datetime(2026, 11, 3, 1, 30, tzinfo=UTC)
SECRET = "correct horse battery staple 0123456789"
SETTINGS = {
    "DataStorageConnection": "UseDevelopmentStorage=true",
    "EMABLER_ENVIRONMENT": "test",
    "TAG_HASH_KEY": SECRET,
    "WEBHOOK_AUTHORIZATION": SECRET.upper(),
}

type Everything = dict[str, list[tuple[str, str, Any]]]


@dataclass
class Clock:
    """A clock that is moved by hand."""

    now: datetime = BEGUN

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Store:
    """A store, and an operator's commands on it."""

    tables: Tables
    blobs: Blobs
    clock: Clock = field(default_factory=Clock)
    settings: dict[str, str] = field(default_factory=lambda: dict(SETTINGS))

    async def ingest(self, bodies: Sequence[bytes]) -> None:
        writer = SessionWriter(self.tables, buckets=4, tag_hash_key=SECRET.encode())
        ingestion = Ingestion(
            self.tables,
            self.blobs,
            buckets=4,
            sessions=writer,
            oldest=timedelta(days=3660),
            clock=self.clock,
        )
        for first in range(0, len(bodies), 100):
            batch = [IncomingMessage(body=body) for body in bodies[first : first + 100]]
            await ingestion.ingest(batch)

    def back_up(
        self, elapsed: Callable[[], float] = lambda: 0.0, journal: timedelta | None = None
    ) -> BackUp:
        return BackUp(
            self.tables,
            self.blobs,
            environment="test",
            buckets=4,
            keep=timedelta(days=30),
            soft_delete=timedelta(days=7),
            journal=journal,
            clock=self.clock,
            seconds=480,
            elapsed=elapsed,
        )

    async def taken(self) -> Taken:
        """A backup that is taken at once and whole."""
        done = await self.back_up().run(timedelta())
        assert done.whole
        return done

    async def manage(self, *words: str) -> tuple[int, list[dict[str, Any]], str]:
        """A command: its exit code, its rows, and what it said."""
        options = parser().parse_args([*words, "--json"])
        out, err = io.StringIO(), io.StringIO()
        rooms = Rooms(self.settings, tables=self.tables, blobs=self.blobs)
        context = Context(options, Output(as_json=True, out=out, err=err), rooms)
        code = await options.command.run(context)
        return code, [json.loads(line) for line in out.getvalue().splitlines()], err.getvalue()

    async def everything(
        self, tables: Tables | None = None, blobs: Blobs | None = None
    ) -> Everything:
        """All rows and blobs but for the backups, what tells of them, and the roster of tags."""
        tables, blobs = tables or self.tables, blobs or self.blobs
        found: Everything = {
            table: [
                (row.partition, row.key, dict(row.columns))
                async for row in tables.scan(table)
                if table != STORE or row.partition not in (OWN_PARTITION, ROSTER)
            ]
            for table in ALL_TABLES
            if table != TAG_ROSTER
        }
        for container in ALL_CONTAINERS:
            if container not in (BACKUPS, SNAPSHOTS):
                found[container] = [
                    (container, name, await _content(blobs, container, name))
                    async for name in blobs.names(container)
                ]
        return found


async def _content(blobs: Blobs, container: str, name: str) -> bytes:
    blob = await blobs.get(container, name)
    assert blob is not None
    return blob.content


async def names(found: AsyncIterator[str]) -> list[str]:
    return [name async for name in found]
