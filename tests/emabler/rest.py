"""What the tests of the client share: time that passes by itself, and servers that misbehave."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from shared.emabler.calls import Options
from shared.emabler.client import EmablerClient
from shared.emabler.retries import Surroundings

BASE = "https://api.emabler.example/api/v2/cpo/"
KEY = "key-4711-of-ours"
TAG = "04A22B7F-canary"
NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)

type Answer = httpx.Response | Exception | Callable[[], httpx.Response]
"""An answer whose body is to be unpacked is made anew each time: its stream is read once."""

type Handler = (
    Callable[[httpx.Request], httpx.Response]
    | Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]
)


class Time:
    """Time that passes only in sleep; chance that is always the middle."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds

    @property
    def around(self) -> Surroundings:
        return Surroundings(
            clock=lambda: NOW + timedelta(seconds=self.seconds),
            elapsed=lambda: self.seconds,
            sleep=self.sleep,
            chance=lambda: 0.5,
        )


def client(
    handler: Handler | None, *, base: str = BASE, time: Time | None = None, **options: Any
) -> EmablerClient:
    """A client whose pace is no matter, unless the options say so; without a handler, for real."""
    return EmablerClient(
        base,
        KEY,
        options=Options(**{"requests_per_second": 1e9} | options),
        around=(time or Time()).around,
        transport=httpx.MockTransport(handler) if handler else None,
    )


def page_of(*items: Any, more: object = False, **fields: Any) -> httpx.Response:
    return httpx.Response(
        200,
        json={"items": list(items), "totalRecords": len(items), "hasNextPage": more} | fields,
    )


class Server:
    """Answers in the order that was given; the last answer stands for all that come after."""

    def __init__(self, answers: Iterable[Answer]) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers[min(len(self.requests), len(self._answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer() if callable(answer) else answer


@asynccontextmanager
async def raw_server(sent: bytes, ending: str) -> AsyncIterator[str]:
    """A server of this machine that reads a request, sends bytes, and then ends in its way.

    `close` ends the connection in peace, `reset` breaks it, `silence` keeps it open, `drip` sends
    one blank after the other for ever.
    """
    connections: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(sent)
            await writer.drain()
            if ending == "reset":
                taken: socket.socket = writer.get_extra_info("socket")
                linger = struct.pack("ii", 1, 0)
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
            elif ending == "silence":
                await asyncio.Event().wait()
            while ending == "drip":
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.005)
        except (asyncio.CancelledError, OSError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/api/v2/cpo/"
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


def http(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", "content-type: application/json", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


WHOLE = json.dumps({"items": [{"id": 1}], "totalRecords": 1, "hasNextPage": False}).encode()
