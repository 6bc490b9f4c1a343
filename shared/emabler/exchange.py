"""One request over httpx and its answer: to eMabler's own host only, bounded in time and size."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Generator, Mapping
from typing import Any

import httpx

from shared.emabler.calls import Call
from shared.emabler.refusals import Answer, unusable
from shared.errors import SettingError
from shared.instants import Clock
from shared.spans import System, called

type Transport = httpx.AsyncBaseTransport
"""What carries requests: the network, or a test's stand-in."""

CONNECT_SECONDS = 5.0
MOST_BYTES = 32 * 1024 * 1024
"""An answer unpacked: a page of a thousand sessions has two, the API's description a few."""

_REDIRECT = 300
_PLAIN = ("", "identity", "gzip")


class _Key(httpx.Auth):
    """Puts the key into each request, so that neither the client nor its headers show it."""

    def __init__(self, key: str) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        request.headers["x-api-key"] = self._key
        yield request


class Exchange:
    """eMabler's host behind one httpx client."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        timeout: float,
        clock: Clock,
        transport: Transport | None = None,
    ) -> None:
        # Such a key cannot travel in a header, and httpx's error would tell it.
        if not (api_key.isascii() and api_key.isprintable()):
            raise SettingError("EMABLER_API_KEY has characters that no key has")
        self._whole_seconds = 2 * timeout
        self._key = _Key(api_key)
        self._clock = clock
        self._http = httpx.AsyncClient(
            base_url=base_url,
            headers={
                "accept": "application/json",
                "accept-encoding": "gzip",
                "user-agent": "emabler-functions",
            },
            timeout=httpx.Timeout(timeout, connect=min(CONNECT_SECONDS, timeout)),
            # The key would follow a redirect to any host.
            follow_redirects=False,
            transport=transport,
            # A proxy of the environment sees nothing of https; of plain http it would see the key.
            trust_env=base_url.startswith("https:"),
        )

    async def close(self) -> None:
        """Give back connections."""
        await self._http.aclose()

    async def ask(
        self, call: Call, *, body: object = None, parameters: Mapping[str, Any] | None = None
    ) -> Answer:
        """Send one request and read its whole answer, whatever its status.

        Raises:
            RestUnavailableError: `rest_away`, `rest_answer_unreadable` (badly compressed),
                `rest_answer_too_large`.
        """
        request = self._http.build_request(
            call.method,
            call.path,
            content=None if body is None else json.dumps(body).encode(),
            headers=None if body is None else {"content-type": "application/json"},
            params=parameters,
        )
        self._stay_at_home(request)
        with called(System.REST, "eMabler", call.name) as span:
            answer = await self._answer(call, request)
            if span is not None:
                span.tell({"emabler.status": answer.status})
        return answer

    async def _answer(self, call: Call, request: httpx.Request) -> Answer:
        asked = self._clock()
        try:
            async with asyncio.timeout(self._whole_seconds):
                response = await self._http.send(request, stream=True, auth=self._key)
                try:
                    content = await self._content(call, response)
                finally:
                    await response.aclose()
        except TimeoutError as error:
            what = f"no whole answer within {self._whole_seconds:g} s"
            raise unusable(call, "rest_away", what) from error
        except httpx.DecodingError as error:
            raise unusable(call, "rest_answer_unreadable", "it is badly compressed") from error
        except (httpx.HTTPError, OSError) as error:
            # Of the kind only: texts of other people's errors may hold what was sent.
            raise unusable(call, "rest_away", type(error).__name__) from error
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, content, asked)

    def _stay_at_home(self, request: httpx.Request) -> None:
        """Refuse to carry the key to another host, whatever a path says."""
        home, there = self._http.base_url, request.url
        if (there.scheme, there.host, there.port) != (home.scheme, home.host, home.port):
            raise SettingError("a path of eMabler's API leads to another host: set a relative one")

    async def _content(self, call: Call, response: httpx.Response) -> bytes:
        """The body, unpacked piece by piece so that a small one cannot become a huge one."""
        # Packed twice, one piece could unpack to gigabytes before it can be measured.
        packed = response.headers.get("content-encoding", "").strip().lower()
        if packed not in _PLAIN:
            raise unusable(call, "rest_answer_unreadable", "it is compressed in another way")
        content = bytearray()
        try:
            async for piece in response.aiter_bytes():
                content += piece
                if len(content) > MOST_BYTES:
                    break
        except httpx.HTTPError as error:
            # Of an error the status is enough; what it says may break off.
            if response.status_code >= _REDIRECT:
                return b""
            if isinstance(error, httpx.TimeoutException | httpx.DecodingError):
                raise
            what, status = type(error).__name__, response.status_code
            raise unusable(call, "rest_away", what, status=status) from error
        if len(content) <= MOST_BYTES:
            return bytes(content)
        if response.status_code < _REDIRECT:
            raise unusable(
                call,
                "rest_answer_too_large",
                f"the answer has more than {MOST_BYTES // 1024 // 1024} MiB",
                status=response.status_code,
            )
        return b""
