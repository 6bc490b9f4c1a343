"""The fault proxy as a child process, with the same interface as `FaultProxy`, over its port."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import msgspec

from local.errors import LocalError
from local.fault_proxy.addresses import Storage, StorageUrls, by_service, connection_string
from local.fault_proxy.records import Counts, Decision
from local.fault_proxy.rules import Rule, check, parse_rule
from local.ports import LOOPBACK
from local.processes import ChildProcess

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 30.0
CONTROL_SECONDS = 30.0


class FaultProxyProcess:
    """One running proxy.

    Attributes:
        control_port: the port of its control interface (`local.fault_proxy.control`).
    """

    def __init__(self, child: ChildProcess, urls: StorageUrls, control_port: int) -> None:
        self.control_port = control_port
        self._child = child
        self._urls = urls
        # A proxy of the machine has no business between a test and its fault proxy.
        self._http = httpx.AsyncClient(
            base_url=f"http://{LOOPBACK}:{control_port}", timeout=CONTROL_SECONDS, trust_env=False
        )

    @classmethod
    async def start(
        cls,
        storage: Storage,
        *,
        log: Path,
        rules: Iterable[Rule | str] = (),
        seed: int = 0,
        control_port: int = 0,
    ) -> Self:
        """Start it and wait until it listens.

        Args:
            storage: Azurite, or the addresses of the services (`StorageUrls`).
            log: the log file.
            rules: rules in force from the start.
            seed: the same rules and seed decide the same for the same calls.
            control_port: 0 chooses a free one.

        Raises:
            LocalError: `usage_wrong`, an address or a rule cannot be used.
            StartError: it ended or was not ready in time.
        """
        told = (
            *(_option(f"{service}-url", url) for service, url in by_service(storage).items()),
            *(_option("rule", _line(rule)) for rule in rules),
            _option("seed", seed),
            _option("control-port", control_port),
        )
        child = await ChildProcess.start(
            "the fault proxy",
            [sys.executable, "-m", "local.fault_proxy", "--exit-with-stdin", *told],
            log=log,
            cwd=ROOT,
            wake_when_orphaned=True,
        )
        try:
            urls, port = await child.wait_for_line(_ready, within=START_SECONDS)
        except BaseException:
            await child.kill()
            raise
        return cls(child, urls, port)

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
    def table_url(self) -> str | None:
        """The proxy's address for tables, with the account; None without that service."""
        return self._urls.table_url

    @property
    def blob_url(self) -> str | None:
        """The proxy's address for blobs, with the account; None without that service."""
        return self._urls.blob_url

    @property
    def queue_url(self) -> str | None:
        """The proxy's address for queues, with the account; None without that service."""
        return self._urls.queue_url

    @property
    def connection_string(self) -> str:
        """A connection string with the proxy's endpoints."""
        return connection_string(by_service(self._urls))

    async def add(self, rule: Rule | str) -> int:
        """Put a rule in force, after those there are; give its number.

        Raises:
            LocalError: `usage_wrong`, the rule makes no sense.
        """
        answer = await self._ask("POST", "/rules", _line(rule))
        return msgspec.json.decode(answer, type=list[int])[0]

    async def remove(self, number: int) -> None:
        """Take a rule out; an outage that it began ends.

        Raises:
            LocalError: `usage_wrong`, there is none of that number.
        """
        await self._ask("DELETE", f"/rules/{number}")

    async def clear(self) -> None:
        """Take all rules out and end all outages; the next rule is number 1 again."""
        await self._ask("DELETE", "/rules")

    async def settle(self) -> None:
        """Let go every call and late write that waits; on return the late ones are done."""
        await self._ask("POST", "/settle")

    async def decisions(self) -> list[Decision]:
        """Give the calls that went wrong, in order of their coming."""
        return msgspec.json.decode(await self._ask("GET", "/decisions"), type=list[Decision])

    async def counts(self) -> Counts:
        """Give how many calls came, what became of them, and the rules in force."""
        return msgspec.json.decode(await self._ask("GET", "/counts"), type=Counts)

    async def kill(self) -> None:
        """End the process at once: its ports refuse, what was held or late is lost."""
        await self._http.aclose()
        await self._child.kill()

    async def stop(self) -> None:
        """Stop it; what is held or late is dropped. Stopping twice does no harm."""
        await self._http.aclose()
        await self._child.stop()

    async def _ask(self, method: str, path: str, body: str | None = None) -> bytes:
        answer = await self._http.request(method, path, json=body)
        if answer.status_code == httpx.codes.BAD_REQUEST:
            told = answer.json()
            raise LocalError(told["code"], told["what"], told["remedy"])
        return answer.raise_for_status().content


def _option(name: str, value: object) -> str:
    # In one word: a value that begins with a dash would be taken for an option.
    return f"--{name}={value}"


def _line(rule: Rule | str) -> str:
    return str(parse_rule(rule) if isinstance(rule, str) else check(rule))


def _ready(line: str) -> tuple[StorageUrls, int] | None:
    if not line.startswith('{"ready"'):
        return None
    said = json.loads(line)
    urls = StorageUrls(said["table_url"], said["blob_url"], said["queue_url"])
    return urls, said["control_port"]
