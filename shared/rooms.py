"""Puts the rooms together from settings: what `function_app` and `manage` start from.

Each room is made when it is first asked for, so that a tap waits for nothing that it does not use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING

from shared.errors import FunctionDisabledError, SettingError
from shared.ingestion.deliver import Delivery
from shared.ingestion.ingest import Ingested, Ingestion
from shared.ingestion.messages import IncomingMessage
from shared.ingestion.weather import Outlasted
from shared.instants import Clock, system_clock
from shared.last_runs import LastRuns
from shared.messaging.connect import connect_service_bus, modules_of
from shared.messaging.dead_letters import DeadLetters, open_dead_letters
from shared.messaging.queue import ServiceBusQueue
from shared.reconciliation_room import ReconciliationRoom
from shared.sessions.plausibility import Limits
from shared.sessions.writer import SessionWriter
from shared.settings import (
    INGESTION,
    RETENTION,
    WEBHOOK,
    read_settings,
)
from shared.settings_checked import Settings
from shared.status_room import StatusRoom
from shared.storage.blobs import Blobs
from shared.storage.connect import connect_blobs, connect_tables
from shared.storage.rows import Tables
from shared.storage.stamp import Stamp
from shared.tap_room import TapRoom
from shared.telemetry import LOGGER, WideEvent
from shared.webhook import Webhook

if TYPE_CHECKING:
    from shared.emabler.client import EmablerClient
    from shared.retention.retain import Retained


class Rooms:
    """The product's parts on one set of settings."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        tables: Tables | None = None,
        blobs: Blobs | None = None,
        clock: Clock = system_clock,
        elapsed: Callable[[], float] = monotonic,
        emabler: Callable[[], EmablerClient] | None = None,
    ) -> None:
        self.settings: Settings = read_settings(environ)
        self._given_tables = tables
        self._given_blobs = blobs
        self._given_emabler = emabler
        self._clock = clock
        self._elapsed = elapsed

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
            self.tables,
            buckets=self.settings["STORE_BUCKETS"],
            tag_hash_key=self.tag_hash_key,
            plausible=self.plausible,
        )

    @cached_property
    def last_runs(self) -> LastRuns:
        """Notes which function did its work when."""
        return LastRuns(lambda: self.tables, self._clock)

    @cached_property
    def status(self) -> StatusRoom:
        """Tells monitors how it is."""
        return StatusRoom(
            self.settings,
            tables=lambda: self.tables,
            stamp=lambda: self.stamp,
            queue=lambda: self.queue,
            warm=self.taps.warm_up,
            clock=self._clock,
        )

    @property
    def tag_hash_keys(self) -> list[bytes]:
        """All keys under which a tag may lie: the current one, and the one before."""
        previous = self.previous_tag_hash_key
        return [self.tag_hash_key] + ([previous] if previous else [])

    @property
    def previous_tag_hash_key(self) -> bytes | None:
        """The key before, while tags are moved to the current one."""
        previous = self.settings["TAG_HASH_KEY_PREVIOUS"]
        return str(previous).encode() if previous else None

    @property
    def plausible(self) -> Limits:
        """What a session of this fleet can be."""
        return Limits(max_power_kw=self.settings["SESSION_MAX_POWER_KW"])

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
            authorization=self.taps.authorization,
            queue=self._queue(),
        )

    @cached_property
    def taps(self) -> TapRoom:
        """Answers taps, and keeps what they need."""
        return TapRoom(
            self.settings,
            tables=lambda: self.tables,
            blobs=lambda: self.blobs,
            given_tables=self._given_tables,
            clock=self._clock,
        )

    def _queue(self) -> ServiceBusQueue | None:
        return None if self.settings.problems_of(WEBHOOK) else self.queue

    @cached_property
    def queue(self) -> ServiceBusQueue:
        """The queue, for the webhook and an operator's replay.

        Raises:
            SettingError: Its connection or its name is missing or wrong.
        """
        self.settings.require_set("ServiceBusConnection", "PUSH_QUEUE_NAME")
        return ServiceBusQueue(
            self.settings["PUSH_QUEUE_NAME"],
            lambda: connect_service_bus(self.settings),
            modules_of(self.settings),
        )

    def dead_letters(self) -> AbstractAsyncContextManager[DeadLetters]:
        """The queue's dead letters.

        Raises:
            SettingError: Its connection or its name is missing or wrong.
        """
        self.settings.require_set("ServiceBusConnection", "PUSH_QUEUE_NAME")
        return open_dead_letters(
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
        self.taps.warm_up()

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

    @cached_property
    def reconciliation(self) -> ReconciliationRoom:
        """What asks eMabler's REST: the inventory, and the proof of the store."""
        return ReconciliationRoom(
            self.settings,
            tables=lambda: self.tables,
            sessions=lambda: self.sessions,
            stamp=lambda: self.stamp,
            plausible=self.plausible,
            given_emabler=self._given_emabler,
            clock=self._clock,
            elapsed=self._elapsed,
        )

    def emabler(self) -> EmablerClient:
        """A client of eMabler's REST, to be entered.

        Raises:
            SettingError: A setting that it needs is missing or wrong.
        """
        return self.reconciliation.client()

    async def retain(self, wide: WideEvent) -> Retained:
        """Delete what is beyond its age and note in the wide event what it was.

        Raises:
            StoreUnavailableError: The next run goes on.
            SettingError: A setting that retention needs is missing or wrong.
        """
        self.settings.require(RETENTION)
        await self.stamp.check()
        # Loaded at the first run: no tap needs it.
        from shared.retention.policies import AGE_SETTINGS  # noqa: PLC0415
        from shared.retention.retain import Retention  # noqa: PLC0415

        done = await Retention(
            self.tables,
            self.blobs,
            ages={name: timedelta(days=self.settings[name]) for name in AGE_SETTINGS},
            buckets=self.settings["STORE_BUCKETS"],
            hash_keys=self.tag_hash_keys,
            clock=self._clock,
        ).run()
        wide.add(
            deleted=dict(done.deleted),
            finished=done.finished,
            resumed=done.resumed,
            retention_behind_s=done.behind.total_seconds(),
        )
        return done

    async def close(self) -> None:
        """Give back connections; what waits for the audit is written first."""
        if "last_runs" in self.__dict__:
            await self.last_runs.written()
        for name in ("taps", "tables", "blobs", "queue"):
            if name in self.__dict__:
                await self.__dict__[name].close()
