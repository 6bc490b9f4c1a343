"""The snapshot in its blob: written by whoever knows more, under its ETag."""

from __future__ import annotations

from collections.abc import Iterable

from shared.errors import BlobChangedError, StoreUnavailableError
from shared.instants import Clock
from shared.storage.blobs import Blobs
from shared.storage.containers import SNAPSHOTS
from shared.storage.rows import Tables
from shared.storage.tables import TAG_GROUPS, TAGS
from shared.tags.groups import GROUP_KEY, Group, group_from_row
from shared.tags.records import AFTER_TAG_ROWS, TAG_ROWS, tag_from_row
from shared.tags.snapshot import Snapshot, make_snapshot, read_snapshot, record_of

NAME = "tags"
_MAX_ROUNDS = 20


class SnapshotStore:
    """Makes and keeps the snapshot. A later scan stands, whoever writes last."""

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

    async def refresh(self) -> Snapshot:
        """Scan the tags and write what may charge offline; the snapshot that then stands.

        Raises:
            StoreUnavailableError: Nothing was written.
        """
        scanned = self._clock()
        snapshot = make_snapshot(await self._records(), scanned)
        for _ in range(_MAX_ROUNDS):
            blob = await self._blobs.get(SNAPSHOTS, NAME)
            present = read_snapshot(blob.content) if blob else None
            if present is not None and present.as_of >= snapshot.as_of:
                # Something was written after our scan had begun: it may know what we do not.
                return present
            try:
                await self._blobs.replace(
                    SNAPSHOTS, NAME, snapshot.content(), blob.etag if blob else None
                )
            except BlobChangedError:
                continue
            return snapshot
        raise StoreUnavailableError("the snapshot kept changing", code="store_contended")

    async def withdraw(self, hashes: Iterable[str]) -> None:
        """Take tags out of the snapshot at once, as a block does.

        Raises:
            StoreUnavailableError: They may still be in it.
        """
        gone = list(hashes)
        for _ in range(_MAX_ROUNDS):
            blob = await self._blobs.get(SNAPSHOTS, NAME)
            present = read_snapshot(blob.content) if blob else None
            if blob is None or present is None:
                return
            changed = present.without(gone, self._clock())
            try:
                await self._blobs.replace(SNAPSHOTS, NAME, changed.content(), blob.etag)
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
        async for row in self._tables.scan(TAGS, keys_from=TAG_ROWS, keys_to=AFTER_TAG_ROWS):
            tag = tag_from_row(row)
            record = record_of(row.partition, tag, groups.get(tag.group or ""))
            if record is not None:
                records.append(record)
        return records
