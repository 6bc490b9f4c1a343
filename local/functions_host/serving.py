"""Everything that serves an indexed app: its triggers, the admin endpoints, the HTTP server."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from local.functions_host.admin import Admin, HostFacts
from local.functions_host.console import STARTUP, Console
from local.functions_host.cors import Cors
from local.functions_host.functions import Function
from local.functions_host.host_options import HostOptions
from local.functions_host.http_server import HttpServer
from local.functions_host.invocations import Invocations
from local.functions_host.schedule_status import FileStatusStore, MemoryStatusStore
from local.functions_host.trigger_context import TriggerContext
from local.functions_host.triggers import Triggers
from local.functions_host.workers import Workers

_SETTLE_SECONDS = 3.0
_TIMERS = Path(".local") / "functions_host" / "timers"


class Serving:
    """Serves the functions from `start` to `stop`."""

    def __init__(
        self,
        options: HostOptions,
        functions: Sequence[Function],
        *,
        workers: Workers,
        invocations: Invocations,
        console: Console,
        url: str,
    ) -> None:
        """Set everything up; functions for which that fails get an error."""
        self._options = options
        self._workers = workers
        self._invocations = invocations
        self._console = console
        statuses = (
            FileStatusStore(options.app / _TIMERS)
            if options.remember_timers
            else MemoryStatusStore()
        )
        self._triggers = Triggers(
            functions,
            TriggerContext(
                options.settings,
                options.host_json,
                invocations,
                statuses,
                console,
                options.function_key,
            ),
            url,
        )
        self._facts = HostFacts(options.app, url, options.began, options.host_json.http)
        admin = Admin(self._facts, functions, workers, self._triggers.run_now)
        self._http = HttpServer(
            [admin.answer, self._triggers.http.answer], Cors(options.settings.host), console
        )

    async def start(self) -> None:
        """Take requests, messages and occurrences from now on."""
        await self._http.start(self._options.listener)
        self._triggers.start()

    async def stop(self) -> None:
        """Take nothing new, let what runs end within the grace, cut the rest off."""
        self._facts.stopping = True
        self._triggers.stop()
        await self._http.stop_accepting()
        if self._invocations.running:
            self._console.information(
                STARTUP, f"Stopping; {self._invocations.running} invocations still run."
            )
        if not await self._ended(self._options.grace):
            self._console.warning(STARTUP, f"Cut off after {self._options.grace:g} s.")
            # Ending the worker fails what still runs, so that messages are abandoned.
            await self._workers.stop()
            await self._ended(_SETTLE_SECONDS)
        await self._triggers.cut_off()
        await self._http.stop()

    async def _ended(self, seconds: float) -> bool:
        """Whether everything that runs ends and is settled within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._triggers.ended()
                await self._invocations.idle()
        except TimeoutError:
            return False
        return True
