"""`python dev.py bench telemetry`: worker CPU and bytes per 1,000 events and per 1,000 taps.

Three ways in turn, several times, on Microsoft's runtime in our host: `none` is the app with its
wide events taken out, `log` is as it is by default, `opentelemetry` sends lines and spans itself.
The CPU time is the worker's, until all it has to tell is captured; the bytes are those of the items
that were captured, unpacked, the host's own among them. The median of the ratios counts: by
default telemetry may cost a tenth of ingestion's CPU time at most.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from azure.data.tables.aio import TableServiceClient
from rich.console import Console
from rich.table import Table

from benchmarks.authorize.__main__ import SECRET, bodies, fill
from benchmarks.command_line import Options
from benchmarks.ingest import load
from benchmarks.ingest.__main__ import QUEUE, cpu_seconds, drained, send, settings
from local.app_insights.process import AppInsights
from local.azurite import Azurite
from local.commands.frame import run_command
from local.functions_host.process import FunctionsHost
from local.processes import until
from local.service_bus import Queue, ServiceBusBroker
from local.stack import OPENTELEMETRY
from shared.storage.azure import AzureTables
from shared.storage.stamp import create_store

CHECKOUT = Path(__file__).resolve().parents[2]
WAYS = ("none", "log", "opentelemetry")
NOWHERE = (
    "InstrumentationKey=00000000-0000-0000-0000-000000000001;IngestionEndpoint=http://127.0.0.1:9/"
)
MOST_SHARE = 0.10
WARM_UP = 3
WARM_UP_TAPS = 50


@dataclass(frozen=True, slots=True)
class Figures:
    """What a thousand cost: worker CPU in ms, bytes captured, and of these the app's own."""

    cpu_ms: float
    bytes_captured: float
    bytes_of_app: float


@dataclass(frozen=True, slots=True)
class Place:
    """A running app, its queue, its capture."""

    broker: ServiceBusBroker
    insights: AppInsights
    host: FunctionsHost
    http: httpx.AsyncClient
    way: str

    async def told(self, invocations: int) -> None:
        """Wait until so many invocations are captured, with all that the app tells of them."""

        async def arrived() -> bool:
            items = self.insights.envelopes()
            kinds = [item["data"]["baseType"] for item in items]
            lines = sum(_is_line(item) for item in items)
            spans = sum(item["data"]["baseData"].get("type") == "InProc" for item in items)
            return (
                kinds.count("RequestData") >= invocations
                and (self.way == "none" or lines >= invocations)
                and (self.way != "opentelemetry" or spans >= invocations)
            )

        await until(arrived, within=120, what="that the telemetry is captured", every=0.5)


@asynccontextmanager
async def place(work: Path, way: str, queued: list[list[bytes]]) -> AsyncIterator[Place]:
    """Start all that is needed, with these batches on the queue before the host starts."""
    async with (
        await Azurite.start(work / "azurite") as azurite,
        await ServiceBusBroker.start(
            queues=[Queue(QUEUE, lock_seconds=300, max_deliveries=10)]
        ) as broker,
        await AppInsights.start(work) as insights,
        httpx.AsyncClient(headers={"Authorization": SECRET}, timeout=60, trust_env=False) as http,
    ):
        if queued:
            tables = AzureTables(
                TableServiceClient.from_connection_string(azurite.connection_string)
            )
            await create_store(tables, environment="test", buckets=load.BUCKETS)
            await tables.close()
            await send(broker.connection_string, queued)
        else:
            await fill(azurite)
        environ = settings(azurite, broker) | {
            "WEBHOOK_AUTHORIZATION": SECRET,
            "AUTHORIZATION_BUDGET_MILLISECONDS": "30000",
            "APPLICATIONINSIGHTS_CONNECTION_STRING": insights.connection_string,
            "BENCHMARK_CHECKOUT": str(CHECKOUT),
        }
        if way == "opentelemetry":
            environ |= OPENTELEMETRY
        app = silent(work) if way == "none" else CHECKOUT
        async with await FunctionsHost.start(app=app, settings=environ, quiet=True) as host:
            yield Place(broker, insights, host, http, way)


def silent(work: Path) -> Path:
    """The folder of the app that tells nothing."""
    folder = work / "silent"
    shutil.copytree(CHECKOUT / "benchmarks" / "telemetry" / "silent", folder)
    shutil.copy(CHECKOUT / "host.json", folder)
    return folder


async def of_events(way: str, batches: list[list[bytes]], work: Path) -> Figures:
    """Let a queue be emptied; the first batches warm the worker up."""
    measured = sum(map(len, batches[WARM_UP:]))
    async with place(work, way, batches) as site:
        began_with = await drained(site.broker, measured)
        (worker,) = await site.host.worker_pids()
        cpu = cpu_seconds(worker)
        await drained(site.broker, 0)
        invocations = site.host.log_text().count('"event":"invocation"') or len(batches)
        await site.told(invocations)
        cpu = cpu_seconds(worker) - cpu
        return figures(site, cpu, began_with, sum(map(len, batches)))


async def of_taps(way: str, calls: int, work: Path) -> Figures:
    """Tap one after another; the first taps warm the worker up."""
    async with place(work, way, []) as site:
        tap = bodies(random.Random(7))["ours"]  # noqa: S311 - chance, not secrecy

        async def taps(count: int) -> None:
            for _ in range(count):
                answer = await site.http.post(f"{site.host.url}/api/emabler/push", json=tap())
                answer.raise_for_status()

        await taps(WARM_UP_TAPS)
        (worker,) = await site.host.worker_pids()
        cpu = cpu_seconds(worker)
        await taps(calls)
        await site.told(WARM_UP_TAPS + calls)
        cpu = cpu_seconds(worker) - cpu
        return figures(site, cpu, calls, WARM_UP_TAPS + calls)


def cold_start(way: str) -> float:
    """CPU ms of a process that imports the app, as a worker does before its first tap."""
    code = "import resource, function_app; r = resource.getrusage(resource.RUSAGE_SELF);"
    done = subprocess.run(  # noqa: S603 - our own interpreter, on code of ours
        [sys.executable, "-c", f"{code} print(r.ru_utime + r.ru_stime)"],
        cwd=CHECKOUT,
        env={
            "PATH": os.environ["PATH"],
            "DataStorageConnection": "UseDevelopmentStorage=true",
            "EMABLER_ENVIRONMENT": "test",
            "RECONCILE_SCHEDULE": "0 0 0 1 1 *",
            "APPLICATIONINSIGHTS_CONNECTION_STRING": NOWHERE,
            **(OPENTELEMETRY if way == "opentelemetry" else {}),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout) * 1000


def figures(site: Place, cpu: float, measured: int, captured: int) -> Figures:
    """What a thousand cost; bytes are of all that was captured, the warm-up too."""
    items = site.insights.envelopes()
    sizes = {id(item): len(json.dumps(item, separators=(",", ":")).encode()) for item in items}
    ours = sum(sizes[id(item)] for item in items if _is_app_s(item))
    if site.way == "none" and ours:
        raise RuntimeError("the app that is to tell nothing told something")
    return Figures(
        cpu / measured * 1_000_000,
        sum(sizes.values()) / captured * 1000,
        ours / captured * 1000,
    )


def _message(item: dict[str, object]) -> object:
    data = item["data"]
    return data["baseData"].get("message") if isinstance(data, dict) else None


def _is_app_s(item: dict[str, object]) -> bool:
    """Whether the app told it: a span, or a line."""
    data = item["data"]
    kind = data["baseType"] if isinstance(data, dict) else ""
    return kind == "RemoteDependencyData" or _is_line(item)


def _is_line(item: dict[str, object]) -> bool:
    return str(_message(item)).startswith('{"event":"invocation"')


async def run(rounds: int, batches: int, taps: int) -> int:
    """Measure all ways in turn, several times; exit code 1 where the default costs too much."""
    console = Console()
    found: dict[tuple[str, str], list[Figures]] = {}
    for number in range(rounds):
        # Another order each time: who comes later finds a machine that is warm.
        for way in WAYS[number % 3 :] + WAYS[: number % 3]:
            for what in ("events", "taps"):
                with tempfile.TemporaryDirectory(prefix="bench-telemetry-") as work:
                    done = await (
                        of_events(way, load.batches(WARM_UP + batches), Path(work))
                        if what == "events"
                        else of_taps(way, taps, Path(work))
                    )
                found.setdefault((what, way), []).append(done)
                console.print(
                    f"round {number + 1} of {rounds}, {what}, {way}: {done.cpu_ms:.0f} ms CPU",
                    highlight=False,
                )
    show(console, found)
    for way in WAYS[1:]:
        starts = statistics.median(cold_start(way) for _ in range(rounds))
        console.print(f"importing the app, {way}: {starts:.0f} ms CPU", highlight=False)
    return verdict(console, found)


def show(console: Console, found: dict[tuple[str, str], list[Figures]]) -> None:
    """Print the medians."""
    table = Table("1,000", "telemetry", "worker CPU ms", "kB captured", "of these the app's own")
    for (what, way), runs in sorted(found.items()):
        table.add_row(
            what,
            way,
            f"{statistics.median(run.cpu_ms for run in runs):.0f}",
            f"{statistics.median(run.bytes_captured for run in runs) / 1000:.1f}",
            f"{statistics.median(run.bytes_of_app for run in runs) / 1000:.1f}",
        )
    console.print(table)


def verdict(console: Console, found: dict[tuple[str, str], list[Figures]]) -> int:
    """Print what telemetry adds to the CPU time; 1 where it is too much of ingestion's."""
    missed = False
    for what in ("events", "taps"):
        for way in WAYS[1:]:
            pairs = zip(found[what, way], found[what, "none"], strict=True)
            added = statistics.median(told.cpu_ms / none.cpu_ms - 1 for told, none in pairs)
            bound = what == "events" and way == "log"
            missed |= bound and added > MOST_SHARE
            word = ("MISSED" if added > MOST_SHARE else "passed") if bound else "told only"
            console.print(
                f"{what}, {way}: {added:+.1%} of the CPU time without telemetry"
                + (f" (at most {MOST_SHARE:.0%}): {word}" if bound else f": {word}"),
                highlight=False,
            )
    return 1 if missed else 0


async def main() -> int:
    """Run what the command line asks for."""
    parser = Options("telemetry", __doc__)
    parser.add_count("--rounds", 5, "how often each is measured")
    parser.add_count("--batches", 30, "measured batches of 100 events")
    parser.add_count("--taps", 1000, "measured taps")
    options = parser.parse_args()
    return await run(options.rounds, options.batches, options.taps)


if __name__ == "__main__":
    run_command(main)
