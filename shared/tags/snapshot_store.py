"""The snapshot in its blob: written by whoever knows more, under its ETag."""

from __future__ import annotations

from collections.abc import Iterable

from shared.errors import BlobChangedError, StoreUnavailableError
from shared.instants import Clock
from shared.storage.blobs import Blobs
from shared.storage.containers import SNAPSHOTS
from shared.storage.rows import Tables
from shared.storage.tables import TAG_GROUPS
from shared.tags.groups import GROUP_KEY, Group, group_from_row
from shared.tags.roster import walk
from shared.tags.snapshot import (
    Snapshot,
    make_snapshot,
    no_scan_yet,
    read_snapshot,
    record_of,
)

NAME = "tags"
_MAX_ROUNDS = 20
_MAX_SCANS = 6


class SnapshotStore:
    """Makes and keeps the snapshot. A scan stands only where nothing changed while it ran."""

    def __init__(self, tables: Tables, blobs: Blobs, clock: Clock) -> None:
        self._tables = tables
        self._blobs = blobs
        self._clock = clock

    async def read(self, known: str | None = None) -> tuple[Snapshot | None, str | None]:
        """The snapshot and its ETag; None for the snapshot where the ETag is the known one.

        Raises:
            StoreUnavailableError: It cannot be read now.
        """
        etag = await self._blobs.etag(SNAPSHOTS, NAME)
        if etag is None or etag == known:
            return None, etag
        blob = await self._blobs.get(SNAPSHOTS, NAME)
        return (None, None) if blob is None else (read_snapshot(blob.content), blob.etag)

    async def is_there(self) -> bool:
        """Whether anybody keeps a snapshot in this store.

        Raises:
            StoreUnavailableError: It cannot be read now.
        """
        return await self._blobs.etag(SNAPSHOTS, NAME) is not None

    async def refresh(self) -> Snapshot:
        """Scan the tags and write when each may charge offline; what was written.

        A blob that changed since the scan began may know what the scan does not, such as a block:
        the tags are scanned again. Which came first is told by ETags, not by clocks.

        Raises:
            StoreUnavailableError: No scan was written.
        """
        for _ in range(_MAX_SCANS):
            try:
                present, etag = await self._before_a_scan()
                scanned = self._clock()
                snapshot = make_snapshot(await self._records(), scanned, present)
                await self._blobs.replace(SNAPSHOTS, NAME, snapshot.content(), etag)
            except BlobChangedError:
                continue
            return snapshot
        raise StoreUnavailableError("the snapshot kept changing", code="store_contended")

    async def _before_a_scan(self) -> tuple[Snapshot, str]:
        """What stands, and its ETag; where nothing does, something that a block can change."""
        blob = await self._blobs.get(SNAPSHOTS, NAME)
        present = read_snapshot(blob.content) if blob else None
        if blob is not None and present is not None:
            return present, blob.etag
        first = no_scan_yet()
        etag = blob.etag if blob else None
        return first, await self._blobs.replace(SNAPSHOTS, NAME, first.content(), etag)

    async def withdraw(self, hashes: Iterable[str]) -> None:
        """Let tags charge offline no longer, at once, as a block does; nothing without a snapshot.

        Raises:
            StoreUnavailableError: They may still be allowed by it.
        """
        gone = list(hashes)
        for _ in range(_MAX_ROUNDS):
            blob = await self._blobs.get(SNAPSHOTS, NAME)
            present = read_snapshot(blob.content) if blob else None
            if blob is None or present is None:
                return
            try:
                await self._blobs.replace(
                    SNAPSHOTS, NAME, present.denying(gone).content(), blob.etag
                )
            except BlobChangedError:
                continue
            return
        raise StoreUnavailableError("the snapshot kept changing", code="store_contended")

    async def _records(self) -> list[bytes]:
        # Groups before tags: a group that is blocked while tags are read is in the next snapshot.
        groups: dict[str, Group] = {}
        async for row in self._tables.scan(
            TAG_GROUPS, keys_from=GROUP_KEY, keys_to=f"{GROUP_KEY}~"
        ):
            group = group_from_row(row)
            groups[group.name] = group
        records: list[bytes] = []
        async for hashed, tag in walk(self._tables):
            records.append(record_of(hashed, tag, groups.get(tag.group or "")))
        return records
