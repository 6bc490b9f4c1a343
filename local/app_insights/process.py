"""The small Application Insights as a child process, and what it captured."""

import json
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from local.ports import LOOPBACK
from local.processes import ChildProcess

ROOT = Path(__file__).resolve().parent.parent.parent
INSTRUMENTATION_KEY = "00000000-0000-0000-0000-000000000001"
CAPTURE = "telemetry.jsonl"


class AppInsights:
    """One running endpoint.

    Attributes:
        port: its port on 127.0.0.1.
        file: the capture: JSON lines as the package's docstring says.
    """

    def __init__(self, child: ChildProcess, port: int, file: Path) -> None:
        self._child = child
        self.port = port
        self.file = file

    @classmethod
    async def start(
        cls, folder: Path, *, log: Path | None = None, port: int = 0, token_needed: bool = False
    ) -> Self:
        """Start it and wait until it listens.

        Args:
            folder: where the capture is written, `telemetry.jsonl`, appended to.
            log: the log file; `app-insights.log` in the folder by default.
            port: 0 chooses a free one.
            token_needed: refuse who sends no bearer token.

        Raises:
            StartError: it ended or was not ready in time.
        """
        file = folder / CAPTURE
        child = await ChildProcess.start(
            "the ingestion endpoint",
            [
                *(sys.executable, "-m", "local.app_insights", "--exit-with-stdin"),
                *("--port", str(port), "--capture", str(file), "--key", INSTRUMENTATION_KEY),
                *(("--token-needed",) if token_needed else ()),
            ],
            log=log or folder / "app-insights.log",
            cwd=ROOT,
        )
        try:
            return cls(child, await child.wait_for_line(_ready_port, within=30), file)
        except BaseException:
            await child.kill()
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._child.running

    @property
    def connection_string(self) -> str:
        """What APPLICATIONINSIGHTS_CONNECTION_STRING is to be."""
        here = f"http://{LOOPBACK}:{self.port}/"
        return (
            f"InstrumentationKey={INSTRUMENTATION_KEY};IngestionEndpoint={here};LiveEndpoint={here}"
        )

    def envelopes(self, base_type: str | None = None) -> list[dict[str, Any]]:
        """What was captured so far, of one base type (`MessageData`) or of all."""
        if not self.file.is_file():
            return []
        lines = self.file.read_text(encoding="utf-8").splitlines()
        found: list[dict[str, Any]] = [json.loads(line) for line in lines]
        return [each for each in found if base_type in (None, each["data"]["baseType"])]

    async def put_trouble(self, status: int, *, times: int) -> None:
        """Let the next requests be answered so; see `server.Trouble`.

        Raises:
            httpx.HTTPStatusError: no such status can be answered.
        """
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            answer = await client.put(
                f"http://{LOOPBACK}:{self.port}/_trouble", json={"status": status, "times": times}
            )
            answer.raise_for_status()

    async def stop(self) -> None:
        """Stop it; the capture stays. Stopping twice does no harm."""
        await self._child.stop()


def _ready_port(line: str) -> int | None:
    if not line.startswith('{"ready"'):
        return None
    port: int = json.loads(line)["port"]
    return port
