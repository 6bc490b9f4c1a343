"""Azure Functions Core Tools (`func start`) in the place of the local host, where it is installed.

It is a host in its own right, with Microsoft's own extensions: its Service Bus extension must be
recent enough to know an emulator's connection string (`UseDevelopmentEmulator=true`) with a port.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import httpx

from local.errors import LocalError
from local.ports import LOOPBACK, free_port
from local.processes import ChildProcess

READY_WITHIN_SECONDS = 120


class CoreToolsHost:
    """A running `func start`; the same interface as the local host.

    Attributes:
        url: its address, without a closing slash.
    """

    def __init__(self, child: ChildProcess, url: str) -> None:
        self._child = child
        self.url = url

    @classmethod
    async def start(
        cls,
        *,
        app: Path,
        settings: Mapping[str, str],
        port: int = 0,
        log: Path,
        quiet: bool = False,  # noqa: ARG003 - the local host's interface; func writes to the log
    ) -> Self:
        """Start it on an app's folder and wait until it runs.

        Args:
            app: the folder of `function_app.py`.
            settings: the app settings; they stand in the environment, above local.settings.json.
            port: 0 chooses a free one.
            log: the log file.
            quiet: taken for the sake of the interface.

        Raises:
            LocalError: `func_missing`, it is not on PATH.
            StartError: it ended or was not ready in time.
        """
        program = core_tools_program()
        port = port or free_port()
        url = f"http://{LOOPBACK}:{port}"
        # func takes the first Python on PATH for its worker: it must be the one with the packages.
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
        child = await ChildProcess.start(
            "func start",
            [program, "start", "--port", str(port)],
            log=log,
            env={**os.environ, **settings, "PATH": path},
            cwd=app,
        )
        host = cls(child, url)
        try:
            await child.wait_until(host._runs, within=READY_WITHIN_SECONDS)
        except BaseException:
            await child.kill()
            raise
        return host

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._child.running

    async def run_function(self, name: str) -> None:
        """Ask for a run of a function; func answers at once, and does not tell how it ended.

        Raises:
            httpx.HTTPStatusError: the host does not know it.
        """
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            answer = await client.post(f"{self.url}/admin/functions/{name}", json={"input": ""})
            answer.raise_for_status()

    def log_text(self) -> str:
        """Give the last lines that it wrote."""
        return "\n".join(self._child.lines)

    async def stop(self) -> None:
        """Stop it, with its worker."""
        await self._child.stop()

    async def _runs(self) -> bool:
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
                answer = await client.get(f"{self.url}/admin/host/status")
        except httpx.HTTPError:
            return False
        return answer.is_success and answer.json().get("state") == "Running"


def core_tools_program() -> str:
    """Find `func` on PATH.

    Raises:
        LocalError: `func_missing`.
    """
    program = shutil.which("func")
    if program is None:
        raise LocalError(
            "func_missing",
            "Azure Functions Core Tools (`func`) is not on PATH",
            "install it as Microsoft's documentation says, or leave --func out: "
            "the local host runs the same app",
        )
    return program
