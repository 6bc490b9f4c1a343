"""The manifest makes a set of parts a backup: it is written last, when all of them are there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from shared.backup.parts import Part
from shared.errors import BackupError
from shared.instants import format_instant, parse_instant
from shared.storage.blobs import Blobs
from shared.storage.containers import BACKUPS
from shared.storage.rows import SCHEMA

FORMAT = 1
MANIFESTS, PARTS = "manifests/", "parts/"


def id_of(begun: datetime) -> str:
    """A backup's id: the instant at which it began, to the second, sortable: `20261102T013000Z`."""
    return begun.strftime("%Y%m%dT%H%M%SZ")


def begun_of(backup: str) -> datetime:
    """The instant that an id tells."""
    return datetime.strptime(f"{backup}+0000", "%Y%m%dT%H%M%SZ%z")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A whole backup: when it was taken, of which store, and all of its parts in their order.

    `journal_from` is the first day of the journal that it holds, `yyyymmdd`; empty: all days.
    """

    id: str
    begun: datetime
    finished: datetime
    environment: str
    buckets: int
    journal_from: str
    parts: tuple[Part, ...]

    @property
    def counts(self) -> Counter[str]:
        """Rows and blobs by table or container."""
        counts: Counter[str] = Counter()
        for part in self.parts:
            counts[part.source] += part.lines
        return counts

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(part.size for part in self.parts)

    def to_bytes(self) -> bytes:
        """The manifest as JSON."""
        fields: dict[str, Any] = {
            "format": FORMAT,
            "schema": SCHEMA,
            "id": self.id,
            "begun": format_instant(self.begun),
            "finished": format_instant(self.finished),
            "environment": self.environment,
            "buckets": self.buckets,
            "journal_from": self.journal_from,
            "counts": dict(self.counts),
            "parts": [asdict(part) for part in self.parts],
        }
        return json.dumps(fields, indent=1).encode()


def manifest_from(content: bytes, name: str) -> Manifest:
    """The manifest that a blob holds.

    Raises:
        BackupError: It is none, or of a format that this release does not know.
    """
    try:
        fields = json.loads(content)
        if (fields["format"], fields["schema"]) != (FORMAT, SCHEMA):
            message = (
                f"{name} has format {fields['format']} and schema {fields['schema']}; this release "
                f"reads {FORMAT} and {SCHEMA}. What to do: restore with the release that wrote it"
            )
            raise BackupError(message, code="backup_of_another_release")
        return Manifest(
            id=fields["id"],
            begun=_instant(fields["begun"]),
            finished=_instant(fields["finished"]),
            environment=fields["environment"],
            buckets=fields["buckets"],
            journal_from=fields["journal_from"],
            parts=tuple(Part(**part) for part in fields["parts"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        message = f"{name} is no manifest of a backup"
        raise BackupError(message, code="backup_damaged") from error


def _instant(text: str) -> datetime:
    instant = parse_instant(text)
    if instant is None:
        raise ValueError(text)
    return instant


async def read_manifest(blobs: Blobs, backup: str) -> Manifest:
    """One backup's manifest.

    Raises:
        BackupError: `backup_missing`: there is none of that id; or it cannot be read.
    """
    name = f"{MANIFESTS}{backup}.json"
    blob = await blobs.get(BACKUPS, name)
    if blob is None:
        message = f"there is no whole backup {backup}. What to do: manage.py backup list"
        raise BackupError(message, code="backup_missing")
    return manifest_from(blob.content, name)


async def backup_ids(blobs: Blobs) -> AsyncIterator[str]:
    """The ids of all whole backups, the oldest first."""
    async for name in blobs.names(BACKUPS, MANIFESTS):
        yield name.removeprefix(MANIFESTS).removesuffix(".json")
