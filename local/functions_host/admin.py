"""`/admin/…`: lists the functions, tells how the host is, runs a function by its name.

As in `func start`, without keys. `POST /admin/functions/{name}` takes `{"input": "…"}` and answers
202 at once; with `?wait=true`, which is this host's own, it answers when the invocation ended:
200, or 500 with the text of the exception.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from local.functions_host.functions import Function, HttpTrigger
from local.functions_host.host_id import host_id
from local.functions_host.host_json import HttpOptions
from local.functions_host.invocations import Outcome
from local.functions_host.workers import HOST_VERSION, Workers

Runner = Callable[[Function, str], Awaitable[Outcome]]

_PREFIX = "/admin/"
_FUNCTIONS = ("admin", "functions")


@dataclass(slots=True)
class HostFacts:
    """What the status tells beside the workers."""

    app: Path
    url: str
    started: float
    http: HttpOptions
    stopping: bool = False


class Admin:
    """Answers the requests below `/admin/`."""

    def __init__(
        self, facts: HostFacts, functions: Sequence[Function], workers: Workers, run: Runner
    ) -> None:
        self._facts = facts
        self._functions = functions
        self._workers = workers
        self._run = run
        self._background: set[asyncio.Task[Outcome]] = set()

    async def answer(self, request: web.BaseRequest) -> web.Response | None:
        """The answer to an admin request, or None for any other."""
        if not request.path.lower().startswith(_PREFIX):
            return None
        parts = tuple(request.path.strip("/").split("/"))
        lower = tuple(part.lower() for part in parts)
        reading = request.method in {"GET", "HEAD"}
        if reading and lower == ("admin", "host", "status"):
            return web.json_response(self._status())
        if lower == ("admin", "host", "ping"):
            return web.Response()
        if reading and lower == _FUNCTIONS:
            return web.json_response([self._describe(function) for function in self._functions])
        if lower[:2] == _FUNCTIONS and len(parts) > len(_FUNCTIONS):
            return await self._function(request, parts[2], lower[3:], reading=reading)
        return web.Response(status=404)

    async def _function(
        self, request: web.BaseRequest, name: str, rest: tuple[str, ...], *, reading: bool
    ) -> web.Response:
        function = next((f for f in self._functions if f.name.lower() == name.lower()), None)
        if function is None:
            return web.Response(status=404)
        if reading and rest == ("status",):
            return web.json_response({"errors": function.errors} if function.errors else {})
        if rest:
            return web.Response(status=404)
        if reading:
            return web.json_response(self._describe(function))
        if request.method == "POST":
            return await self._invoke(request, function)
        return web.Response(status=404)

    async def _invoke(self, request: web.BaseRequest, function: Function) -> web.Response:
        try:
            document = json.loads(await request.read())
            value = document.get("input")
        except (ValueError, AttributeError):
            return web.Response(status=400, text='The body must be JSON such as {"input": ""}.\n')
        if function.trigger is None:
            return web.Response(status=404, text="\n".join(function.errors) + "\n")
        text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
        task = asyncio.ensure_future(self._run(function, text))
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        if request.query.get("wait", "").lower() != "true":
            return web.Response(status=202)
        outcome = await task
        if outcome.succeeded:
            return web.json_response({"invocationId": outcome.invocation_id})
        return web.Response(status=500, text=outcome.error + "\n")

    def _status(self) -> dict[str, Any]:
        facts = self._facts
        state = "Running" if self._workers.pids else "Starting"
        status: dict[str, Any] = {
            "id": host_id(facts.app),
            "state": "Stopping" if facts.stopping else state,
            "version": HOST_VERSION,
            "versionDetails": "local Functions host with Microsoft's azure-functions-runtime",
            "processUptime": round((time.monotonic() - facts.started) * 1000),
            "workerProcessIds": self._workers.pids,
        }
        errors = [error for function in self._functions for error in function.errors]
        if errors:
            status["errors"] = errors
        return status

    def _describe(self, function: Function) -> dict[str, Any]:
        invoke = None
        if isinstance(function.trigger, HttpTrigger):
            invoke = self._facts.url + function.trigger.path(self._facts.http.route_prefix)
        return {
            "name": function.name,
            "href": f"{self._facts.url}/admin/functions/{function.name}",
            "invoke_url_template": invoke,
            "language": "python",
            "config": {"name": function.name, "bindings": function.bindings},
            "isDisabled": function.disabled,
            "errors": function.errors,
        }
