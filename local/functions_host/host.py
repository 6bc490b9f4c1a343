"""Puts the host together: worker, triggers, HTTP; starts and stops them in order."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from local.functions_host.app_settings import AppSettings
from local.functions_host.banner import write_banner
from local.functions_host.console import Console
from local.functions_host.functions import read_functions
from local.functions_host.host_id import host_id
from local.functions_host.host_options import HostOptions
from local.functions_host.insights import make_insights
from local.functions_host.invocations import Invocations
from local.functions_host.log_levels import LogLevel
from local.functions_host.rpc import RpcServer
from local.functions_host.worker.protos import Message
from local.functions_host.workers import HOST_VERSION, Workers

if TYPE_CHECKING:
    # Imported late, while the worker starts: see `_start`.
    from local.functions_host.serving import Serving


class Host:
    """One run of an app."""

    def __init__(self, options: HostOptions, console: Console) -> None:
        self._options = options
        self._console = console
        self._url = _url(options.listener)
        self._rpc = RpcServer(self._log)
        environment = _worker_environment(options.settings.values, self._url)
        self._workers = Workers(self._rpc, options.app, environment, console)
        self._insights = make_insights(
            options.settings,
            console,
            role=options.app.name,
            host_id=host_id(options.app),
            version=HOST_VERSION,
            opentelemetry=options.host_json.opentelemetry,
        )
        self._invocations = Invocations(
            self._workers, console, options.host_json.function_timeout, self._insights
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Start, serve until `stop` is set, and end everything in order.

        Raises:
            HostError: The app cannot be served; nothing is left running.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._rpc.stop)
            await self._rpc.start()
            if self._insights is not None:
                stack.push_async_callback(self._insights.stop)
                self._insights.start()
            stack.push_async_callback(self._workers.stop)
            starting = asyncio.create_task(self._start())
            stopping = asyncio.create_task(stop.wait())
            try:
                await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if starting.done():
                    await self._serve(await starting, stop)
            finally:
                starting.cancel()
                stopping.cancel()
                await asyncio.gather(starting, stopping, return_exceptions=True)

    async def _start(self) -> "Serving":
        """Start the worker, index the app, set its triggers up."""
        process = await self._workers.launch()
        # The worker imports Microsoft's runtime and the app meanwhile, on another core.
        await asyncio.to_thread(_import_triggers, self._options.settings)
        from local.functions_host.serving import Serving  # noqa: PLC0415  # see above

        index = await self._workers.adopt(process)
        if self._insights is not None and self._options.host_json.opentelemetry:
            self._insights.lines_too = not self._workers.sends_its_lines
        functions = read_functions(index, self._options.settings)
        serving = Serving(
            self._options,
            functions,
            workers=self._workers,
            invocations=self._invocations,
            console=self._console,
            url=self._url,
        )
        write_banner(
            self._console, self._options.app, self._url, functions, self._options.host_json
        )
        return serving

    async def _serve(self, serving: "Serving", stop: asyncio.Event) -> None:
        try:
            await serving.start()
            milliseconds = round((time.monotonic() - self._options.began) * 1000)
            self._console.ready(self._url, os.getpid(), self._workers.pids, milliseconds)
            await stop.wait()
        finally:
            await serving.stop()

    def _log(self, log: Message) -> None:
        """A line that the app logged in the worker."""
        level = LogLevel(log.level)
        function = self._invocations.function_of(log.invocation_id)
        self._console.function_log(level, function, log.category, log.message)
        self._invocations.logged(log.invocation_id, level, log.message)


def _import_triggers(settings: AppSettings) -> None:
    import_module("local.functions_host.serving")
    import_module("local.functions_host.triggers").import_early(settings)


def _url(listener: socket.socket) -> str:
    address, port = listener.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(address, address)  # noqa: S104  # shown only
    if ":" in reachable and not reachable.startswith("["):
        reachable = f"[{reachable}]"
    return f"http://{reachable}:{port}"


def _worker_environment(settings: Mapping[str, str], url: str) -> dict[str, str]:
    """The settings with what `func start` adds to them for every app."""
    return {
        "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
        "FUNCTIONS_WORKER_RUNTIME": "python",
        **settings,
        "WEBSITE_HOSTNAME": url.removeprefix("http://"),
    }
