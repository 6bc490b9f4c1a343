"""Calls that fail, hang or break off.

The bodies of 502, 503 and 504 come from what stands before a service, and are no JSON.
"""

import asyncio
from http import HTTPStatus

from aiohttp import web

from local.emabler.errors import older

GATEWAY_STATUSES = (502, 503, 504)


def failing(status: int) -> web.Response:
    """Answer as a service that fails, or as a gateway before it."""
    if status not in GATEWAY_STATUSES:
        return older("INTERNAL_ERROR", "An unexpected error occurred.", status)
    title = f"{status} {HTTPStatus(status).phrase}"
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return web.Response(text=page, status=status, content_type="text/html")


async def hang(request: web.Request, seconds: float, released: asyncio.Event) -> web.Response:
    """Hold a call, then close its connection without an answer."""
    try:
        async with asyncio.timeout(seconds):
            await released.wait()
    except TimeoutError:
        pass
    _close(request)
    return web.Response(status=HTTPStatus.GATEWAY_TIMEOUT)  # nobody hears it


async def cut(request: web.Request, answer: web.Response) -> web.StreamResponse:
    """Send the first half of an answer, then close the connection."""
    body = answer.body if isinstance(answer.body, bytes) else b""
    stream = web.StreamResponse(status=answer.status, headers=answer.headers)
    stream.content_length = len(body)
    await stream.prepare(request)
    await stream.write(body[: len(body) // 2])
    _close(request)
    return stream


def _close(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.close()
