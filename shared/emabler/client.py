"""eMabler's REST API, call by call: paced, tried again where that helps, its answers read.

```
async with EmablerClient(base_url, api_key) as emabler:
    page = await emabler.finished_sessions(FinishedSessionsQuery(ended_from=…, ended_to=…))
    if not page.holds_all: …
    async for page in emabler.chargers(): …
```
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urljoin, urlsplit

import msgspec

from shared.emabler.calls import (
    Call,
    FinishedSessionsQuery,
    OngoingSessionsQuery,
    Options,
    parameters,
)
from shared.emabler.exchange import Exchange, Transport
from shared.emabler.models.push_configurations import (
    PushConfiguration,
    PushEndpoint,
    PushMessage,
    read_push_configuration,
    read_push_endpoint,
    read_push_message,
)
from shared.emabler.models.reading import Drift, Item
from shared.emabler.paging import Page, Walk, read_page
from shared.emabler.rate import Rate
from shared.emabler.refusals import Answer, Hidden, refuse, unusable
from shared.emabler.retries import Counts, Surroundings, tried
from shared.errors import RestRefusedError, RestUnavailableError

_DESCRIPTION = "swagger.json"


class EmablerClient:
    """Asks eMabler's REST API.

    `counts` tells what it did, `drift` what it met in answers, `answered` which calls were
    answered.

    All calls raise `RestUnavailableError` (throttled, failing, away, unreadable: the codes are in
    `refusals.CODES`) after their tries, and `RestRefusedError` at once.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        options: Options | None = None,
        around: Surroundings | None = None,
        transport: Transport | None = None,
    ) -> None:
        self.options = options or Options()
        self.counts = Counts()
        self.drift = Drift()
        self.answered: set[str] = set()
        self._around = around or Surroundings()
        self._until = math.inf
        self._base_url = base_url
        self._hidden = Hidden(api_key)
        self._rate = Rate(self.options.requests_per_second, around=self._around, counts=self.counts)
        self._exchange = Exchange(
            base_url,
            api_key,
            timeout=self.options.timeout,
            clock=self._around.clock,
            transport=transport,
        )

    def __repr__(self) -> str:
        return f"EmablerClient({self._base_url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._exchange.close()

    def end_within(self, seconds: float) -> None:
        """Let no pause before a retry end later than this from now: what asks has its own time."""
        self._until = self._around.elapsed() + seconds

    async def finished_sessions(
        self,
        query: FinishedSessionsQuery,
        *,
        page: int = 1,
        limit: int | None = None,
        within: float = math.inf,
    ) -> Page:
        """One page of finished sessions; ask `Page.holds_all` whether it is the whole picture.

        `within`: seconds for all its tries, where that is less than `Options.retry_seconds`.
        """
        body = query.body() | {"page": page, "limit": limit or self.options.page_size}
        return await self._ask(
            self.options.finished_sessions,
            self._page_reader(page),
            body=body,
            hidden=self._hidden.and_tags(query.tags),
            within=within,
        )

    def walk_finished_sessions(
        self, query: FinishedSessionsQuery, *, limit: int | None = None, within: float = math.inf
    ) -> Walk:
        """All pages of finished sessions; `within` as of `finished_sessions`, for each page."""
        limit = limit or self.options.page_size
        return Walk(
            lambda number: self.finished_sessions(query, page=number, limit=limit, within=within),
            what=str(self.options.finished_sessions),
            limit=limit,
        )

    def ongoing_sessions(self, query: OngoingSessionsQuery | None = None) -> Walk:
        """All pages of sessions that are going on."""
        query = query or OngoingSessionsQuery()
        return self._walk(self.options.ongoing_sessions, query.parameters())

    def chargers(self, *, site: str | None = None) -> Walk:
        """All pages of chargers, or of one site's."""
        return self._walk(
            self.options.chargers, parameters({"siteId": site, "sortKey": "ChargerId"})
        )

    def tags(self, *, driver: str | None = None) -> Walk:
        """All pages of tags, or of one driver's."""
        return self._walk(self.options.tags, parameters({"driverId": driver, "sortKey": "TagId"}))

    async def push_configurations(self) -> list[PushConfiguration]:
        """The Push API's configurations; those without an id are left out and noted as drift."""
        items = await self._list(self.options.push_configurations)
        read = [read_push_configuration(item, self.drift) for item in items]
        return [each for each in read if each is not None]

    async def push_endpoints(self, configuration: str) -> list[PushEndpoint]:
        """Where a configuration sends to."""
        call = self.options.push_configurations.below(quote(configuration, safe=""), "endpoints")
        return [read_push_endpoint(item, self.drift) for item in await self._list(call)]

    async def push_messages(self, configuration: str) -> list[PushMessage]:
        """Which types of messages a configuration sends."""
        call = self.options.push_configurations.below(quote(configuration, safe=""), "messages")
        return [read_push_message(item, self.drift) for item in await self._list(call)]

    async def look(self, call: Call) -> int | None:
        """Ask for one row of a list (of `options.all_calls`): its total, where one is told.

        It shows whether the key may make the call.
        """
        if call == self.options.push_configurations:
            return len(await self._list(call))
        paging = {"page": 1, "limit": 1}
        by_post = call.method == "POST"
        page = await self._ask(
            call,
            self._page_reader(1),
            body=paging if by_post else None,
            parameters=None if by_post else paging,
        )
        return page.total

    async def description(self) -> Mapping[str, Any]:
        """The API's own description (OpenAPI).

        Its place is not documented: it is looked for below the base address, then upwards to the
        root of the host.

        Raises:
            RestRefusedError: It is in none of these places; what the first of them answered.
            RestUnavailableError: eMabler is away, or something else is in the first place.
        """
        first: RestRefusedError | RestUnavailableError | None = None
        for address in _upwards(self._base_url):
            try:
                return await self._ask(Call("description", "GET", address), _read_description)
            except RestRefusedError as error:
                first = first or error
            except RestUnavailableError as error:
                if error.code != "rest_answer_unreadable":  # a page for people stands there
                    raise
                first = first or error
        raise first or ValueError(self._base_url)

    def _walk(self, call: Call, filters: Mapping[str, Any]) -> Walk:
        limit = self.options.list_page_size

        async def ask(number: int) -> Page:
            return await self._ask(
                call,
                self._page_reader(number),
                parameters={**filters, "page": number, "limit": limit},
            )

        return Walk(ask, what=str(call), limit=limit)

    async def _list(self, call: Call) -> Sequence[Item]:
        """The items of a list whose shape is not documented: a page of it, or a bare list."""
        return await self._ask(call, _read_list)

    def _page_reader(self, number: int) -> Callable[[object, datetime], Page]:
        return lambda answer, asked: read_page(answer, number, asked, self.drift)

    async def _ask[T](
        self,
        call: Call,
        read: Callable[[object, datetime], T],
        *,
        body: object = None,
        parameters: Mapping[str, Any] | None = None,
        hidden: Hidden | None = None,
        within: float = math.inf,
    ) -> T:
        """One request with its retries; `read` raises ValueError for what it cannot read."""
        hidden = hidden or self._hidden

        async def attempt() -> T:
            await self._rate.take()
            self.counts.requests += 1
            answer = await self._exchange.ask(call, body=body, parameters=parameters)
            try:
                refuse(call, answer, hidden, self._around.clock())
            except RestUnavailableError as error:
                self._heed(error)
                raise
            value = _read(call, answer, read)
            self.answered.add(str(call))
            return value

        left = max(self._until - self._around.elapsed(), 0.0)
        return await tried(
            attempt,
            within=min(self.options.retry_seconds, left, within),
            around=self._around,
            counts=self.counts,
        )

    def _heed(self, error: RestUnavailableError) -> None:
        """Who is throttled keeps all requests of this client back, not only the one."""
        if error.code == "rest_throttled":
            self.counts.throttled += 1
        if error.retry_after is not None:
            self._rate.hold(min(error.retry_after, self.options.retry_seconds))


def _read[T](call: Call, answer: Answer, read: Callable[[object, datetime], T]) -> T:
    try:
        value = _parsed(answer.content)
    except (ValueError, RecursionError) as error:
        kind = re.match(r"[\w/+.\-]{1,40}", answer.headers.get("content-type", ""))
        what = f"the answer is no JSON (content type {kind[0] if kind else 'not told'})"
        raise unusable(call, "rest_answer_unreadable", what, status=answer.status) from error
    try:
        return read(value, answer.asked)
    except ValueError as error:
        what = str(error)
        raise unusable(call, "rest_answer_unreadable", what, status=answer.status) from error


def _parsed(content: bytes) -> object:
    """JSON, by the fast reader; what that refuses, the tolerant one of the library judges."""
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError:
        return json.loads(content)


def _read_description(answer: object, _asked: datetime) -> Mapping[str, Any]:
    if not isinstance(answer, dict) or not isinstance(answer.get("paths"), dict):
        raise ValueError("the answer is no description: it has no paths")  # noqa: TRY004 - a wrong answer, not a wrong argument
    return answer


def _read_list(answer: object, asked: datetime) -> Sequence[Item]:
    page = read_page({"items": answer} if isinstance(answer, list) else answer, 1, asked)
    if page.unreadable:
        raise ValueError("the answer is no list: an item is no object")
    return page.items


def _upwards(base_url: str) -> list[str]:
    """Where the description may be: below the base address, then beside each of its parts."""
    depth = len([part for part in urlsplit(base_url).path.split("/") if part])
    return [urljoin(base_url, "../" * up + _DESCRIPTION) for up in range(depth + 1)]
