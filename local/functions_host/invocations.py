"""Runs functions in the worker: one request out, one outcome back, two lines on the console."""

import asyncio
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from local.functions_host.console import Console
from local.functions_host.errors import WorkerGoneError
from local.functions_host.functions import Function
from local.functions_host.insights import Insights
from local.functions_host.insights_items import Ended, Running
from local.functions_host.log_levels import LogLevel
from local.functions_host.rpc import TypedData, protos
from local.functions_host.timespans import format_timespan
from local.functions_host.trace_context import TraceContext
from local.functions_host.worker.protos import Message
from local.functions_host.workers import Workers

# The reason Azure's host gives for invocations over HTTP and over its admin endpoint.
BY_NAME = "This function was programmatically called via the host APIs."


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an invocation ended: the worker's `InvocationResponse`, or what went wrong."""

    invocation_id: str
    response: Message = None
    error: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether the function returned without an exception."""
        return not self.error


@dataclass(frozen=True, slots=True)
class RetryState:
    """Which attempt of a retried invocation this is, counted from 0 for the first."""

    count: int
    most: int
    last_error: str = ""


class Invocations:
    """The invocations that run, and how they end."""

    def __init__(
        self,
        workers: Workers,
        console: Console,
        timeout: float | None,
        insights: Insights | None = None,
    ) -> None:
        """`timeout` is host.json's functionTimeout in seconds; None for none."""
        self._workers = workers
        self._console = console
        self._timeout = timeout
        self._insights = insights
        self._running: dict[str, Running] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    def function_of(self, invocation_id: str) -> str | None:
        """The function that a running invocation belongs to."""
        running = self._running.get(invocation_id)
        return running.function if running else None

    def logged(self, invocation_id: str, level: LogLevel, text: str) -> None:
        """Tell Application Insights what a running invocation logged."""
        running = self._running.get(invocation_id)
        if self._insights is not None and running is not None:
            self._insights.line(running, level, text)

    async def idle(self) -> None:
        """Until no invocation runs."""
        await self._idle.wait()

    @property
    def running(self) -> int:
        """How many invocations run now."""
        return len(self._running)

    async def run(
        self,
        function: Function,
        parameter: str,
        data: TypedData,
        *,
        reason: str,
        metadata: Mapping[str, TypedData] | None = None,
        trace: TraceContext | None = None,
        retry: RetryState | None = None,
    ) -> Outcome:
        """Run a function with `data` for its trigger's parameter; never raises for its failure."""
        invocation_id = str(uuid.uuid4())
        trace = trace or TraceContext.new()
        request = _request(function, invocation_id, {parameter: data}, metadata or {}, trace)
        if retry is not None:
            _set_retry(request, retry)
        running = Running(
            invocation_id, function.name, reason, datetime.now(UTC), trace, request=request
        )
        self._running[invocation_id] = running
        self._idle.clear()
        if self._insights is not None:
            self._insights.executing(running)
        self._console.information(
            f"Function.{function.name}",
            f"Executing 'Functions.{function.name}' (Reason='{reason}', Id={invocation_id})",
        )
        started = time.perf_counter()
        try:
            outcome = await self._ask(function, request)
        finally:
            del self._running[invocation_id]
            if not self._running:
                self._idle.set()
        seconds = time.perf_counter() - started
        self._report(function, outcome, seconds)
        if self._insights is not None:
            ended = Ended(timedelta(seconds=seconds), outcome.error, _status_of(outcome))
            self._insights.ended(running, ended)
        return outcome

    async def _ask(self, function: Function, request: Message) -> Outcome:
        connection = None
        try:
            connection = await self._workers.connection()
            async with asyncio.timeout(self._timeout):
                response = await connection.invoke(request)
        except WorkerGoneError as error:
            return Outcome(request.invocation_id, error=f"The invocation was lost: {error}")
        except TimeoutError:
            span = format_timespan(self._timeout or 0)
            what = f"Timeout value of {span} was exceeded by function: Functions.{function.name}"
            if connection is not None:
                await self._workers.replace(connection, what)
            return Outcome(request.invocation_id, error=f"FunctionTimeoutException: {what}")
        if response.result.status == protos.StatusResult.Success:
            return Outcome(request.invocation_id, response)
        problem = response.result.exception
        text = (problem.stack_trace or problem.message).rstrip()
        return Outcome(request.invocation_id, response, error=text or "the function failed")

    def _report(self, function: Function, outcome: Outcome, seconds: float) -> None:
        word = "Succeeded" if outcome.succeeded else "Failed"
        text = (
            f"Executed 'Functions.{function.name}' ({word}, Id={outcome.invocation_id},"
            f" Duration={seconds * 1000:.0f}ms)"
        )
        if outcome.error:
            text += "\n" + outcome.error
        level = LogLevel.INFORMATION if outcome.succeeded else LogLevel.ERROR
        self._console.line(level, f"Function.{function.name}", text)


def _request(
    function: Function,
    invocation_id: str,
    inputs: Mapping[str, TypedData],
    metadata: Mapping[str, TypedData],
    trace: TraceContext,
) -> Message:
    return protos.InvocationRequest(
        invocation_id=invocation_id,
        function_id=function.id,
        input_data=[protos.ParameterBinding(name=name, data=data) for name, data in inputs.items()],
        trigger_metadata=metadata,
        trace_context=protos.RpcTraceContext(trace_parent=trace.parent, trace_state=trace.state),
    )


def _status_of(outcome: Outcome) -> str:
    """The HTTP status of an answer, and 0 for what is none."""
    if outcome.response is None or outcome.response.return_value.WhichOneof("data") != "http":
        return "0"
    return str(outcome.response.return_value.http.status_code)


def _set_retry(request: Message, retry: RetryState) -> None:
    context = request.retry_context
    context.retry_count = retry.count
    context.max_retry_count = retry.most
    if retry.last_error:
        context.exception.message = retry.last_error
