"""The host's HTTP server: `/admin/…` first, then the functions' routes."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage

from local.functions_host.console import Console
from local.functions_host.cors import Cors

# Azure's limit for a request body is 100 MB.
_LARGEST_BODY = 100 * 1024 * 1024
_HOME = "The local Azure Functions host is up and running.\n"

Answerer = Callable[[web.BaseRequest], Awaitable[web.Response | None]]


class HttpServer:
    """Serves one socket with a list of answerers; what none of them knows is 404."""

    def __init__(self, answerers: list[Answerer], cors: Cors, console: Console) -> None:
        self._answerers = answerers
        self._cors = cors
        self._console = console
        self._runner: web.ServerRunner | None = None
        self._stopping = False

    async def start(self, listener: socket.socket) -> None:
        """Serve the bound socket."""
        server = web.Server(
            self._handle, request_factory=_request, access_log=None, auto_decompress=False
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()

    async def stop_accepting(self) -> None:
        """Take no new connections and requests; running ones go on."""
        self._stopping = True
        if self._runner is not None:
            for site in list(self._runner.sites):
                await site.stop()

    async def stop(self) -> None:
        """Close every connection."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        if self._stopping:
            return web.Response(status=503, headers={"Connection": "close"})
        if request.headers.get("Expect", "").lower() == "100-continue":
            # A client with a large body waits for this before it sends it (RFC 9110, 10.1.1).
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        preflight = self._cors.preflight(request)
        if preflight is not None:
            return preflight
        response = await self._answer(request)
        self._cors.mark(request, response)
        return response

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        try:
            for answerer in self._answerers:
                response = await answerer(request)
                if response is not None:
                    return response
        except web.HTTPException:
            raise
        except Exception as error:  # noqa: BLE001  # a broken request must not end the host
            self._console.error("Host.Http", f"{type(error).__name__}: {error}")
            return web.Response(status=500)
        if request.path == "/" and request.method in {"GET", "HEAD"}:
            return web.Response(text=_HOME)
        return web.Response(status=404)


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    return web.BaseRequest(
        message,
        payload,
        protocol,
        writer,
        task,
        asyncio.get_running_loop(),
        client_max_size=_LARGEST_BODY,
    )
