"""Azurite, Microsoft's storage emulator, as a child process: tables, blobs and queues.

Documentation of its options: Azurite's README, "Command line options". The account is the one
every storage tool knows, with its published key: it protects nothing and is no secret.
"""

import asyncio
import http.client
import os
import re
from pathlib import Path
from types import TracebackType
from typing import Self

from local.errors import LocalError
from local.ports import LOOPBACK, AzuritePorts
from local.processes import ChildProcess

ACCOUNT_NAME = "devstoreaccount1"
# Published by Microsoft for the emulator ("Connect to Azurite"); the same on every machine.
ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

LOCAL = Path(__file__).resolve().parent
LAUNCHER = LOCAL / "azurite_launcher.cjs"
_SERVICES = ("Blob", "Queue", "Table")
_LISTENING = re.compile(r"Azurite (\w+) service is successfully listening at http://[^:]+:(\d+)")


class Azurite:
    """One Azurite and its data folder.

    Azurite writes its tables to disk every five seconds and when it is stopped. `kill()` may thus
    lose the last five seconds, which the service would never do: stop it where data must last. It
    writes all of them anew each time, as one text: beyond some 100,000 sessions it does little
    else. In memory it writes nothing.
    """

    def __init__(self, location: Path, log: Path, node: str, *, in_memory: bool = False) -> None:
        self.location = location
        self.ports = AzuritePorts()
        self._log = log
        self._node = node
        self._in_memory = in_memory
        self._child: ChildProcess | None = None

    @classmethod
    async def start(
        cls,
        location: Path,
        *,
        ports: AzuritePorts | None = None,
        node: str = "node",
        log: Path | None = None,
        in_memory: bool = False,
    ) -> Self:
        """Start Azurite on a data folder and wait until its three services answer.

        Args:
            location: the folder of its data; made when missing.
            ports: which ports to take; free ones by default.
            node: the Node program.
            log: the log file; `azurite.log` in the data folder by default.
            in_memory: keep nothing on disk; what it holds is gone when it stops.

        Raises:
            StartError: it ended or was not ready in time.
            LocalError: `part_missing`, Azurite is not installed.
        """
        azurite = cls(location, log or location / "azurite.log", node, in_memory=in_memory)
        await azurite._launch(ports or AzuritePorts())
        return azurite

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
    def connection_string(self) -> str:
        """The connection string, with an explicit endpoint for each service."""
        account = (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT_NAME};AccountKey={ACCOUNT_KEY}"
        )
        endpoints = (
            f"{service}Endpoint={self._url(port)}"
            for service, port in zip(_SERVICES, self._port_list(), strict=True)
        )
        return ";".join((account, *endpoints)) + ";"

    @property
    def blob_url(self) -> str:
        """The blob service's address, with the account."""
        return self._url(self.ports.blob)

    @property
    def queue_url(self) -> str:
        """The queue service's address, with the account."""
        return self._url(self.ports.queue)

    @property
    def table_url(self) -> str:
        """The table service's address, with the account."""
        return self._url(self.ports.table)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process().pid

    @property
    def running(self) -> bool:
        """Whether the process runs (also while it is paused)."""
        return self._child is not None and self._child.running

    def pause(self) -> None:
        """Freeze it: connections stay open, requests get no answer."""
        self._process().pause()

    def resume(self) -> None:
        """Let it go on after `pause()`."""
        self._process().resume()

    async def kill(self) -> None:
        """End it at once, as a crash would."""
        await self._process().kill()

    async def restart(self) -> None:
        """Start it again, after `kill()` or `stop()`, on the same ports and data."""
        if self.running:
            await self.stop()
        await self._launch(self.ports)

    async def stop(self) -> None:
        """Stop it; its data is on disk afterwards, unless in memory. Twice does no harm."""
        if self._child is not None:
            await self._child.stop()

    async def _launch(self, ports: AzuritePorts) -> None:
        if not (LOCAL / "node_modules" / "azurite").is_dir():
            raise LocalError(
                "part_missing",
                "Azurite is not installed in local/node_modules",
                "run `python dev.py setup`",
            )
        await asyncio.to_thread(self.location.mkdir, parents=True, exist_ok=True)
        child = await ChildProcess.start(
            "Azurite",
            [self._node, LAUNCHER, *_options(self._place(), ports)],
            log=self._log,
            env=_environment(),
            wake_when_orphaned=True,
        )
        self._child = child
        try:
            self.ports = await _listening_ports(child)
            for service, port in zip(_SERVICES, self._port_list(), strict=True):
                await child.wait_until(lambda s=service, p=port: _answers(s, p), within=10)  # type: ignore[misc]
        except BaseException:
            await child.kill()
            raise

    def _place(self) -> tuple[str, ...]:
        return ("--inMemoryPersistence",) if self._in_memory else ("--location", str(self.location))

    def _process(self) -> ChildProcess:
        if self._child is None:
            raise LocalError("start_failed", "Azurite was not started", "await Azurite.start(…)")
        return self._child

    def _port_list(self) -> tuple[int, int, int]:
        return self.ports.blob, self.ports.queue, self.ports.table

    @staticmethod
    def _url(port: int) -> str:
        return f"http://{LOOPBACK}:{port}/{ACCOUNT_NAME}"


def _options(place: tuple[str, ...], ports: AzuritePorts) -> list[str]:
    chosen = {"blob": ports.blob, "queue": ports.queue, "table": ports.table}
    listening = [
        word
        for service, port in chosen.items()
        for word in (f"--{service}Host", LOOPBACK, f"--{service}Port", str(port))
    ]
    return [
        *listening,
        *place,
        # The default of 5 s resets connections that an HTTP client keeps in its pool.
        *("--tableKeepAliveTimeout", "60"),
        "--disableTelemetry",
        "--silent",
        "--skipApiVersionCheck",
    ]


def _environment() -> dict[str, str]:
    """Our environment, without what would give Azurite other accounts or another database."""
    kept = {k: v for k, v in os.environ.items() if k not in {"AZURITE_ACCOUNTS", "AZURITE_DB"}}
    # Node 22 and later keep compiled code here, which halves the start; earlier ones ignore it.
    return {"NODE_COMPILE_CACHE": str(LOCAL.parent / ".local" / "cache" / "node"), **kept}


async def _listening_ports(child: ChildProcess) -> AzuritePorts:
    found: dict[str, int] = {}

    def last_of_three(line: str) -> AzuritePorts | None:
        if match := _LISTENING.search(line):
            found[match[1].lower()] = int(match[2])
        return AzuritePorts(**found) if len(found) == len(_SERVICES) else None

    return await child.wait_for_line(last_of_three, within=60)


async def _answers(service: str, port: int) -> bool:
    """Whether the service itself answers there: an unsigned request is refused in its name."""

    def ask() -> bool:
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
        try:
            connection.request("GET", f"/{ACCOUNT_NAME}?comp=list")
            server = connection.getresponse().headers.get("Server", "")
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return server.startswith(f"Azurite-{service}/")

    return await asyncio.to_thread(ask)
