"""HTTP functions: routes a request, runs its function, answers."""

import asyncio
import hmac
from collections.abc import Iterable

from aiohttp import web

from local.functions_host.functions import Function, HttpTrigger
from local.functions_host.host_json import HttpOptions
from local.functions_host.http_messages import request_data, response_of
from local.functions_host.invocations import BY_NAME, Invocations
from local.functions_host.routes import Route, RouteEntry, RouteTable
from local.functions_host.trace_context import TraceContext

_RESERVED = ("admin", "runtime")
_ANONYMOUS = "anonymous"
_KEY_HEADER, _KEY_PARAMETER = "x-functions-key", "code"


class HttpFunctions:
    """The HTTP functions of an app below their routes."""

    def __init__(
        self,
        functions: Iterable[Function],
        options: HttpOptions,
        invocations: Invocations,
        key: str | None = None,
    ) -> None:
        """Functions whose route cannot be used get an error and are left out.

        `key` is what those ask for that are not anonymous; None: nobody is asked.
        """
        self._key = key
        self._invocations = invocations
        self._options = options
        self._places = (
            asyncio.Semaphore(options.max_concurrent_requests)
            if options.max_concurrent_requests
            else None
        )
        self._outstanding = 0
        self._routes = RouteTable(_entries(functions, options.route_prefix))

    async def answer(self, request: web.BaseRequest) -> web.Response | None:
        """The answer of the function that this request belongs to, or None without one.

        An exception in the function gives 500 without a body, as in Azure; so does a worker that
        ends meanwhile. Above `maxOutstandingRequests` the answer is 429, without the key 401.
        """
        found = self._routes.find(request.method, request.rel_url.raw_path)
        if found is None:
            return None
        limit = self._options.max_outstanding_requests
        if limit is not None and self._outstanding >= limit:
            return web.Response(status=429)
        function, parameters = found
        if not self._may_call(function, request):
            return web.Response(status=401)
        self._outstanding += 1
        try:
            body = await request.read()
            if self._places is None:
                return await self._run(request, body, function, dict(parameters))
            async with self._places:
                return await self._run(request, body, function, dict(parameters))
        finally:
            self._outstanding -= 1

    def _may_call(self, function: Function, request: web.BaseRequest) -> bool:
        trigger = function.trigger
        if self._key is None or not isinstance(trigger, HttpTrigger) or trigger.level == _ANONYMOUS:
            return True
        given = request.headers.get(_KEY_HEADER) or request.query.get(_KEY_PARAMETER) or ""
        return hmac.compare_digest(given.encode(), self._key.encode())

    async def _run(
        self,
        request: web.BaseRequest,
        body: bytes,
        function: Function,
        parameters: dict[str, str],
    ) -> web.Response:
        trigger = function.trigger
        if not isinstance(trigger, HttpTrigger):
            raise TypeError(f"{function.name} is not an HTTP function")
        outcome = await self._invocations.run(
            function,
            trigger.parameter,
            request_data(request, body, parameters),
            reason=BY_NAME,
            trace=TraceContext.continuing(
                request.headers.get("traceparent"), request.headers.get("tracestate")
            ),
        )
        if not outcome.succeeded:
            return web.Response(status=500)
        return response_of(trigger, outcome.response)


def _entries(functions: Iterable[Function], prefix: str) -> Iterable[RouteEntry[Function]]:
    for function in functions:
        trigger = function.trigger
        if not isinstance(trigger, HttpTrigger):
            continue
        try:
            route = _route(trigger, prefix)
        except ValueError as error:
            function.trigger = None
            function.errors.append(f"function {function.name}, route '{trigger.route}': {error}")
            continue
        if function.listens:
            yield RouteEntry(route, frozenset(trigger.methods), function)


def _route(trigger: HttpTrigger, prefix: str) -> Route:
    if trigger.route.startswith(("/", "~")):
        raise ValueError("a route does not start with / or ~")
    template = trigger.path(prefix)[1:]
    if template.split("/")[0].lower() in _RESERVED:
        raise ValueError("it conflicts with the host's own routes, admin and runtime")
    return Route(template)
