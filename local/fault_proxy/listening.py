"""One service's port on 127.0.0.1: open, away (refusing or resetting), and back on the same port.

While it refuses, the port stays bound by a socket that does not listen, so that nobody else can
be given it meanwhile.
"""

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from typing import Literal

from aiohttp import web

from local.ports import LOOPBACK

type How = Literal["refuse", "reset"]
type Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_BACKLOG = 128
_LONGEST_LINE = 32 * 1024
_STOP_SECONDS = 0.2


class Listener:
    """The port of one service."""

    def __init__(self, handler: Handler) -> None:
        self._web = web.Server(
            handler,
            access_log=None,
            auto_decompress=False,
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
        )
        self._socket = _bound(0)
        self.port: int = self._socket.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._opening: asyncio.Task[None] | None = None
        # Who keeps it away, and how; outages may overlap.
        self._away: dict[int, How] = {}

    async def open(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.get_running_loop().create_server(
            self._web, sock=self._socket, backlog=_BACKLOG, start_serving=False
        )
        await self._server.start_serving()

    @property
    def away(self) -> bool:
        """Whether calls that come in all the same are to be reset."""
        return bool(self._away)

    def go_away(self, who: int, how: How) -> None:
        """Reset every connection; with `refuse`, take no new ones either."""
        self._away[who] = how
        self._listen_or_not()
        for connection in self._web.connections:
            reset(connection.transport)

    def come_back(self, who: int) -> None:
        """End one outage. When it was the last one, calls are served again from now on."""
        self._away.pop(who, None)
        self._listen_or_not()

    async def close(self) -> None:
        """Stop listening; break off what is under way."""
        if self._opening is not None:
            # Cut off half-way it would leave its socket in the event loop's selector, where the
            # next socket with the same number would never be heard.
            await self._opening
        if self._server is not None:
            self._server.close()
        self._socket.close()
        self._web.pre_shutdown()
        await self._web.shutdown(_STOP_SECONDS)

    def _listen_or_not(self) -> None:
        if self._opening is not None:
            return
        if "refuse" in self._away.values():
            if self._server is not None:
                self._server.close()
                self._server = None
                self._socket = _bound(self.port)
        elif self._server is None:
            # Connections wait in the socket's queue until the task below takes them.
            self._socket.listen(_BACKLOG)
            self._opening = asyncio.create_task(self._reopen())

    async def _reopen(self) -> None:
        await self.open()
        self._opening = None
        self._listen_or_not()


def reset(transport: asyncio.BaseTransport | None) -> None:
    """Break a connection so that the other side sees a reset, not an orderly end."""
    if not isinstance(transport, asyncio.Transport):
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        # Lingering for 0 seconds makes the close a reset (socket(7), SO_LINGER).
        linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
        with contextlib.suppress(OSError):  # it may have been closed from the other side
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


def _bound(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":
            # Connections of a moment ago do not hold the port (on Windows they never do).
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((LOOPBACK, port))
    except BaseException:
        bound.close()
        raise
    return bound
