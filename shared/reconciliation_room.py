"""What asks eMabler's REST, put together from settings: the inventory and reconciliation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING

from shared.errors import BudgetSpentError, EmablerFunctionsError
from shared.instants import Clock, format_instant
from shared.sessions.plausibility import Limits
from shared.sessions.writer import SessionWriter
from shared.settings import RECONCILIATION
from shared.settings_checked import Settings
from shared.storage.rows import Tables
from shared.storage.stamp import Stamp
from shared.telemetry import WideEvent

if TYPE_CHECKING:
    from shared.emabler.calls import Options
    from shared.emabler.client import EmablerClient
    from shared.inventory.refresh import Inventory
    from shared.reconciliation.findings import Finding
    from shared.reconciliation.means import Rules
    from shared.reconciliation.run import Reconciliation
    from shared.reconciliation.spans import Span
    from shared.reconciliation.terms import Run, Terms, Told

_CLIENT_SETTINGS = (
    "EMABLER_ENVIRONMENT",
    "EMABLER_BASE_URL",
    "EMABLER_API_KEY",
    "EMABLER_TRANSACTIONS_PATH",
    "EMABLER_ONGOING_PATH",
    "EMABLER_CHARGERS_PATH",
    "EMABLER_TAGS_PATH",
    "EMABLER_PUSH_CONFIGURATIONS_PATH",
    "EMABLER_PAGE_SIZE",
    "EMABLER_LIST_PAGE_SIZE",
    "EMABLER_REQUESTS_PER_SECOND",
    "EMABLER_TIMEOUT_SECONDS",
    "EMABLER_RETRY_SECONDS",
)


MOST_SECONDS_OF_INVENTORY = 240.0
"""Half of a run's: however slowly eMabler answers, the other half is for sessions."""


class ReconciliationRoom:
    """REST's side of the product on one set of settings."""

    def __init__(
        self,
        settings: Settings,
        *,
        tables: Callable[[], Tables],
        sessions: Callable[[], SessionWriter],
        stamp: Callable[[], Stamp],
        plausible: Limits,
        given_emabler: Callable[[], EmablerClient] | None,
        clock: Clock,
        elapsed: Callable[[], float] = monotonic,
    ) -> None:
        self._settings = settings
        self._tables = tables
        self._sessions = sessions
        self._stamp = stamp
        self._plausible = plausible
        self._given_emabler = given_emabler
        self._clock = clock
        self._elapsed = elapsed

    def client(self, *, clock: Clock | None = None) -> EmablerClient:
        """A client of eMabler's REST, to be entered; `clock` tells when what was asked.

        Raises:
            SettingError: A setting that it needs is missing or wrong.
        """
        self._settings.require_set(*_CLIENT_SETTINGS)
        if self._given_emabler is not None:
            return self._given_emabler()
        # httpx is loaded at the first use: no tap needs it.
        from shared.emabler.client import EmablerClient  # noqa: PLC0415
        from shared.emabler.retries import Surroundings  # noqa: PLC0415

        return EmablerClient(
            self._settings["EMABLER_BASE_URL"],
            self._settings["EMABLER_API_KEY"],
            options=client_options(self._settings),
            around=Surroundings(clock=clock or self._clock),
        )

    async def on_schedule(self, wide: WideEvent) -> None:
        """What the timer does: refresh the inventory where it is due, then reconcile.

        An inventory that fails keeps no session from being reconciled; it is told afterwards.

        Raises:
            LeaseHeldError: Another run is under way.
            TransientError: REST or the store is away; the next run goes on.
            RestRefusedError: The key or a permission is wrong.
            SettingError: A setting that reconciliation needs is missing or wrong.
        """
        began = self._elapsed()
        async with self._opened(wide) as (client, clock):
            failed: EmablerFunctionsError | None = None
            try:
                await self._refresh_inventory_when_due(client, wide)
            except EmablerFunctionsError as error:
                failed = error
            # Azure ends a function that takes too long, with the worker that also answers taps.
            await self._run(client, clock, wide, spent=self._elapsed() - began)
        if failed is not None:
            raise failed

    async def reconcile(self, wide: WideEvent, *, holder: str = "timer") -> Run:
        """Prove the store as far as the time of a run allows, and note what came of it.

        Raises: as `on_schedule`.
        """
        async with self._opened(wide) as (client, clock):
            return await self._run(client, clock, wide, holder=holder)

    async def walk(
        self, span: Span, wide: WideEvent, *, holder: str, told: Told | None = None
    ) -> Run:
        """Prove one stretch by hand, however long it takes; the front stays.

        Raises: as `on_schedule`.
        """
        from shared.reconciliation.terms import nobody_told  # noqa: PLC0415 - at the first use

        async with self._opened(wide) as (client, clock):
            reconciliation = self._reconciliation(client, clock)
            run = reconciliation.begin(holder=holder)
            try:
                return await reconciliation.walk(run, span, told or nobody_told)
            finally:
                _tell_of_run(run, wide)

    async def look(
        self, span: Span, wide: WideEvent, *, told: Told | None = None
    ) -> tuple[Run, list[Finding]]:
        """What a walk over a stretch would do and find; nothing is written.

        Raises: as `on_schedule`.
        """
        from shared.reconciliation.terms import nobody_told  # noqa: PLC0415 - at the first use

        async with self._opened(wide, writes=False) as (client, clock):
            reconciliation = self._reconciliation(client, clock)
            run = reconciliation.begin(holder="")
            return run, await reconciliation.look(run, span, told or nobody_told)

    @asynccontextmanager
    async def _opened(
        self, wide: WideEvent, *, writes: bool = True
    ) -> AsyncIterator[tuple[EmablerClient, Clock]]:
        """A client on the store's own time; what it did is noted, also where it failed.

        A store without a stamp is stamped only where it is to be written to.
        """
        self._settings.require(RECONCILIATION)
        stamp = self._stamp()
        await (stamp.check() if writes else stamp.agrees())
        from shared.reconciliation.store_clock import StoreClock  # noqa: PLC0415 - at first use

        clock = await StoreClock.read(self._tables(), self._elapsed)
        async with self.client(clock=clock) as client:
            try:
                yield client, clock
            finally:
                _tell_of(client, wide)

    async def _run(
        self,
        client: EmablerClient,
        clock: Clock,
        wide: WideEvent,
        *,
        holder: str = "timer",
        spent: float = 0.0,
    ) -> Run:
        reconciliation = self._reconciliation(client, clock, spent=spent)
        run = reconciliation.begin(holder=holder)
        try:
            return await reconciliation.run(run)
        finally:
            _tell_of_run(run, wide)

    def _reconciliation(
        self, client: EmablerClient, clock: Clock, *, spent: float = 0.0
    ) -> Reconciliation:
        from shared.reconciliation.means import Means  # noqa: PLC0415 - at the first use
        from shared.reconciliation.pairing_writer import Pairing  # noqa: PLC0415
        from shared.reconciliation.run import Reconciliation  # noqa: PLC0415

        settings = self._settings
        hash_key = str(settings["TAG_HASH_KEY"]).encode()
        means = Means(
            tables=self._tables(),
            sessions=self._sessions(),
            client=client,
            pairing=Pairing(self._tables(), tag_hash_key=hash_key, plausible=self._plausible),
            buckets=settings["STORE_BUCKETS"],
            tag_hash_key=hash_key,
            rules=rules_of(settings),
        )
        terms = terms_of(settings)
        terms = replace(terms, seconds=max(terms.seconds - spent, 0.0))
        return Reconciliation(means, terms, clock=clock, elapsed=self._elapsed)

    def inventory(self, client: EmablerClient) -> Inventory:
        """Refreshes the chargers table."""
        from shared.inventory.refresh import Inventory  # noqa: PLC0415

        return Inventory(client, self._tables(), buckets=self._settings["STORE_BUCKETS"])

    async def _refresh_inventory_when_due(self, client: EmablerClient, wide: WideEvent) -> None:
        inventory = self.inventory(client)
        every = timedelta(minutes=self._settings["INVENTORY_EVERY_MINUTES"])
        try:
            async with asyncio.timeout(MOST_SECONDS_OF_INVENTORY) as bound:
                if await inventory.is_due(every, self._clock()):
                    wide.add(inventory=(await inventory.refresh()).told())
        except TimeoutError as error:
            if not bound.expired():
                raise
            raise BudgetSpentError(
                f"the inventory did not come within {MOST_SECONDS_OF_INVENTORY:g} s: raise "
                "EMABLER_REQUESTS_PER_SECOND, or set INVENTORY_EVERY_MINUTES to 0 and run "
                "`python manage.py chargers refresh`, which takes its time"
            ) from error


def client_options(settings: Settings) -> Options:
    """What the settings say of paths, page sizes and bounds of eMabler's REST."""
    from shared.emabler.calls import Options  # noqa: PLC0415 - with the client, at the first use

    return Options(
        finished_sessions_path=settings["EMABLER_TRANSACTIONS_PATH"],
        ongoing_sessions_path=settings["EMABLER_ONGOING_PATH"],
        chargers_path=settings["EMABLER_CHARGERS_PATH"],
        tags_path=settings["EMABLER_TAGS_PATH"],
        push_configurations_path=settings["EMABLER_PUSH_CONFIGURATIONS_PATH"],
        page_size=settings["EMABLER_PAGE_SIZE"],
        list_page_size=settings["EMABLER_LIST_PAGE_SIZE"],
        requests_per_second=settings["EMABLER_REQUESTS_PER_SECOND"],
        timeout=settings["EMABLER_TIMEOUT_SECONDS"],
        retry_seconds=settings["EMABLER_RETRY_SECONDS"],
    )


def _tell_of(client: EmablerClient, wide: WideEvent) -> None:
    """Note what a client did and met, also where it failed."""
    wide.add(
        rest_requests=client.counts.requests,
        rest_retries=client.counts.retries or None,
        rest_throttled=client.counts.throttled or None,
        rest_waited_ms=round(client.counts.seconds_waited * 1000) or None,
        rest_drift=client.drift.told() or None,
    )


def _tell_of_run(run: Run, wide: WideEvent) -> None:
    """Note what a run did, also where it failed."""
    until = run.ended or run.began

    def age(instant: datetime | None) -> int | None:
        return None if instant is None else round((until - instant).total_seconds())

    wide.add(
        run=run.id,
        complete=run.complete,
        windows=run.windows,
        pages=run.pages,
        sessions=dict(run.sessions),
        findings=dict(run.met) or None,
        findings_new=dict(run.new) or None,
        findings_open=run.open,
        push_silent=run.push_silent,
        front=run.front and format_instant(run.front),
        front_age_s=age(run.front),
        oldest_proof_s=age(run.oldest_proof),
    )


def rules_of(settings: Settings) -> Rules:
    """What the settings say of the comparison."""
    from shared.reconciliation.differing import Tolerances  # noqa: PLC0415 - at the first use
    from shared.reconciliation.means import Rules  # noqa: PLC0415

    return Rules(
        tolerances=Tolerances(
            energy_wh=settings["RECONCILE_ENERGY_TOLERANCE_WH"],
            energy_share=settings["RECONCILE_ENERGY_TOLERANCE_PERCENT"] / 100,
            time=timedelta(seconds=settings["RECONCILE_TIME_TOLERANCE_SECONDS"]),
        ),
        grace=timedelta(hours=settings["RECONCILE_GRACE_HOURS"]),
        longest_open=timedelta(hours=settings["RECONCILE_OPEN_HOURS"]),
    )


def terms_of(settings: Settings) -> Terms:
    """What the settings say of reconciliation."""
    from shared.reconciliation.passes import Schedule  # noqa: PLC0415 - at the first use
    from shared.reconciliation.terms import Terms  # noqa: PLC0415

    return Terms(
        first=timedelta(days=settings["RECONCILE_FIRST_DAYS"]),
        overlap=timedelta(minutes=settings["RECONCILE_OVERLAP_MINUTES"]),
        settling=timedelta(minutes=settings["RECONCILE_SETTLING_MINUTES"]),
        lease=timedelta(seconds=settings["RECONCILE_LEASE_SECONDS"]),
        behind_requests=settings["RECONCILE_BEHIND_REQUESTS"],
        schedule=Schedule(
            recent=timedelta(days=settings["RECONCILE_RECENT_DAYS"]),
            month=timedelta(days=settings["RECONCILE_MONTH_DAYS"]),
            ongoing_every=timedelta(minutes=settings["RECONCILE_ONGOING_MINUTES"]),
        ),
    )
