"""`python dev.py bench ingest`: events per second, CPU and requests, beside plain and ceiling.

All three run on Microsoft's runtime in our host, against the same broker and Azurite, one after
another and several times in turn; the median of the ratios counts. Floors fail, goals are told.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from azure.data.tables.aio import TableServiceClient
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from rich.console import Console
from rich.table import Table

from benchmarks.command_line import Options
from benchmarks.ingest import load
from local.azurite import Azurite
from local.commands.frame import run_command
from local.functions_host.process import FunctionsHost
from local.service_bus import Queue, ServiceBusBroker
from shared.storage.azure import AzureTables
from shared.storage.stamp import create_store

CHECKOUT = Path(__file__).resolve().parents[2]
QUEUE = "push-events"
FLOORS = {"plain": 1.8, "ceiling": 0.6}
GOALS = {"plain": 2.5, "ceiling": 0.8}
WARM_UP = 3


@dataclass(frozen=True, slots=True)
class Figures:
    """One run: events per second from the first measured batch on, and what they cost."""

    events_per_second: float
    cpu_ms_per_event: float
    requests_per_1000: float


def app_folder(name: str, work: Path) -> Path:
    """The app's folder: our checkout, or a baseline with our host.json beside it."""
    if name == "ours":
        return CHECKOUT
    folder = work / name
    shutil.copytree(CHECKOUT / "benchmarks" / "ingest" / name, folder, dirs_exist_ok=True)
    shutil.copy(CHECKOUT / "host.json", folder)
    return folder


async def measure(name: str, batches: Sequence[Sequence[bytes]], work: Path) -> Figures:
    """Fill the queue, start the host, and measure until the queue is empty."""
    async with await Azurite.start(work / "azurite") as azurite:
        broker = await ServiceBusBroker.start(
            queues=[Queue(QUEUE, lock_seconds=300, max_deliveries=10)]
        )
        try:
            return await _measure(name, batches, work, azurite, broker)
        finally:
            await broker.stop()


async def _measure(
    name: str,
    batches: Sequence[Sequence[bytes]],
    work: Path,
    azurite: Azurite,
    broker: ServiceBusBroker,
) -> Figures:
    tables = AzureTables(TableServiceClient.from_connection_string(azurite.connection_string))
    await create_store(tables, environment="test", buckets=load.BUCKETS)
    await tables.close()
    # All of it waits in the queue before the host starts: no sender takes part in what is measured.
    await send(broker.connection_string, batches)
    total = sum(map(len, batches[WARM_UP:]))
    async with await FunctionsHost.start(
        app=app_folder(name, work), settings=settings(azurite, broker), quiet=True
    ) as host:
        begins_with = await drained(broker, total)
        began = time.perf_counter()
        (worker,) = await host.worker_pids()
        cpu = cpu_seconds(worker)
        await drained(broker, 0)
        seconds = time.perf_counter() - began
        cpu = cpu_seconds(worker) - cpu
        requests = requests_of(name, host.log_text(), batches)
    return Figures(
        begins_with / seconds, cpu / begins_with * 1000, requests / sum(map(len, batches)) * 1000
    )


def settings(azurite: Azurite, broker: ServiceBusBroker) -> dict[str, str]:
    """The app settings of all three."""
    return {
        "AzureWebJobsStorage": azurite.connection_string,
        "DataStorageConnection": azurite.connection_string,
        "ServiceBusConnection": broker.connection_string,
        "PUSH_QUEUE_NAME": QUEUE,
        "TAG_HASH_KEY": load.TAG_HASH_KEY,
        "EMABLER_ENVIRONMENT": "test",
        "RECONCILE_SCHEDULE": "0 0 0 1 1 *",
        "STORE_BUCKETS": str(load.BUCKETS),
    }


async def send(connection: str, batches: Sequence[Sequence[bytes]]) -> None:
    """Put messages on the queue, batch by batch."""
    async with (
        ServiceBusClient.from_connection_string(connection) as client,
        client.get_queue_sender(QUEUE) as sender,
    ):
        for batch in batches:
            await sender.send_messages([ServiceBusMessage(body) for body in batch])


async def drained(broker: ServiceBusBroker, most: int) -> int:
    """Wait until the queue holds no more messages than that; how many it holds then."""
    while True:
        counts = await broker.counts(QUEUE)
        if counts.active + counts.locked <= most:
            return counts.active + counts.locked
        await asyncio.sleep(0.02)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def requests_of(name: str, log: str, batches: Sequence[Sequence[bytes]]) -> int:
    """Storage requests: ours from its wide events, those of the baselines by what they do."""
    if name == "ours":
        lines = re.findall(r'\{"event":"invocation".*\}', log)
        return sum(sum(json.loads(line)["store_requests"].values()) for line in lines)
    rows = [[entry for body in batch for entry in json.loads(body)] for batch in batches]
    if name == "plain":
        return sum(map(len, rows))
    return sum(len({(table, row["PartitionKey"]) for table, row in batch}) for batch in rows)


async def run(rounds: int, count: int) -> int:
    """Measure all three in turn, several times; exit code 1 where a floor is missed."""
    console = Console()
    events = load.batches(WARM_UP + count)
    rows = await load.rows_of(events)
    loads = {"plain": rows, "ceiling": rows, "ours": events}
    figures: dict[str, list[Figures]] = {name: [] for name in loads}
    for number in range(rounds):
        for name, batches in loads.items():
            with tempfile.TemporaryDirectory(prefix="bench-ingest-") as work:
                done = await measure(name, batches, Path(work))
            figures[name].append(done)
            console.print(
                f"round {number + 1} of {rounds}, {name}: {done.events_per_second:.0f} events/s",
                highlight=False,
            )
    table = Table("function", "events/s", "worker CPU ms/event", "storage requests/1,000 events")
    for name, runs in figures.items():
        table.add_row(
            name,
            f"{statistics.median(run.events_per_second for run in runs):.0f}",
            f"{statistics.median(run.cpu_ms_per_event for run in runs):.2f}",
            f"{statistics.median(run.requests_per_1000 for run in runs):.0f}",
        )
    console.print(table)
    missed = 0
    for name, floor in FLOORS.items():
        pairs = zip(figures["ours"], figures[name], strict=True)
        ratio = statistics.median(o.events_per_second / b.events_per_second for o, b in pairs)
        verdict = "passed" if ratio >= floor else "MISSED"
        goal = "reached" if ratio >= GOALS[name] else "not reached"
        missed += ratio < floor
        console.print(
            f"ours / {name}: {ratio:.2f}  floor {floor} {verdict}, goal {GOALS[name]} {goal}",
            highlight=False,
        )
    return 1 if missed else 0


async def main() -> int:
    """Run what the command line asks for."""
    parser = Options("ingest", __doc__)
    parser.add_count("--rounds", 3, "how often each is measured")
    parser.add_count("--batches", 40, "measured batches of 100 events")
    options = parser.parse_args()
    return await run(options.rounds, options.batches)


if __name__ == "__main__":
    run_command(main)
