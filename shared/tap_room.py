"""What answers taps, put together from settings: each part when it is first asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from functools import cached_property

from shared.authorization.audit import Audit
from shared.authorization.authorize import Authorization, Fallback, Terms
from shared.authorization.last_known import SnapshotAtHand
from shared.authorization.unknown_tags import UnknownTags
from shared.authorization.warming import warm
from shared.instants import Clock
from shared.settings import AUTHORIZATION
from shared.settings_checked import Settings
from shared.storage.blobs import Blobs
from shared.storage.connect import connect_tables, impatient
from shared.storage.rows import Tables
from shared.tags.snapshot_store import SnapshotStore
from shared.telemetry import WideEvent


class TapRoom:
    """Taps on one set of settings. `tables` and `blobs` are the gateways of work that can wait."""

    def __init__(
        self,
        settings: Settings,
        *,
        tables: Callable[[], Tables],
        blobs: Callable[[], Blobs],
        given_tables: Tables | None,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._patient_tables = tables
        self._blobs = blobs
        self._given_tables = given_tables
        self._clock = clock
        self._warming: asyncio.Task[None] | None = None

    @cached_property
    def tables(self) -> Tables:
        """The store's gateway for taps: it gives up early, and other work does not queue in it."""
        options = impatient(self.terms.budget)
        return self._given_tables or connect_tables(self._settings, **options)

    @cached_property
    def terms(self) -> Terms:
        """What the operator set for taps."""
        settings = self._settings
        keys = (settings["TAG_HASH_KEY"], settings["TAG_HASH_KEY_PREVIOUS"])
        return Terms(
            hash_keys=[str(key).encode() for key in keys if key],
            spellings=settings["TAG_SPELLINGS"] or (),
            buckets=settings["STORE_BUCKETS"],
            longest_open=timedelta(hours=settings["AUTHORIZATION_OPEN_SESSION_HOURS"]),
            budget=settings["AUTHORIZATION_BUDGET_MILLISECONDS"] / 1000,
            facts_last=settings["AUTHORIZATION_FACTS_SECONDS"],
            fallback=Fallback(settings["AUTHORIZATION_FALLBACK"]),
        )

    @cached_property
    def audit(self) -> Audit:
        """Keeps a row of each tap."""
        tables = self._patient_tables()
        return Audit(tables, buckets=self._settings["STORE_BUCKETS"], inbox=UnknownTags(tables))

    @cached_property
    def authorization(self) -> Authorization | None:
        """Answers taps; None where a setting that it needs is missing or wrong."""
        if self._settings.problems_of(AUTHORIZATION):
            return None
        return Authorization(
            self.tables,
            self.terms,
            clock=self._clock,
            audit=self.audit,
            last_known=self.snapshot_at_hand,
        )

    @property
    def keeps_snapshot(self) -> bool:
        """Whether the policy asks for the snapshot of the tags."""
        return bool(self._settings["AUTHORIZATION_FALLBACK"] == Fallback.LAST_KNOWN)

    @cached_property
    def snapshots(self) -> SnapshotStore:
        """Makes and keeps the snapshot of the tags."""
        return SnapshotStore(self._patient_tables(), self._blobs(), self._clock)

    @cached_property
    def snapshot_at_hand(self) -> SnapshotAtHand | None:
        """What answers taps while the store is away, where the policy says so."""
        if not self.keeps_snapshot:
            return None
        oldest = timedelta(hours=self._settings["AUTHORIZATION_SNAPSHOT_HOURS"])
        return SnapshotAtHand(self.snapshots, oldest=oldest)

    async def refresh_snapshot(self, wide: WideEvent) -> None:
        """Make the snapshot anew and note in the wide event how many tags it holds.

        Raises:
            StoreUnavailableError: Nothing was written; the next run does it.
            SettingError: A setting that it needs is missing or wrong.
        """
        self._settings.require(AUTHORIZATION)
        wide.add(snapshot_tags=len(await self.snapshots.refresh()))

    def warm_up(self) -> None:
        """Open the connections of taps beside the rest of the start, where a loop runs already."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if not self._settings.problems_of(AUTHORIZATION):
            self._warming = loop.create_task(warm(self.tables))
            if self.snapshot_at_hand is not None:
                self.snapshot_at_hand.look_soon()

    async def close(self) -> None:
        """Write what waits for the audit, and give back the connections of taps."""
        if "audit" in self.__dict__:
            await self.audit.close()
        if "tables" in self.__dict__:
            await self.tables.close()
