"""Taking a backup: source by source, part by part, going on where the run before stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from time import monotonic

from shared.backup.contents import SOURCES, Source
from shared.backup.keeping import delete_old
from shared.backup.lines import line_of_blob, line_of_row
from shared.backup.manifest import MANIFESTS, Manifest, begun_of, id_of
from shared.backup.parts import Part, PartWriter
from shared.backup.progress import Progress, ProgressRows
from shared.backup.reading import stored_blobs, stored_rows
from shared.backup.restore import restoring
from shared.errors import BackupError, BlobChangedError, RowConflictError
from shared.instants import Clock, day_of, is_due
from shared.storage.blobs import Blobs
from shared.storage.containers import BACKUPS
from shared.storage.rows import Row, Tables
from shared.telemetry import LOGGER


@dataclass(slots=True)
class Taken:
    """What a run did.

    `backup` is the one that it worked on, empty where none was due; `copied` what this run copied,
    by table or container; `whole` whether that backup is whole; `anew` whether it was begun in
    place of one that could not become whole; `deleted` how many old ones went; `latest` when the
    latest whole one began.
    """

    backup: str = ""
    copied: Counter[str] = field(default_factory=Counter)
    whole: bool = False
    resumed: bool = False
    anew: bool = False
    deleted: int = 0
    latest: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Item:
    """A row or a blob on its way: its place, and its line."""

    partition: str
    key: str
    line: bytes


class BackUp:
    """Takes backups and deletes old ones. Safe beside ingestion, retention, and another run.

    `soft_delete` is how long the account keeps what was deleted, `journal` how many days of
    the journal are taken along; None: all.
    """

    def __init__(
        self,
        tables: Tables,
        blobs: Blobs,
        *,
        environment: str,
        buckets: int,
        keep: timedelta,
        soft_delete: timedelta,
        journal: timedelta | None = None,
        clock: Clock,
        seconds: float,
        elapsed: Callable[[], float] = monotonic,
        told: Callable[[str, int], None] = lambda _source, _lines: None,
    ) -> None:
        self._tables = tables
        self._blobs = blobs
        self._environment = environment
        self._buckets = buckets
        self._keep = keep
        self._soft_delete = soft_delete
        self._journal = journal
        self._clock = clock
        self._seconds = seconds
        self._elapsed = elapsed
        self._told = told
        self._rows = ProgressRows(tables)

    async def run(self, every: timedelta | None) -> Taken:
        """Go on with the backup that is under way, or begin one where the last is `every` old.

        Zero begins one in any case, None takes none. Old ones are deleted.

        Raises:
            BackupError: `restore_under_way`: what a restore writes may name who was erased.
            StoreUnavailableError: The next run goes on.
        """
        if backup := await restoring(self._tables):
            message = (
                f"a restore of {backup} into this store is not done: it can neither be backed up, "
                "nor may what it reads be deleted. What to do: finish it with manage.py backup "
                f"restore {backup}"
            )
            raise BackupError(message, code="restore_under_way")
        done = Taken()
        if every is not None:
            await self._take(every, done)
        before = self._clock() - self._keep
        done.deleted = await delete_old(self._tables, self._blobs, before, self._soft_delete)
        return done

    async def _take(self, every: timedelta, done: Taken) -> None:
        until = self._elapsed() + self._seconds
        progress = await self._rows.read()
        try:
            if progress.id and self._given_up(progress):
                progress = replace(progress, id="")
            done.resumed = bool(progress.id)
            if not progress.id and self._is_due(progress, every):
                progress = await self._begin(progress)
            if progress.id:
                done.backup = progress.id
                progress = await self._copy(progress, until, done)
        except RowConflictError:
            # Another run is at it, and one is enough.
            return
        done.whole = bool(done.backup) and progress.last == done.backup
        done.latest = begun_of(progress.last) if progress.last else None

    def _is_due(self, progress: Progress, every: timedelta) -> bool:
        # The store tells whole seconds: of two clocks read within one the later may be behind.
        if progress.begun is None or not progress.last or not every:
            return True
        return is_due(progress.begun, every, self._clock())

    def _given_up(self, progress: Progress) -> bool:
        """Whether what is under way would be deleted at once, or is of a release before this."""
        old = progress.begun is None or self._clock() - progress.begun >= self._keep
        return old or progress.source not in {source.name for source in SOURCES}

    async def _begin(self, progress: Progress) -> Progress:
        # Read before the save: where that succeeds, no run under way has written one of them.
        left = await self._rows.left()
        begun = self._clock()
        while await self._is_taken(id_of(begun), left):
            begun += timedelta(seconds=1)
        new = Progress(
            id=id_of(begun),
            begun=begun,
            journal_from="" if self._journal is None else day_of(begun - self._journal),
            last=progress.last,
            etag=progress.etag,
        )
        new = await self._rows.save(new)
        await self._rows.forget(left)
        return new

    async def _is_taken(self, backup: str, left: Iterable[Row]) -> bool:
        own = f"|{backup}|"
        return any(own in row.key for row in left) or (
            await self._blobs.etag(BACKUPS, f"{MANIFESTS}{backup}.json") is not None
        )

    async def _copy(self, progress: Progress, until: float, done: Taken) -> Progress:
        names = [source.name for source in SOURCES]
        first = names.index(progress.source)
        for number, source in enumerate(SOURCES[first:], first):
            if number > first:
                progress = replace(progress, source=source.name, partition="", key="")
            progress, more = await self._copy_source(source, progress, until, done)
            if more:
                return progress
        return await self._finish(progress, done)

    async def _copy_source(
        self, source: Source, progress: Progress, until: float, done: Taken
    ) -> tuple[Progress, bool]:
        """Copy until the source or the time is over; whether there may be more of it."""
        writer, last = PartWriter(), None
        async for item in self._items(source, progress):
            over = last is not None and self._elapsed() >= until
            if last is not None and (writer.full or over):
                progress = await self._write(writer, source, last, progress, done)
                if over:
                    return progress, True
                writer = PartWriter()
            writer.add(item.line)
            last = item
        if last is not None:
            progress = await self._write(writer, source, last, progress, done)
        return progress, False

    async def _write(
        self, writer: PartWriter, source: Source, last: _Item, progress: Progress, done: Taken
    ) -> Progress:
        part, content = writer.finish(progress.id, source.name, progress.parts)
        await self._put_once(part.name, content)
        progress = replace(
            progress,
            source=source.name,
            partition=last.partition,
            key=last.key,
            parts=progress.parts + 1,
        )
        progress = await self._rows.save(progress, part)
        done.copied[source.name] += part.lines
        self._told(source.name, part.lines)
        return progress

    async def _put_once(self, name: str, content: bytes) -> None:
        # Where the container is immutable, nothing is written over: a blob of this name was
        # written by a run that was cut off before it could say so, and its name tells its digest.
        try:
            await self._blobs.replace(BACKUPS, name, content, None)
        except BlobChangedError:
            return

    async def _finish(self, progress: Progress, done: Taken) -> Progress:
        parts: tuple[Part, ...] = await self._rows.parts(progress.id)
        if len(parts) != progress.parts:
            LOGGER.error(
                "backup_begun_anew: %s has %d parts, %d are known",
                progress.id,
                progress.parts,
                len(parts),
            )
            progress = await self._begin(await self._rows.give_up(progress))
            done.backup, done.anew = progress.id, True
            return progress
        assert progress.begun is not None  # noqa: S101 - one that is under way has begun
        manifest = Manifest(
            id=progress.id,
            begun=progress.begun,
            finished=self._clock(),
            environment=self._environment,
            buckets=self._buckets,
            journal_from=progress.journal_from,
            parts=parts,
        )
        await self._put_once(f"{MANIFESTS}{progress.id}.json", manifest.to_bytes())
        progress = await self._rows.save(
            Progress(begun=progress.begun, last=progress.id, etag=progress.etag)
        )
        await self._rows.forget_parts(progress.last)
        return progress

    def _items(self, source: Source, after: Progress) -> AsyncIterator[_Item]:
        return (
            self._of_table(source.name, after)
            if source.is_table
            else self._of_blobs(source.name, after)
        )

    async def _of_table(self, table: str, after: Progress) -> AsyncIterator[_Item]:
        rows = stored_rows(
            self._tables,
            table,
            buckets=self._buckets,
            journal_from=after.journal_from,
            partition=after.partition,
            key=after.key,
        )
        async for row in rows:
            yield _Item(row.partition, row.key, line_of_row(row))

    async def _of_blobs(self, container: str, after: Progress) -> AsyncIterator[_Item]:
        found = stored_blobs(
            self._blobs, container, journal_from=after.journal_from, after=after.key
        )
        async for name, content in found:
            yield _Item("", name, line_of_blob(name, content))
