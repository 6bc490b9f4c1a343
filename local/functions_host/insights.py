"""Sends what the host tells Application Insights, in the background, to this machine's endpoint.

Azure's host sends wherever `APPLICATIONINSIGHTS_CONNECTION_STRING` says. This one sends to loopback
only (`local.app_insights`): its items are an imitation, which has no place in a real component.
"""

import asyncio
import contextlib
import gzip
import json
from collections import deque
from collections.abc import Mapping
from urllib.parse import urlsplit

from local.functions_host.app_settings import AppSettings
from local.functions_host.console import STARTUP, Console
from local.functions_host.insights_items import RESULTS, Ended, Item, Items, Running, Sender
from local.functions_host.log_levels import LogLevel

SETTING = "APPLICATIONINSIGHTS_CONNECTION_STRING"
_OURS = ("127.0.0.1", "localhost", "::1")
_EVERY_SECONDS = 0.5
_MOST_ITEMS = 20_000
_AT_ONCE = 1_000
_POST_SECONDS = 10


class Insights:
    """Takes what happens, sends it every half second, and the rest when it is stopped."""

    def __init__(self, url: str, items: Items, console: Console) -> None:
        self._url = url
        self._items = items
        self._console = console
        self._waiting: deque[Item] = deque(maxlen=_MOST_ITEMS)
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self.lines_too = True
        """Whether lines of functions are sent: not where the worker sends them itself."""

    def executing(self, running: Running) -> None:
        """An invocation begins."""
        if self.lines_too and self._shows(f"Function.{running.function}", LogLevel.INFORMATION):
            self._waiting.append(self._items.executing(running))

    def line(self, running: Running, level: LogLevel, text: str) -> None:
        """A function logged a line."""
        if self.lines_too and self._shows(f"Function.{running.function}.User", level):
            self._waiting.append(self._items.line(running, level, text))

    def ended(self, running: Running, ended: Ended) -> None:
        """An invocation ended."""
        level = LogLevel.ERROR if ended.error else LogLevel.INFORMATION
        if self._shows(RESULTS, level):
            self._waiting.append(self._items.request(running, ended))
        if self.lines_too and self._shows(f"Function.{running.function}", level):
            self._waiting.extend(self._items.ended(running, ended))

    def start(self) -> None:
        """Send from now on."""
        self._task = asyncio.create_task(self._serve())

    async def stop(self) -> None:
        """Send what waits, and stop."""
        self._stopping.set()
        if self._task is not None:
            await self._task
            self._task = None

    def _shows(self, category: str, level: LogLevel) -> bool:
        return self._console.filter.shows(category, level)

    async def _serve(self) -> None:
        # Imported where it is used: the host's start is waited for.
        from aiohttp import ClientSession, ClientTimeout  # noqa: PLC0415

        async with ClientSession(timeout=ClientTimeout(_POST_SECONDS)) as session:

            async def post() -> bool:
                count = min(len(self._waiting), _AT_ONCE)
                if count == 0:
                    return True
                items = [self._waiting[index] for index in range(count)]
                body = gzip.compress(json.dumps(items).encode(), 1)
                headers = {"content-type": "application/json", "content-encoding": "gzip"}
                async with session.post(self._url, data=body, headers=headers) as answer:
                    if answer.status not in (200, 206, 400):
                        return False
                for _ in range(min(count, len(self._waiting))):
                    self._waiting.popleft()
                return not self._waiting

            while not self._stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), _EVERY_SECONDS)
                with contextlib.suppress(OSError, TimeoutError):
                    await post()
            with contextlib.suppress(OSError, TimeoutError):
                for _ in range(_MOST_ITEMS // _AT_ONCE):
                    if await post():
                        break


def make_insights(
    settings: AppSettings,
    console: Console,
    *,
    role: str,
    host_id: str,
    version: str,
    opentelemetry: bool,
) -> Insights | None:
    """The sender that the settings ask for; None where they name no endpoint of this machine."""
    told = _parts(settings.get(SETTING) or "")
    endpoint = told.get("ingestionendpoint", "")
    if not told:
        return None
    if urlsplit(endpoint).hostname not in _OURS:
        console.warning(
            STARTUP,
            f"{SETTING} names no endpoint of this machine: this host sends nothing there. (What the"
            " app sends by itself is the app's.)",
        )
        return None
    sender = Sender(
        told.get("instrumentationkey", ""),
        settings.get("WEBSITE_SITE_NAME") or role,
        host_id,
        version,
        opentelemetry=opentelemetry,
    )
    return Insights(f"{endpoint.rstrip('/')}/v2/track", Items(sender), console)


def _parts(connection_string: str) -> Mapping[str, str]:
    pairs = (part.partition("=") for part in connection_string.split(";"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs if value}
