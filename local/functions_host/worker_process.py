"""One worker process: started, watched, ended."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from local.functions_host.errors import HostError
from local.functions_host.rpc import RpcServer, WorkerConnection

_SCRIPT = Path(__file__).parent / "worker" / "main.py"
_VENDORED = Path(".python_packages") / "lib" / "site-packages"
# An app that takes longer than 30 s to start is ended, as Azure does.
_START_SECONDS = 30.0
_TERMINATE_SECONDS = 3.0
_LAST_WORDS_SECONDS = 1.0
_TAIL_LINES = 40
_LONGEST_LINE = 1 << 20
# A group of its own keeps Ctrl+C from the worker: the host decides when it ends.
_CREATION_FLAGS: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)


class WorkerProcess:
    """A child process that runs the app, and the connection it opened."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        started: asyncio.Future[WorkerConnection],
        on_output: Callable[[str], None],
    ) -> None:
        self._process = process
        self._started = started
        self._on_output = on_output
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._pumps = [
            asyncio.create_task(self._pump(stream))
            for stream in (process.stdout, process.stderr)
            if stream is not None
        ]
        self.pid = process.pid

    @classmethod
    async def launch(
        cls,
        rpc: RpcServer,
        app: Path,
        environment: Mapping[str, str],
        on_output: Callable[[str], None],
    ) -> "WorkerProcess":
        """Start a worker on the app in folder `app`, whose settings are in `environment`."""
        worker_id = str(uuid.uuid4())
        started = rpc.expect(worker_id)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", str(_SCRIPT), rpc.address, worker_id, str(app)),
            cwd=app,
            env=_environment(app, environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            limit=_LONGEST_LINE,
            process_group=None if sys.platform == "win32" else 0,
            creationflags=_CREATION_FLAGS,
        )
        return cls(process, started, on_output)

    async def connection(self) -> WorkerConnection:
        """The worker's connection once it is there.

        Raises:
            HostError: `worker_not_started`, when the process ended first or took too long.
        """
        exited = asyncio.create_task(self._process.wait())
        either: set[asyncio.Future[Any]] = {exited, self._started}
        try:
            await asyncio.wait(either, timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            exited.cancel()
        if self._started.done():
            return self._started.result()
        self._started.cancel()
        await self.kill()
        raise HostError(
            "worker_not_started",
            f"the Python worker did not connect: {self.describe_end()}",
            "read its last lines below; `python dev.py setup` installs what it needs",
            self.tail(),
        )

    async def wait(self) -> None:
        """Until the process has ended and everything it printed was passed on."""
        await self._process.wait()
        # A process that the app started may hold the pipes open: what counts is the worker's end.
        await asyncio.wait(self._pumps, timeout=_LAST_WORDS_SECONDS)

    async def end(self) -> None:
        """Give the process, which was told to end, a moment to do so; then kill it."""
        try:
            async with asyncio.timeout(_TERMINATE_SECONDS):
                await self._process.wait()
        except TimeoutError:
            pass
        await self.kill()

    async def kill(self) -> None:
        """End the process at once."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self.wait()

    def describe_end(self) -> str:
        """How the process ended, for people."""
        code = self._process.returncode
        if code is None:
            return f"process {self.pid} still runs"
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"process {self.pid} was ended by {signal.Signals(-code).name}"
        return f"process {self.pid} exited with code {code}"

    def tail(self) -> str:
        """The last lines that the process printed."""
        return "\n".join(self._tail)

    async def _pump(self, stream: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await stream.readline()
            except ValueError:
                # Longer than the limit: the reader dropped what it had, the rest follows.
                continue
            if not line:
                return
            text = line.decode("utf-8", "backslashreplace").rstrip("\r\n")
            self._tail.append(text)
            self._on_output(text)


def _environment(app: Path, settings: Mapping[str, str]) -> dict[str, str]:
    # The app sees its own folder and site-packages: no other path of the host's gets through.
    path = [str(app)]
    if (app / _VENDORED).is_dir():
        path.append(str(app / _VENDORED))
    return {
        **settings,
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
    }
