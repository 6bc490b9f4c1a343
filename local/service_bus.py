"""The development Service Bus broker (`local/broker`) as a child process.

Microsoft's SDKs and the Functions host use it unmodified, by its connection string. What it does
and does not do is told in `local/broker/` and by `node local/broker/main.js --help`.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote

import httpx

from local.errors import LocalError
from local.ports import LOOPBACK
from local.processes import ChildProcess

LOCAL = Path(__file__).resolve().parent
MAIN = LOCAL / "broker" / "main.js"
START_SECONDS = 20.0
CONTROL_SECONDS = 10.0

FaultName = Literal[
    "refuse_connections",
    "reject_sends",
    "lose_accepts",
    "delay_dispositions",
    "duplicate_deliveries",
]


@dataclass(frozen=True)
class Queue:
    """A queue that the broker is to have.

    Attributes:
        name: letters, digits and `. _ - /`.
        lock_seconds: how long a receiver's lock lasts, 1 to 300.
        max_deliveries: deliveries after which a message is dead-lettered.
        ttl_seconds: longest time to live of a message; None for no limit.
        dead_letter_on_expiry: dead-letter expired messages instead of dropping them.
        sessions: messages have session ids, and receivers accept sessions.
        max_message_bytes: largest message or batch.
        size_megabytes: largest size of all messages; beyond it senders are refused.
    """

    name: str
    lock_seconds: float = 30
    max_deliveries: int = 10
    ttl_seconds: float | None = None
    dead_letter_on_expiry: bool = False
    sessions: bool = False
    max_message_bytes: int = 262_144
    size_megabytes: int = 1024

    @property
    def argument(self) -> str:
        """The queue as the broker's command line names it."""
        settings = {
            "lock": f"{self.lock_seconds:g}",
            "max": str(self.max_deliveries),
            "deadLetterOnExpiry": str(self.dead_letter_on_expiry).lower(),
            "sessions": str(self.sessions).lower(),
            "maxMessageBytes": str(self.max_message_bytes),
            "sizeMegabytes": str(self.size_megabytes),
        }
        if self.ttl_seconds is not None:
            settings["ttl"] = f"{self.ttl_seconds:g}"
        return f"{self.name}:{','.join(f'{key}={value}' for key, value in settings.items())}"


@dataclass(frozen=True)
class Totals:
    """What has happened in a queue since the broker started, in messages.

    Attributes:
        enqueued: accepted from senders.
        delivered: handed to receivers, repeats included.
        completed: removed by a receiver.
        abandoned: given back by a receiver.
        dead_lettered: moved to the dead-letter queue, for whatever reason.
        expired: ended by their time to live.
        expired_locks: came back because nobody settled them in time.
    """

    enqueued: int
    delivered: int
    completed: int
    abandoned: int
    dead_lettered: int
    expired: int
    expired_locks: int


@dataclass(frozen=True)
class Counts:
    """What a queue holds now, in messages.

    Attributes:
        active: can be received.
        locked: received and not settled.
        deferred: put aside by a receiver.
        scheduled: not due yet.
        dead_lettered: in its dead-letter queue.
        totals: what has happened since the start.
    """

    active: int
    locked: int
    deferred: int
    scheduled: int
    dead_lettered: int
    totals: Totals

    @property
    def waiting(self) -> int:
        """All messages that the queue still has to give, in whatever state."""
        return self.active + self.locked + self.deferred + self.scheduled


class ServiceBusBroker:
    """One broker process. Use `await ServiceBusBroker.start(…)`, then `stop()`, or `async with`."""

    def __init__(
        self, arguments: list[str], node: str, *, data: Path | None, log: Path | None
    ) -> None:
        self.amqp_port = 0
        self.control_port = 0
        self._arguments = arguments
        self._node = node
        self._data = data
        self._log = log
        self._own_log_folder: tempfile.TemporaryDirectory[str] | None = None
        self._child: ChildProcess | None = None
        self._http: httpx.AsyncClient | None = None

    @classmethod
    async def start(
        cls,
        queues: Sequence[Queue],
        *,
        data: Path | None = None,
        fsync: bool = False,
        port: int = 0,
        control_port: int = 0,
        node: str = "node",
        log: Path | None = None,
    ) -> Self:
        """Start a broker and wait until it listens.

        Args:
            queues: the queues that it has, at least one.
            data: a folder in which messages outlive the process; without it they end with it.
            fsync: with `data`, accept a message only when the disk itself has it.
            port: the AMQP port; 0 takes a free one.
            control_port: the port of the control interface; 0 takes a free one.
            node: the Node program.
            log: the log file; by default `broker.log` in the data folder, without one in a
                temporary folder that `stop()` removes.

        Raises:
            LocalError: `port_in_use`, `usage`, `data_in_use`, `queue_missing`,
                `journal_corrupt` and the like, as the broker says it.
            StartError: the process ended otherwise, or did not listen in time.
        """
        arguments = [word for queue in queues for word in ("--queue", queue.argument)]
        if data is not None:
            arguments += ["--data", str(data)]
        if fsync:
            arguments.append("--fsync")
        broker = cls(arguments, node, data=data, log=log)
        await broker._launch(port, control_port)
        return broker

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
        """What SDKs connect with. The key protects nothing: the broker takes any."""
        return (
            f"Endpoint=sb://{LOOPBACK}:{self.amqp_port};SharedAccessKeyName=local;"
            "SharedAccessKey=bG9jYWw=;UseDevelopmentEmulator=true;"
        )

    @property
    def control_url(self) -> str:
        """The address of the control interface (`local/broker/control.js` lists its requests)."""
        return f"http://{LOOPBACK}:{self.control_port}"

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process().pid

    @property
    def running(self) -> bool:
        """Whether the process runs (also while it is paused)."""
        return self._child is not None and self._child.running

    async def counts(self, queue: str) -> Counts:
        """Give what a queue holds and what has happened in it.

        Args:
            queue: its name; `NAME/$DeadLetterQueue` for its dead letters.

        Raises:
            LocalError: `usage_wrong`, there is no such queue.
        """
        known = (await self._ask("GET", "/queues"))["queues"]
        if queue not in known:
            raise _usage_wrong(f"the broker has no queue '{queue}', only {', '.join(known)}")
        found = known[queue]
        totals = found["totals"]
        return Counts(
            active=found["active"],
            locked=found["locked"],
            deferred=found["deferred"],
            scheduled=found["scheduled"],
            dead_lettered=found["deadLettered"],
            totals=Totals(
                enqueued=totals["enqueued"],
                delivered=totals["delivered"],
                completed=totals["completed"],
                abandoned=totals["abandoned"],
                dead_lettered=totals["deadLettered"],
                expired=totals["expired"],
                expired_locks=totals["expiredLocks"],
            ),
        )

    async def purge(self, queue: str) -> int:
        """Remove all messages of a queue and its dead letters; give their number."""
        path = f"/queues/{quote(queue, safe='')}/purge"
        return int((await self._ask("POST", path))["purged"])

    async def set_fault(
        self,
        name: FaultName,
        *,
        count: int | None = None,
        queue: str | None = None,
        milliseconds: float = 0,
    ) -> None:
        """Let something go wrong from now on (`local/broker/faults.js` tells what each means).

        Args:
            name: which fault; setting it again replaces it.
            count: how often it happens; None is until it is cleared.
            queue: the queue that it concerns; None is all.
            milliseconds: for `delay_dispositions`, the delay.

        Raises:
            LocalError: `usage_wrong`.
        """
        fault = {"name": name, "count": count, "queue": queue, "milliseconds": milliseconds}
        await self._ask("PUT", "/faults", fault)

    async def clear_faults(self) -> None:
        """End all faults."""
        await self._ask("DELETE", "/faults")

    async def drop_connections(self) -> int:
        """Break every connection now, without a word; give how many there were."""
        return int((await self._ask("POST", "/connections/drop"))["dropped"])

    async def expire_locks(self, queue: str | None = None) -> int:
        """End every lock now, of one queue or of all; give how many there were."""
        body = {} if queue is None else {"queue": queue}
        return int((await self._ask("POST", "/locks/expire", body))["expired"])

    async def advance(self, seconds: float) -> None:
        """Move the broker's clock forward; what thereby becomes due has happened on return."""
        await self._ask("POST", "/time/advance", {"seconds": seconds})

    async def status(self) -> dict[str, Any]:
        """Give connections, clock offset (seconds), memory and journal (bytes)."""
        return await self._ask("GET", "/status")

    def pause(self) -> None:
        """Freeze the process: connections stay open, nothing is answered."""
        self._process().pause()

    def resume(self) -> None:
        """Let it go on after `pause()`."""
        self._process().resume()

    async def kill(self) -> None:
        """End the process at once, as a crash would."""
        await self._process().kill()
        await self._release()

    async def restart(self) -> None:
        """Start it again, after `kill()` or `stop()`, on the same ports and data."""
        if self.running:
            await self.stop()
        await self._launch(self.amqp_port, self.control_port)

    async def stop(self) -> None:
        """Stop it; what it is to keep is kept. Stopping twice does no harm."""
        if self._child is not None:
            await self._child.stop()
        await self._release()

    async def _launch(self, port: int, control_port: int) -> None:
        if not (LOCAL / "node_modules" / "rhea").is_dir():
            raise LocalError(
                "part_missing",
                "the broker's library rhea is not installed in local/node_modules",
                "run `python dev.py setup`",
            )
        ports = ["--host", LOOPBACK, "--port", str(port), "--control-port", str(control_port)]
        self._child = await ChildProcess.start(
            "the Service Bus broker",
            [self._node, MAIN, "--exit-with-stdin", *ports, *self._arguments],
            log=self._log_path(),
            wake_when_orphaned=True,
        )
        try:
            said = await self._child.wait_for_line(_first_words, within=START_SECONDS)
            self.amqp_port, self.control_port = _ports(said)
        except BaseException:
            await self.kill()
            raise
        # A proxy of the machine has no business between a test and its broker.
        self._http = httpx.AsyncClient(
            base_url=self.control_url, timeout=CONTROL_SECONDS, trust_env=False
        )

    def _log_path(self) -> Path:
        if self._log is not None:
            return self._log
        if self._data is not None:
            return self._data / "broker.log"
        self._own_log_folder = tempfile.TemporaryDirectory(prefix="service-bus-")
        return Path(self._own_log_folder.name) / "broker.log"

    async def _release(self) -> None:
        if self._http is not None:
            await self._http.aclose()
            self._http = None
        if self._own_log_folder is not None:
            self._own_log_folder.cleanup()
            self._own_log_folder = None

    def _process(self) -> ChildProcess:
        if self._child is None:
            raise _usage_wrong("the broker was not started: await ServiceBusBroker.start(…)")
        return self._child

    async def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        if self._http is None:
            raise _usage_wrong("the broker does not run")
        answer = await self._http.request(method, path, json=body)
        found: dict[str, Any] = answer.json()
        if answer.is_error:
            raise _usage_wrong(f"the broker refused {method} {path}: {found['message']}")
        return found


def _first_words(line: str) -> dict[str, Any] | None:
    """The broker's ready line or its error, None for any other line."""
    try:
        said = json.loads(line)
    except ValueError:
        return None
    if isinstance(said, dict) and said.get("event") in {"ready", "error"}:
        return said
    return None


def _ports(said: dict[str, Any]) -> tuple[int, int]:
    if said["event"] == "error":
        raise LocalError(
            said["code"], said["message"].rstrip("."), "change what the broker is started with"
        )
    return said["amqpPort"], said["controlPort"]


def _usage_wrong(what: str) -> LocalError:
    return LocalError("usage_wrong", what.rstrip("."), "correct the call")
