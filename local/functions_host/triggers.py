"""The triggers of an app: what serves each function, and how one is run by its name."""

import asyncio
from collections.abc import Sequence
from importlib import import_module
from typing import Protocol

from local.functions_host.app_settings import AppSettings
from local.functions_host.functions import (
    Function,
    HttpTrigger,
    KafkaTrigger,
    ServiceBusTrigger,
    TimerTrigger,
)
from local.functions_host.http_messages import text_request_data
from local.functions_host.http_trigger import HttpFunctions
from local.functions_host.invocations import BY_NAME, Outcome
from local.functions_host.timer_trigger import TimerFunction
from local.functions_host.trigger_context import TriggerContext

_SERVICE_BUS = "local.functions_host.service_bus_trigger"
_CONNECTION_STRING = "endpoint=sb://"


class Listener(Protocol):
    """Serves one function that is not called over HTTP."""

    async def serve(self) -> None:
        """Run the function whenever its trigger says so, until stopped."""
        ...

    def stop(self) -> None:
        """Start nothing more; `serve` returns when what runs has ended."""
        ...

    async def run_now(self, text: str) -> Outcome:
        """Run the function once, out of turn, with `text` as its input."""
        ...


class Triggers:
    """Serves the functions of an app, each by its trigger."""

    def __init__(self, functions: Sequence[Function], context: TriggerContext, url: str) -> None:
        """Set every trigger up; a function for which that fails gets an error and is left out."""
        self._invocations = context.invocations
        self._options = context.host_json.http
        self._url = url
        self.http = HttpFunctions(
            functions, self._options, context.invocations, context.function_key
        )
        self._listeners: dict[str, Listener] = {}
        self._serving: list[asyncio.Task[None]] = []
        for function in functions:
            listener = _listener(function, context)
            if listener is not None:
                self._listeners[function.name] = listener
        self._active = [f.name for f in functions if f.listens and f.name in self._listeners]

    def start(self) -> None:
        """Serve the functions that are not called over HTTP."""
        self._serving = [
            asyncio.create_task(self._listeners[name].serve()) for name in self._active
        ]

    def stop(self) -> None:
        """Start nothing more."""
        for name in self._active:
            self._listeners[name].stop()

    async def ended(self) -> None:
        """After `stop`, until everything that ran is done and settled."""
        if self._serving:
            await asyncio.wait(self._serving)

    async def cut_off(self) -> None:
        """End what has not ended by itself."""
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def run_now(self, function: Function, text: str) -> Outcome:
        """Run a function once by its name, whatever its trigger; also a disabled one."""
        trigger = function.trigger
        if isinstance(trigger, HttpTrigger):
            data = text_request_data(self._url + trigger.path(self._options.route_prefix), text)
            return await self._invocations.run(function, trigger.parameter, data, reason=BY_NAME)
        return await self._listeners[function.name].run_now(text)


def import_early(settings: AppSettings) -> None:
    """Import the Service Bus SDK, which takes a while, where a setting says it will be needed."""
    if any(_CONNECTION_STRING in value.lower() for value in settings.values.values()):
        import_module(_SERVICE_BUS)


def _listener(function: Function, context: TriggerContext) -> Listener | None:
    trigger = function.trigger
    if isinstance(trigger, TimerTrigger):
        return _timer(function, trigger, context)
    if isinstance(trigger, ServiceBusTrigger):
        # Imported only for apps that use it: see import_early.
        from local.functions_host.service_bus_trigger import (  # noqa: PLC0415  # see above
            ServiceBusFunction,
        )

        return ServiceBusFunction(function, trigger, context)
    if isinstance(trigger, KafkaTrigger):
        # Imported only for apps that use it: it takes a while.
        from local.functions_host.kafka_trigger import KafkaFunction  # noqa: PLC0415  # see above

        return KafkaFunction(function, trigger, context)
    return None


def _timer(
    function: Function, trigger: TimerTrigger, context: TriggerContext
) -> TimerFunction | None:
    try:
        return TimerFunction(function, trigger, context)
    except ValueError as error:
        function.trigger = None
        function.errors.append(
            f"function {function.name}, binding {trigger.parameter}: the schedule"
            f" {trigger.schedule_as_written} cannot be used: {error}"
        )
        return None
