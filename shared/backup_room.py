"""The room of backups: what the timer `back_up` and `manage.py backup` start from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING

from shared.backup_settings import BACKUP
from shared.instants import Clock, format_instant

if TYPE_CHECKING:
    from shared.backup.take import Taken
    from shared.rooms import Rooms
    from shared.telemetry import WideEvent


class BackupRoom:
    """Takes and deletes backups on a store's settings.

    Without a `clock` the store's own tells the time: a restore compares when a backup began with
    when somebody was erased, which another machine does.
    """

    def __init__(
        self,
        rooms: Rooms,
        *,
        clock: Clock | None = None,
        elapsed: Callable[[], float] = monotonic,
    ) -> None:
        self._rooms = rooms
        self._clock = clock
        self._elapsed = elapsed

    @property
    def keep(self) -> timedelta:
        """How long a backup is kept."""
        return timedelta(days=self._rooms.settings["BACKUP_KEEP_DAYS"])

    @property
    def soft_delete(self) -> timedelta:
        """How long the account keeps what was deleted."""
        return timedelta(days=self._rooms.settings["BLOB_SOFT_DELETE_DAYS"])

    async def on_schedule(self, wide: WideEvent) -> Taken:
        """Begin a backup where one is due, or go on; note in the wide event what was done.

        Raises:
            BackupError: A restore into the store is not done (`restore_under_way`).
            StoreUnavailableError: The next run goes on.
            SettingError: A setting that backups need is missing or wrong.
        """
        hours = self._rooms.settings["BACKUP_EVERY_HOURS"]
        done = await self.take(timedelta(hours=hours) if hours else None)
        now = (await self._time())()
        wide.add(
            backup=done.backup or None,
            copied=dict(done.copied) or None,
            finished=done.whole if done.backup else None,
            resumed=done.resumed or None,
            backups_deleted=done.deleted or None,
            # Where none are taken on schedule, none is too old.
            backup_age_s=None
            if done.latest is None or not hours
            else round((now - done.latest).total_seconds()),
        )
        return done

    async def take(
        self,
        every: timedelta | None,
        *,
        seconds: float = 8 * 60.0,
        told: Callable[[str, int], None] = lambda _source, _lines: None,
    ) -> Taken:
        """Begin or go on, for so many seconds (the platform ends an invocation after ten minutes).

        Raises:
            BackupError: A restore into the store is not done (`restore_under_way`).
            StoreUnavailableError: The next run goes on.
            SettingError: A setting that backups need is missing or wrong.
        """
        # Loaded at the first run: no tap needs it.
        from shared.backup.take import BackUp  # noqa: PLC0415

        rooms = self._rooms
        rooms.settings.require(BACKUP)
        await rooms.stamp.check()
        return await BackUp(
            rooms.tables,
            rooms.blobs,
            environment=rooms.settings["EMABLER_ENVIRONMENT"],
            buckets=rooms.settings["STORE_BUCKETS"],
            keep=self.keep,
            soft_delete=self.soft_delete,
            journal=timedelta(days=rooms.settings["BACKUP_JOURNAL_DAYS"]),
            clock=await self._time(),
            seconds=seconds,
            elapsed=self._elapsed,
            told=told,
        ).run(every)

    async def _time(self) -> Clock:
        if self._clock is None:
            # Loaded at the first run: no tap needs it.
            from shared.reconciliation.store_clock import StoreClock  # noqa: PLC0415

            self._clock = await StoreClock.read(self._rooms.tables, self._elapsed)
        return self._clock

    async def last_gone(self) -> datetime | None:
        """When the last of all backups that there are now is gone for good; None without any.

        Raises:
            StoreUnavailableError: The store or its backups cannot be read now.
        """
        from shared.backup.keeping import last_gone  # noqa: PLC0415 - as above

        return await last_gone(self._rooms.tables, self._rooms.blobs, self.keep, self.soft_delete)

    async def last_gone_on(self) -> str:
        """The day of it, `2026-12-24`; empty without any."""
        gone = await self.last_gone()
        return "" if gone is None else format_instant(gone)[:10]
