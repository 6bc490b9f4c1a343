"""Calls handed on to the storage, untouched, each at most once."""

import io
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from yarl import URL

from local.fault_proxy.addresses import origin
from local.fault_proxy.answers import Answer, Headers
from local.fault_proxy.requests import Service

# RFC 9110 section 7.6.1: these concern one connection and are not handed on. The bodies are read
# whole, so that what `Expect` asks for is over when a call is handed on.
_OF_ONE_CONNECTION = frozenset(
    (
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
# Headers that aiohttp would add by itself. Content-Type is part of what is signed.
_NOT_OURS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
# Azurite closes idle connections of blobs and queues after 5 s: ours are gone before that.
_IDLE_SECONDS = 3.0
_LONGEST_HEADER = 32 * 1024


@dataclass(frozen=True, slots=True)
class Message:
    """A request as it came.

    Attributes:
        method: the HTTP method.
        target: path and query as sent.
        headers: names and values as sent, in order.
        body: the body.
    """

    method: str
    target: str
    headers: Headers
    body: bytes


class UpstreamLostError(Exception):
    """The storage could not be reached, or broke the connection without an answer."""


class Upstream:
    """The storage behind the proxy."""

    def __init__(self, urls: Mapping[Service, str]) -> None:
        self._origins = {service: origin(url) for service, url in urls.items()}
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            # A store that hangs is the caller's to give up on.
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            middlewares=(_once,),
            max_field_size=_LONGEST_HEADER,
        )

    async def send(self, service: Service, message: Message) -> Answer:
        """Hand a request on and give the answer, whole.

        The Host header stays what the caller sent: the addresses in answers, and those in the
        body of a transaction, then agree with the address that the caller knows.

        Raises:
            UpstreamLostError: there was no answer; the request may have been done.
        """
        try:
            async with self._session.request(
                message.method,
                URL(self._origins[service] + message.target, encoded=True),
                headers=_handed_on(message.headers),
                data=io.BytesIO(message.body) if message.body else None,
                skip_auto_headers=_NOT_OURS,
                allow_redirects=False,
            ) as response:
                body = await response.read()
        except aiohttp.ClientError as error:
            raise UpstreamLostError(str(error)) from error
        headers = _handed_on(tuple(response.headers.items()))
        return Answer(response.status, response.reason or "", headers, body)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


async def _once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a request a second time when a connection breaks.

    It does so for methods that are idempotent by themselves; with an If-Match header a PUT is not.
    """
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise UpstreamLostError(str(error)) from error


def _handed_on(headers: Headers) -> Headers:
    return tuple((name, value) for name, value in headers if name.lower() not in _OF_ONE_CONNECTION)
