"""Keeps a worker running: starts it, indexes the app with it, replaces it when it ends."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.functions_host.console import WORKER, Console
from local.functions_host.errors import HostError, WorkerGoneError
from local.functions_host.rpc import RpcServer, WorkerConnection, protos
from local.functions_host.worker.protos import Message
from local.functions_host.worker_process import WorkerProcess

HOST_VERSION = "4.0.0"
_INDEX_SECONDS = 30.0
_LONGEST_PAUSE = 10.0
_FIRST_PAUSE = 0.5
# A worker that lived this long, or answered an invocation, was well: the next one starts without a
# pause.
_SOUND_SECONDS = 5.0
# How long an invocation waits for a worker that is being replaced, as in Azure's host.
_READY_SECONDS = 40.0


@dataclass(slots=True)
class _Worker:
    process: WorkerProcess
    connection: WorkerConnection
    index: list[Message] = field(default_factory=list)
    sends_its_lines: bool = False
    since: float = field(default_factory=time.monotonic)


class Workers:
    """The worker of the app, always one; `connection` waits while it is being replaced."""

    def __init__(
        self, rpc: RpcServer, app: Path, environment: Mapping[str, str], console: Console
    ) -> None:
        self._rpc = rpc
        self._app = app
        self._environment = environment
        self._console = console
        self._current: _Worker | None = None
        self._launched: WorkerProcess | None = None
        self._ready = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers that serve."""
        return [self._current.process.pid] if self._current else []

    @property
    def sends_its_lines(self) -> bool:
        """Whether the serving worker says that it sends what it logs by OpenTelemetry itself."""
        return self._current is not None and self._current.sends_its_lines

    async def launch(self) -> WorkerProcess:
        """Start a worker process without waiting for it."""
        self._launched = await WorkerProcess.launch(
            self._rpc, self._app, self._environment, self._console.function_output
        )
        return self._launched

    async def adopt(self, process: WorkerProcess) -> list[Message]:
        """Wait for a launched worker, index the app with it, and let it serve.

        Returns:
            The index of the app, a list of `RpcFunctionMetadata`.

        Raises:
            HostError: `app_not_indexed`, or `worker_not_started`.
        """
        worker = await self._prepare(process)
        self._serve(worker)
        self._keeper = asyncio.create_task(self._keep(worker))
        return worker.index

    async def connection(self) -> WorkerConnection:
        """The connection of the serving worker.

        Raises:
            WorkerGoneError: None became ready in time.
        """
        if not self._ready.is_set():
            try:
                async with asyncio.timeout(_READY_SECONDS):
                    await self._ready.wait()
            except TimeoutError:
                raise WorkerGoneError("no worker became ready in time") from None
        if self._current is None:
            raise WorkerGoneError("the host is stopping")
        return self._current.connection

    async def replace(self, connection: WorkerConnection, reason: str) -> None:
        """End the worker of this connection; its other invocations fail and another starts."""
        worker = self._current
        if worker is not None and worker.connection is connection:
            self._console.warning(WORKER, f"Ending the worker process: {reason}")
            await worker.process.kill()

    async def stop(self) -> None:
        """End the worker: told first, killed when it does not follow."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        worker, self._current = self._current, None
        self._ready.set()
        if worker is not None:
            worker.connection.terminate()
            await worker.process.end()
            worker.connection.fail("the host is stopping")
        elif self._launched is not None:
            await self._launched.kill()

    def _serve(self, worker: _Worker) -> None:
        self._current = worker
        self._ready.set()

    async def _keep(self, worker: _Worker) -> None:
        """Replace each worker that ends, for as long as the host runs."""
        served = _bindings(worker)
        pause = 0.0
        while True:
            await self._ended(worker)
            if worker.connection.answered or time.monotonic() - worker.since > _SOUND_SECONDS:
                pause = 0.0
            while True:
                await asyncio.sleep(pause)
                pause = min(max(2 * pause, _FIRST_PAUSE), _LONGEST_PAUSE)
                try:
                    worker = await self._prepare(await self.launch())
                    break
                except HostError as error:
                    text = f"{error}\n{error.details}\nNext attempt in {pause:g} s."
                    self._console.error(WORKER, text)
            self._serve(worker)
            self._console.information(WORKER, f"Worker process {worker.process.pid} serves now.")
            if _bindings(worker) != served:
                self._console.warning(
                    WORKER, "The app's functions changed on disk. Restart the host to serve them."
                )

    async def _ended(self, worker: _Worker) -> None:
        """Wait for the end of a worker, then fail what it was running."""
        process_end = asyncio.create_task(worker.process.wait())
        stream_end = asyncio.create_task(worker.connection.closed.wait())
        try:
            await asyncio.wait({process_end, stream_end}, return_when=asyncio.FIRST_COMPLETED)
            self._ready.clear()
            await worker.process.end()
        finally:
            process_end.cancel()
            stream_end.cancel()
        self._current = None
        how = worker.process.describe_end()
        self._console.error(WORKER, f"The worker {how}. Its running invocations fail.")
        worker.connection.fail(f"the worker {how}")

    async def _prepare(self, process: WorkerProcess) -> _Worker:
        """Connect to a started process and have it index and load the app; ended if it cannot."""
        try:
            worker = _Worker(process, await process.connection())
            await self._index_in_time(worker)
        except BaseException:
            await process.kill()
            raise
        return worker

    async def _index_in_time(self, worker: _Worker) -> None:
        exited = asyncio.create_task(worker.process.wait())
        indexing = asyncio.create_task(self._index(worker))
        try:
            await asyncio.wait(
                {exited, indexing}, timeout=_INDEX_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if indexing.done():
                await indexing
                return
            late = worker.process.describe_end() if exited.done() else "it took longer than 30 s"
            await worker.process.kill()
            raise _not_indexed(late, worker.process.tail())
        finally:
            exited.cancel()
            indexing.cancel()

    async def _index(self, worker: _Worker) -> None:
        app = str(self._app)
        started = await worker.connection.initialise(app, HOST_VERSION)
        if started.result.status != protos.StatusResult.Success:
            problem = started.result.exception
            raise _not_indexed(problem.message, problem.stack_trace)
        told = started.capabilities.get("WorkerOpenTelemetryEnabled", "")
        worker.sends_its_lines = told.lower() == "true"
        answer = await worker.connection.functions(app)
        worker.index = list(answer.function_metadata_results)
        await asyncio.gather(*(worker.connection.load(metadata) for metadata in worker.index))


def _bindings(worker: _Worker) -> dict[str, list[str]]:
    return {metadata.name: list(metadata.raw_bindings) for metadata in worker.index}


def _not_indexed(why: str, details: str) -> HostError:
    return HostError(
        "app_not_indexed",
        f"the worker cannot import and index the app: {why.strip()}",
        "correct what the lines below name, which are the worker's own",
        details.rstrip(),
    )
