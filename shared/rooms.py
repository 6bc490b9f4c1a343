"""Puts the rooms together from settings: what `function_app` and `manage` start from.

Each room is made when it is first asked for, so that a tap waits for nothing that it does not use.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from shared.authorization.audit import Audit
from shared.authorization.authorize import Authorization, Fallback, Terms
from shared.authorization.last_known import SnapshotAtHand
from shared.authorization.unknown_tags import UnknownTags
from shared.authorization.warming import warm
from shared.errors import FunctionDisabledError, SettingError
from shared.ingestion.deliver import Delivery
from shared.ingestion.ingest import Ingested, Ingestion
from shared.ingestion.messages import IncomingMessage
from shared.ingestion.weather import Outlasted
from shared.instants import Clock, format_instant, system_clock
from shared.messaging.connect import connect_service_bus
from shared.messaging.queue import ServiceBusQueue
from shared.sessions.writer import SessionWriter
from shared.settings import (
    AUTHORIZATION,
    INGESTION,
    RECONCILIATION,
    WEBHOOK,
    Settings,
    read_settings,
)
from shared.storage.blobs import Blobs
from shared.storage.connect import connect_blobs, connect_tables, impatient
from shared.storage.rows import Tables
from shared.storage.stamp import Stamp
from shared.tags.snapshot_store import SnapshotStore
from shared.telemetry import LOGGER, WideEvent
from shared.webhook import Webhook

if TYPE_CHECKING:
    from shared.reconciliation.reconcile import Run


class Rooms:
    """The product's parts on one set of settings."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        tables: Tables | None = None,
        blobs: Blobs | None = None,
        clock: Clock = system_clock,
    ) -> None:
        self.settings: Settings = read_settings(environ)
        self._given_tables = tables
        self._given_blobs = blobs
        self._clock = clock
        self._warming: asyncio.Task[None] | None = None

    @cached_property
    def tables(self) -> Tables:
        """The store's gateway."""
        return self._given_tables or connect_tables(self.settings)

    @cached_property
    def blobs(self) -> Blobs:
        """The gateway to what is too large for a row."""
        return self._given_blobs or connect_blobs(self.settings)

    @cached_property
    def stamp(self) -> Stamp:
        """The check that the store is this app's own.

        Raises:
            SettingError: What the stamp is made of is missing or wrong.
        """
        self.settings.require_set("EMABLER_ENVIRONMENT", "STORE_BUCKETS")
        return Stamp(
            self.tables,
            environment=self.settings["EMABLER_ENVIRONMENT"],
            buckets=self.settings["STORE_BUCKETS"],
        )

    @cached_property
    def sessions(self) -> SessionWriter:
        """Writes claims of sessions."""
        return SessionWriter(
            self.tables, buckets=self.settings["STORE_BUCKETS"], tag_hash_key=self.tag_hash_key
        )

    @property
    def tag_hash_key(self) -> bytes:
        """The key of the hash that stands for a tag."""
        return str(self.settings["TAG_HASH_KEY"]).encode()

    @cached_property
    def type_properties(self) -> tuple[str, ...]:
        """The message properties that may name a type."""
        return tuple(str(self.settings["PUSH_TYPE_PROPERTIES"]).split(","))

    @cached_property
    def delivery(self) -> Delivery:
        """Takes batches of push messages."""
        ingestion = Ingestion(
            self.tables,
            self.blobs,
            buckets=self.settings["STORE_BUCKETS"],
            sessions=self.sessions,
            oldest=timedelta(days=self.settings["RETENTION_JOURNAL_DAYS"]),
            clock=self._clock,
        )
        return Delivery(
            ingestion,
            guard=self._may_ingest,
            longest_wait=self.settings["INGEST_LONGEST_WAIT_SECONDS"],
            clock=self._clock,
        )

    @cached_property
    def webhook(self) -> Webhook:
        """Answers eMabler's calls; what its settings do not allow, it says when called."""
        return Webhook(
            accepted=[
                value
                for name in ("WEBHOOK_AUTHORIZATION", "WEBHOOK_AUTHORIZATION_PREVIOUS")
                if (value := self.settings[name])
            ],
            authorization=self._authorization(),
            queue=self._queue(),
        )

    @cached_property
    def tap_tables(self) -> Tables:
        """The store's gateway for taps: it gives up early, and other work does not queue in it."""
        options = impatient(self.terms.budget)
        return self._given_tables or connect_tables(self.settings, **options)

    @cached_property
    def terms(self) -> Terms:
        """What the operator set for taps."""
        settings = self.settings
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
        return Audit(
            self.tables,
            buckets=self.settings["STORE_BUCKETS"],
            inbox=UnknownTags(self.tables),
        )

    def _authorization(self) -> Authorization | None:
        if self.settings.problems_of(AUTHORIZATION):
            return None
        return Authorization(
            self.tap_tables,
            self.terms,
            clock=self._clock,
            audit=self.audit,
            last_known=self.snapshot_at_hand,
        )

    @property
    def keeps_snapshot(self) -> bool:
        """Whether the policy asks for the snapshot of the tags."""
        return bool(self.settings["AUTHORIZATION_FALLBACK"] == Fallback.LAST_KNOWN)

    @cached_property
    def snapshots(self) -> SnapshotStore:
        """Makes and keeps the snapshot of the tags."""
        return SnapshotStore(self.tables, self.blobs, self._clock)

    @cached_property
    def snapshot_at_hand(self) -> SnapshotAtHand | None:
        """What answers taps while the store is away, where the policy says so."""
        if not self.keeps_snapshot:
            return None
        oldest = timedelta(hours=self.settings["AUTHORIZATION_SNAPSHOT_HOURS"])
        return SnapshotAtHand(self.snapshots, oldest=oldest)

    async def refresh_snapshot(self, wide: WideEvent) -> None:
        """Make the snapshot anew and note in the wide event how many tags it holds.

        Raises:
            StoreUnavailableError: Nothing was written; the next run does it.
            SettingError: A setting that it needs is missing or wrong.
        """
        self.settings.require(AUTHORIZATION)
        wide.add(snapshot_tags=len(await self.snapshots.refresh()))

    def _queue(self) -> ServiceBusQueue | None:
        if self.settings.problems_of(WEBHOOK):
            return None
        return ServiceBusQueue(
            self.settings["PUSH_QUEUE_NAME"], lambda: connect_service_bus(self.settings)
        )

    def start(self) -> None:
        """Check the settings before the first call, and log what is wrong with them.

        Raises:
            SettingError: The store's connection is missing or wrong: no function can do without.
        """
        _ = self.tables
        for problem in self.settings.problems:
            LOGGER.error("%s: %s", problem.code, problem)
        self._warm_up()

    def _warm_up(self) -> None:
        """Open the connections of taps beside the rest of the start, where a loop runs already."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if not self.settings.problems_of(AUTHORIZATION):
            self._warming = loop.create_task(warm(self.tap_tables))
            if self.snapshot_at_hand is not None:
                self.snapshot_at_hand.look_soon()

    async def _may_ingest(self) -> None:
        try:
            self.settings.require(INGESTION)
        except SettingError as error:
            raise FunctionDisabledError(str(error), code=error.code) from error
        await self.stamp.check()

    async def ingest(self, batch: Sequence[IncomingMessage], wide: WideEvent) -> Ingested:
        """Take a batch into the store and note in the wide event what came of it.

        Raises:
            TransientError: The store is busy or away, or a setting is wrong: the batch has to
                come again.
        """
        wide.add(
            received=len(batch),
            delivery_count=max((message.delivery_count for message in batch), default=None),
        )
        told = Outlasted()
        try:
            done = await self.delivery.take(batch, told)
        finally:
            wide.add(attempts=told.attempts, waited_ms=round(told.waited * 1000))
        wide.add(
            stored=done.journal.stored,
            repeated=done.journal.repeated,
            counts_exact=done.journal.exact,
            parked=done.parked or None,
        )
        if done.oldest is not None:
            age = (self._clock() - done.oldest).total_seconds()
            wide.add(oldest_event_age_s=round(age, 1))
        return done

    async def reconcile(self, wide: WideEvent) -> Run:
        """Walk eMabler's finished sessions and note in the wide event what came of it.

        Raises:
            TransientError: REST or the store is away; the next run goes on.
            RestRefusedError: The key or a permission is wrong.
            SettingError: A setting that reconciliation needs is missing or wrong.
        """
        self.settings.require(RECONCILIATION)
        await self.stamp.check()
        # httpx is loaded at the first run: no tap needs it.
        from shared.emabler.client import EmablerClient  # noqa: PLC0415
        from shared.reconciliation.reconcile import Reconciliation  # noqa: PLC0415

        async with EmablerClient(
            self.settings["EMABLER_BASE_URL"], self.settings["EMABLER_API_KEY"]
        ) as client:
            reconciliation = Reconciliation(
                client,
                self.sessions,
                path=self.settings["EMABLER_TRANSACTIONS_PATH"],
                page_size=self.settings["EMABLER_PAGE_SIZE"],
                clock=self._clock,
            )
            run = await reconciliation.run(
                timedelta(hours=self.settings["RECONCILE_LOOKBACK_HOURS"])
            )
        wide.add(
            pages=run.pages,
            rest_requests=run.rest_requests,
            sessions=dict(run.sessions),
            window_start=format_instant(run.window_start),
            window_end=format_instant(run.window_end),
        )
        return run

    async def close(self) -> None:
        """Give back connections; what waits for the audit is written first."""
        if "audit" in self.__dict__:
            await self.audit.close()
        for name in ("tables", "tap_tables", "blobs"):
            if name in self.__dict__:
                await self.__dict__[name].close()
