"""The small eMabler as a child process, and the way to fill its books."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from local.emabler import BASE_PATH
from local.ports import LOOPBACK
from local.processes import ChildProcess

ROOT = Path(__file__).resolve().parent.parent.parent


class EmablerServer:
    """One running server.

    Attributes:
        api_key: what the `x-api-key` header must carry.
        port: its port on 127.0.0.1.
    """

    def __init__(self, child: ChildProcess, port: int, api_key: str) -> None:
        self._child = child
        self.port = port
        self.api_key = api_key

    @classmethod
    async def start(
        cls,
        *,
        api_key: str,
        log: Path,
        port: int = 0,
        books: Path | None = None,
        rest: Sequence[str] = (),
    ) -> Self:
        """Start it and wait until it listens.

        Args:
            api_key: the key that its reads ask for.
            log: the log file.
            port: 0 chooses a free one.
            books: a file that keeps the books over restarts.
            rest: options of the REST side, such as `("--rest-fault", "throttled=0.1")`.

        Raises:
            StartError: it ended or was not ready in time.
        """
        kept = ("--books", str(books)) if books else ()
        child = await ChildProcess.start(
            "eMabler's REST server",
            [
                *(sys.executable, "-m", "local.emabler"),
                *("--port", str(port), "--exit-with-stdin", *kept, *rest),
            ],
            log=log,
            env={**os.environ, "LOCAL_EMABLER_API_KEY": api_key},
            cwd=ROOT,
        )
        try:
            return cls(child, await child.wait_for_line(_ready_port, within=30), api_key)
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
    def base_url(self) -> str:
        """What EMABLER_BASE_URL is to be: with the base path and a closing slash."""
        return f"http://{LOOPBACK}:{self.port}{BASE_PATH}/"

    @property
    def books_url(self) -> str:
        """Where its books are filled."""
        return f"http://{LOOPBACK}:{self.port}/_books"

    @property
    def fleet_url(self) -> str:
        """Where a fleet is ordered and watched (see `local.emabler.fleet.control`)."""
        return f"http://{LOOPBACK}:{self.port}/_fleet"

    async def put(self, shelf: str, records: Sequence[dict[str, Any]]) -> None:
        """Make these records the whole content of a shelf (see `local.emabler.control`).

        Raises:
            httpx.HTTPStatusError: the records are not in the documented shape.
        """
        await self._ask("PUT", f"_books/{shelf}", records)

    async def add(self, shelf: str, records: Sequence[dict[str, Any]]) -> None:
        """Add records to a shelf; the same subject is replaced."""
        await self._ask("POST", f"_books/{shelf}", records)

    async def calls(self) -> list[dict[str, Any]]:
        """Give the last thousand REST calls: method, path, status."""
        found: list[dict[str, Any]] = (await self._ask("GET", "_books/calls")).json()
        return found

    async def put_faults(self, *rules: str, seed: int = 0) -> None:
        """Let these faults happen and no others; without rules none (see `faults.rules`).

        Raises:
            httpx.HTTPStatusError: a rule makes no sense.
        """
        await self._ask("PUT", "_faults", {"seed": seed, "rules": rules})

    async def stop(self) -> None:
        """Stop it."""
        await self._child.stop()

    async def _ask(self, method: str, what: str, body: object = None) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            answer = await client.request(
                method, f"http://{LOOPBACK}:{self.port}/{what}", json=body
            )
            return answer.raise_for_status()


def _ready_port(line: str) -> int | None:
    if not line.startswith('{"ready"'):
        return None
    port: int = json.loads(line)["port"]
    return port
