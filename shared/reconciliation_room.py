"""What asks eMabler's REST, put together from settings: the inventory and reconciliation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.errors import EmablerFunctionsError
from shared.instants import Clock, format_instant
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
    from shared.reconciliation.reconcile import Run

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


class ReconciliationRoom:
    """REST's side of the product on one set of settings."""

    def __init__(
        self,
        settings: Settings,
        *,
        tables: Callable[[], Tables],
        sessions: Callable[[], SessionWriter],
        stamp: Callable[[], Stamp],
        given_emabler: Callable[[], EmablerClient] | None,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._tables = tables
        self._sessions = sessions
        self._stamp = stamp
        self._given_emabler = given_emabler
        self._clock = clock

    def client(self) -> EmablerClient:
        """A client of eMabler's REST, to be entered.

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
            around=Surroundings(clock=self._clock),
        )

    async def on_schedule(self, wide: WideEvent) -> None:
        """What the timer does: refresh the inventory where it is due, then reconcile.

        An inventory that fails keeps no session from being reconciled; it is told afterwards.

        Raises:
            TransientError: REST or the store is away; the next run goes on.
            RestRefusedError: The key or a permission is wrong.
            SettingError: A setting that reconciliation needs is missing or wrong.
        """
        self._settings.require(RECONCILIATION)
        await self._stamp().check()
        async with self.client() as client:
            try:
                failed: EmablerFunctionsError | None = None
                try:
                    await self._refresh_inventory_when_due(client, wide)
                except EmablerFunctionsError as error:
                    failed = error
                await self._reconcile(client, wide)
            finally:
                _tell_of(client, wide)
        if failed is not None:
            raise failed

    async def reconcile(self, wide: WideEvent) -> Run:
        """Walk eMabler's finished sessions and note in the wide event what came of it.

        Raises:
            TransientError: REST or the store is away; the next run goes on.
            RestRefusedError: The key or a permission is wrong.
            SettingError: A setting that reconciliation needs is missing or wrong.
        """
        self._settings.require(RECONCILIATION)
        await self._stamp().check()
        async with self.client() as client:
            try:
                return await self._reconcile(client, wide)
            finally:
                _tell_of(client, wide)

    async def _reconcile(self, client: EmablerClient, wide: WideEvent) -> Run:
        from shared.reconciliation.reconcile import Reconciliation  # noqa: PLC0415

        reconciliation = Reconciliation(client, self._sessions(), clock=self._clock)
        run = await reconciliation.run(timedelta(hours=self._settings["RECONCILE_LOOKBACK_HOURS"]))
        wide.add(
            pages=run.pages,
            sessions=dict(run.sessions),
            findings=None if run.walk_agrees else {"walk_disagrees": 1},
            window_start=format_instant(run.window_start),
            window_end=format_instant(run.window_end),
        )
        return run

    def inventory(self, client: EmablerClient) -> Inventory:
        """Refreshes the chargers table."""
        from shared.inventory.refresh import Inventory  # noqa: PLC0415

        return Inventory(client, self._tables(), buckets=self._settings["STORE_BUCKETS"])

    async def _refresh_inventory_when_due(self, client: EmablerClient, wide: WideEvent) -> None:
        inventory = self.inventory(client)
        every = timedelta(minutes=self._settings["INVENTORY_EVERY_MINUTES"])
        if await inventory.is_due(every, self._clock()):
            wide.add(inventory=(await inventory.refresh()).told())


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
