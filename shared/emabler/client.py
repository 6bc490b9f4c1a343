"""eMabler's REST API over one httpx client; its key goes nowhere but to eMabler's own host."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from shared.emabler.models import Page, read_page
from shared.errors import RestRefusedError, RestUnavailableError

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
"""Seconds. Finding a page of a thousand sessions takes eMabler a while; connecting does not."""

_THROTTLED = frozenset((408, 429))
_REDIRECT, _REFUSED, _FAILING = 300, 400, 500
_ADVICE: Mapping[int, str] = {
    401: "the API key is wrong or revoked: check EMABLER_API_KEY",
    403: "the key's operator lacks a permission: ReadSessions for sessions, ReadChargers, ReadTags",
    404: "the address is wrong: check EMABLER_ENVIRONMENT and EMABLER_BASE_URL",
}


class EmablerClient:
    """Asks eMabler's REST API. `requests` counts what it asked."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.requests = 0
        self._key = api_key
        # Redirects are not followed: the key in the header would follow them to any host.
        self._http = httpx.AsyncClient(
            base_url=base_url,
            headers={"x-api-key": api_key, "accept": "application/json"},
            timeout=TIMEOUT,
            follow_redirects=False,
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def pages(self, path: str, body: Mapping[str, Any], *, limit: int) -> AsyncIterator[Page]:
        """Walk a POST list from page 1 on, as long as an answer says that there is a next page.

        An empty page ends the walk whatever it says: it would never end otherwise.

        Raises:
            RestUnavailableError: Throttled, failing, away, or the answer is no page.
            RestRefusedError: The key, a permission or the request is wrong.
        """
        number = 1
        while True:
            page = await self._page(path, {**body, "page": number, "limit": limit}, number)
            yield page
            if not page.has_next or not page.items:
                return
            number += 1

    async def _page(self, path: str, body: Mapping[str, Any], number: int) -> Page:
        answer = await self._ask("POST", path, json=body)
        try:
            return read_page(answer.json(), number)
        except (ValueError, RecursionError) as error:
            message = f"POST {path}: {error}"
            raise RestUnavailableError(message, code="rest_answer_unreadable") from error

    async def get(self, path: str, parameters: Mapping[str, str | int]) -> httpx.Response:
        """Ask a GET call.

        Raises:
            RestUnavailableError: Throttled, failing or away.
            RestRefusedError: The key, a permission or the request is wrong.
        """
        return await self._ask("GET", path, params=dict(parameters))

    async def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own arguments
        self.requests += 1
        try:
            answer = await self._http.request(method, path, **request)
        except httpx.HTTPError as error:
            message = f"{method} {path}: {type(error).__name__}"
            raise RestUnavailableError(message, code="rest_away") from error
        if answer.status_code < _REDIRECT:
            return answer
        message = f"{method} {path}: {_told(answer, self._key)}"
        if answer.status_code in _THROTTLED:
            raise RestUnavailableError(message, code="rest_throttled")
        if answer.status_code >= _FAILING:
            raise RestUnavailableError(message, code="rest_failing")
        raise RestRefusedError(message, status=answer.status_code)


def _told(answer: httpx.Response, key: str) -> str:
    """Status, what eMabler says of it in either of its two error shapes, and what to do.

    A server that names the key it refuses would have us log it: it is taken out.
    """
    status = answer.status_code
    told = [str(status)]
    try:
        fields = answer.json()
    except (ValueError, RecursionError):
        fields = None
    if isinstance(fields, dict):
        # RFC 7807 on one side; errorCode, message on the other.
        for name in ("errorCode", "title", "message", "detail"):
            value = fields.get(name)
            if isinstance(value, str) and value:
                told.append(value.replace(key or "\0", "(key)")[:200])
    if _REDIRECT <= status < _REFUSED:
        told.append("redirects are not followed: check EMABLER_BASE_URL")
    if status in _ADVICE:
        told.append(_ADVICE[status])
    return ": ".join(told)
