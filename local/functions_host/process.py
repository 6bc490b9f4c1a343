"""The local Functions host as a child process, for the local stack, tests and benches."""

import json
import os
import re
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from local.errors import LocalError, StartError
from local.functions_host.console import READY
from local.processes import ChildProcess

_REPOSITORY = Path(__file__).resolve().parents[2]
_READY_LINE = re.compile(rf"{READY} url=(?P<url>\S+) .*")
# The host's own grace for running invocations, and some more.
_STOP_SECONDS = 20.0
_STATUS_SECONDS = 10.0
_LAST_LINES = 40


class FunctionFailedError(LocalError):
    """A function that was run by its name failed; `text` is what the worker says of it.

    Attributes:
        text: the exception with its traceback.
    """

    def __init__(self, function: str, text: str) -> None:
        super().__init__(
            "function_failed",
            f"the function {function} failed:\n{text.rstrip()}",
            "read the traceback above",
        )
        self.text = text


class FunctionsHost:
    """One host process. Use `await FunctionsHost.start(…)`, then `stop()`, or `async with`.

    Attributes:
        url: its address, without a closing slash.
    """

    def __init__(
        self, child: ChildProcess, url: str, folder: tempfile.TemporaryDirectory[str] | None
    ) -> None:
        self.url = url
        self._child = child
        self._folder = folder
        self._text: str | None = None

    @classmethod
    async def start(
        cls,
        *,
        app: Path,
        settings: Mapping[str, str] | None = None,
        port: int = 0,
        log: Path | None = None,
        quiet: bool = False,
        remember_timers: bool = False,
        function_key: str | None = None,
        within: float = 60.0,
    ) -> Self:
        """Start a host on an app's folder and wait until it serves.

        Args:
            app: the folder of `function_app.py`.
            settings: the app settings; they stand in the environment, above local.settings.json.
            port: 0 chooses a free one; any other must be free.
            log: the log file, appended to; by default one in a temporary folder that `stop()`
                removes.
            quiet: only warnings and what the functions log.
            remember_timers: keep the status of timers on disk between runs.
            function_key: what HTTP functions ask for that are not anonymous; None: nobody is asked.
            within: seconds in which it must serve.

        Raises:
            StartError: it ended, or did not serve in time; with its last console lines.
        """
        folder = None
        if log is None:
            folder = tempfile.TemporaryDirectory(prefix="functions-host-")
            log = Path(folder.name) / "host.log"
        child = await ChildProcess.start(
            "the Functions host",
            [
                *_command(app, port, quiet=quiet, remember_timers=remember_timers),
                *(["--function-key", function_key] if function_key else []),
            ],
            log=log,
            env={**os.environ, **(settings or {})},
            cwd=_REPOSITORY,
        )
        try:
            url = await child.wait_for_line(_ready_url, within=within)
        except BaseException as error:
            await child.kill()
            lines = "\n".join(list(child.lines)[-_LAST_LINES:])
            if folder is not None:
                folder.cleanup()
            if isinstance(error, StartError):
                raise StartError(
                    f"the Functions host did not come to serve; its last lines:\n{lines}",
                    "correct what they name and start again",
                ) from None
            raise
        return cls(child, url, folder)

    @property
    def pid(self) -> int:
        """The process id of the host; its worker has another."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether the host runs."""
        return self._child.running

    def log_text(self) -> str:
        """Give what the console showed so far, from the first line of the log file."""
        if self._text is not None:
            return self._text
        return self._child.log_path.read_text(encoding="utf-8", errors="replace")

    async def status(self) -> dict[str, Any]:
        """Give what `GET /admin/host/status` tells."""
        async with httpx.AsyncClient(trust_env=False, timeout=_STATUS_SECONDS) as client:
            answer = await client.get(f"{self.url}/admin/host/status")
            status: dict[str, Any] = answer.raise_for_status().json()
            return status

    async def worker_pids(self) -> list[int]:
        """Give the process ids of the workers that serve; none while one is being replaced."""
        pids: list[int] = (await self.status())["workerProcessIds"]
        return pids

    async def run_function(self, name: str, text: str = "", *, within: float = 300.0) -> None:
        """Run a function by its name, at once, and wait for its end.

        Args:
            name: the function.
            text: its input: the body of the message or request; a timer has none.
            within: seconds after which to give up.

        Raises:
            FunctionFailedError: with the text of its exception.
            httpx.HTTPStatusError: the host does not know it.
            httpx.TimeoutException: it did not end in time.
        """
        async with httpx.AsyncClient(trust_env=False, timeout=within) as client:
            answer = await client.post(
                f"{self.url}/admin/functions/{name}",
                params={"wait": "true"},
                content=json.dumps({"input": text}),
                headers={"content-type": "application/json"},
            )
        if answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR:
            raise FunctionFailedError(name, answer.text)
        answer.raise_for_status()

    async def stop(self) -> int:
        """End it in order, what runs first; give its exit code. Stopping twice does no harm."""
        code = await self._child.stop(grace=_STOP_SECONDS)
        self._text = self.log_text()
        if self._folder is not None:
            self._folder.cleanup()
        return code

    def kill(self) -> None:
        """End the host's process at once, as a crash would; its worker then ends by itself."""
        if self.running:
            os.kill(self.pid, getattr(signal, "SIGKILL", signal.SIGTERM))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()


def _command(app: Path, port: int, *, quiet: bool, remember_timers: bool) -> list[str]:
    command = [sys.executable, "-m", "local.functions_host", "--app", str(app.resolve())]
    command += ["--port", str(port), "--strict-port", "--exit-with-stdin"]
    command += ["--quiet"] if quiet else []
    command += [] if remember_timers else ["--forget-timers"]
    return command


def _ready_url(line: str) -> str | None:
    match = _READY_LINE.fullmatch(line)
    return match["url"] if match else None
