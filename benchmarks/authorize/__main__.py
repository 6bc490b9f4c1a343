"""`python dev.py bench authorize`: what a tap costs beside nothing and beside a bare range query.

All run on Microsoft's runtime in our host, against the same Azurite, in turn: one call at a time
and 32 at once, alone and while another host of the same app ingests at half the rate that it
reaches alone (in Azure, too, taps and the queue have instances of their own). Floors fail, goals
are told.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from azure.data.tables.aio import TableServiceClient
from rich.console import Console
from rich.table import Table

from benchmarks.authorize.figures import (
    ADDED_FLOOR,
    ADDED_GOAL,
    NAMES,
    RATE_FLOOR,
    RATE_GOAL,
    Latencies,
    added_ratio,
    joined,
)
from benchmarks.command_line import Options
from benchmarks.ingest import load
from benchmarks.ingest.__main__ import QUEUE, drained, send, settings
from local.azurite import Azurite
from local.commands.frame import run_command
from local.functions_host.process import FunctionsHost
from local.service_bus import Queue, ServiceBusBroker
from shared.identifiers import bucket_of, hash_tag
from shared.instants import format_instant
from shared.storage.azure import AzureTables
from shared.storage.rows import Row, Upsert
from shared.storage.stamp import create_store
from shared.storage.tables import CHARGERS, TAGS
from shared.storage.together import all_done
from shared.tags.records import Tag, tag_row, tag_session_row

CHECKOUT = Path(__file__).resolve().parents[2]
SECRET = "a benchmark's own Authorization value, 44 ch."  # noqa: S105 - it protects nothing
KEY = load.TAG_HASH_KEY.encode()
TAGS_KNOWN, CHARGERS_KNOWN, SESSIONS = 500, 50, 2
AT_ONCE = 32
NOW = datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Site:
    """The two hosts that are measured, the store, and the queue beside them."""

    azurite: Azurite
    broker: ServiceBusBroker
    urls: dict[str, str]
    http: httpx.AsyncClient


@asynccontextmanager
async def site(work: Path) -> AsyncIterator[Site]:
    """Start everything but the host that ingests, on a store with tags and sessions."""
    baseline = work / "baseline"
    shutil.copytree(CHECKOUT / "benchmarks" / "authorize" / "baseline", baseline)
    shutil.copy(CHECKOUT / "host.json", baseline)
    async with (
        await Azurite.start(work / "azurite") as azurite,
        await ServiceBusBroker.start(
            queues=[Queue(QUEUE, lock_seconds=300, max_deliveries=10)]
        ) as broker,
        httpx.AsyncClient(
            headers={"Authorization": SECRET},
            timeout=60,
            trust_env=False,
            limits=httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE),
        ) as http,
    ):
        await fill(azurite)
        environ = settings(azurite, broker) | {
            "WEBHOOK_AUTHORIZATION": SECRET,
            # What is measured is how long a tap takes, on however busy a machine.
            "AUTHORIZATION_BUDGET_MILLISECONDS": "30000",
        }
        taps_only = {"AzureWebJobs.ingest_push_events.Disabled": "true"}
        async with (
            await FunctionsHost.start(app=baseline, settings=environ, quiet=True) as base,
            await FunctionsHost.start(
                app=CHECKOUT, settings=environ | taps_only, quiet=True
            ) as ours,
        ):
            urls = {
                "nothing": f"{base.url}/api/nothing",
                "bare": f"{base.url}/api/bare",
                "ours": f"{ours.url}/api/emabler/push",
            }
            yield Site(azurite, broker, urls, http)


async def fill(azurite: Azurite) -> None:
    """Tags with sessions that are over, and the chargers that are tapped at."""
    tables = AzureTables(TableServiceClient.from_connection_string(azurite.connection_string))
    await create_store(tables, environment="test", buckets=load.BUCKETS)

    def rows(n: int) -> list[Row]:
        row = tag_row(Tag(tag=f"04{n:012X}", kind="TAG"), KEY)
        sessions = [
            tag_session_row(row.partition, f"CH-{n}|{each}", source, "d", NOW - ago)
            for each in range(SESSIONS)
            for source, ago in (
                ("start", timedelta(hours=4 + each)),
                ("stop", timedelta(hours=3 + each)),
            )
        ]
        return [row, *sessions]

    await all_done(tables.write(TAGS, [Upsert(row) for row in rows(n)]) for n in range(TAGS_KNOWN))
    for n in range(CHARGERS_KNOWN):
        name = f"CH-{n:04d}"
        row = Row(bucket_of(name, load.BUCKETS), f"{name}|!", {"schema": 1, "charger": name})
        await tables.write(CHARGERS, [Upsert(row)])
    await tables.close()


def bodies(chance: random.Random) -> dict[str, Callable[[], dict[str, Any]]]:
    """What is posted to each: a tap, or the range that a tap reads."""

    def tap() -> dict[str, Any]:
        return {
            "charger_id": f"CH-{chance.randrange(CHARGERS_KNOWN):04d}",
            "rfid_tag_id": f"04{chance.randrange(TAGS_KNOWN):012X}",
        }

    def query() -> dict[str, Any]:
        start = f"session|{format_instant(NOW - timedelta(hours=24))}"
        partition = hash_tag(str(tap()["rfid_tag_id"]), KEY)
        return {"partition": partition, "start": start, "end": "tag|~"}

    return {"nothing": tap, "bare": query, "ours": tap}


async def measure(
    place: Site, name: str, body: Callable[[], dict[str, Any]], calls: int, at_once: int
) -> Latencies:
    """Call so often, so many at once."""
    times: list[float] = []
    left = iter(range(calls))

    async def caller() -> None:
        for _ in left:
            sent = body()
            began = time.perf_counter()
            answer = await place.http.post(place.urls[name], json=sent)
            times.append((time.perf_counter() - began) * 1000)
            if answer.status_code != httpx.codes.OK or b"false" in answer.content:
                message = f"{name} answered {answer.status_code} {answer.text}"
                raise RuntimeError(message)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(at_once)))
    return Latencies(tuple(sorted(times)), calls / (time.perf_counter() - began))


async def measure_all(
    place: Site, rounds: int, calls: int, at_once: int, chance: random.Random
) -> dict[str, list[Latencies]]:
    """All three in turn, several times, each time in another order."""
    made = bodies(chance)
    found: dict[str, list[Latencies]] = {name: [] for name in NAMES}
    orders = itertools.cycle(itertools.permutations(NAMES))
    for order in itertools.islice(orders, rounds):
        for name in order:
            found[name].append(await measure(place, name, made[name], calls, at_once))
    return found


async def ingestion_rate(place: Site, batches: int) -> tuple[FunctionsHost, float]:
    """Start the host that ingests; events per second that it takes when nothing else is asked."""
    events = load.batches(batches)
    await send(place.broker.connection_string, events)
    host = await FunctionsHost.start(
        app=CHECKOUT, settings=settings(place.azurite, place.broker), quiet=True
    )
    before = await drained(place.broker, (batches - 2) * load.BATCH)
    began = time.perf_counter()
    await drained(place.broker, 0)
    return host, before / (time.perf_counter() - began)


async def feed(place: Site, rate: float) -> None:
    """Send batches at this rate of events, until cancelled."""
    for batch in load.batches(10_000):
        await send(place.broker.connection_string, [batch])
        await asyncio.sleep(load.BATCH / rate)


async def run(rounds: int, calls: int) -> int:
    """Measure; exit code 1 where a floor is missed."""
    console, chance = Console(), random.Random(7)  # noqa: S311 - chance, not secrecy
    figures: dict[tuple[str, int], dict[str, list[Latencies]]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-authorize-") as work:
        async with site(Path(work)) as place:
            await measure_all(place, 1, 200, AT_ONCE, chance)
            for at_once in (1, AT_ONCE):
                figures["alone", at_once] = await measure_all(
                    place, rounds, calls * (1 if at_once == 1 else 2), at_once, chance
                )
            host, rate = await ingestion_rate(place, 12)
            feeding = asyncio.create_task(feed(place, rate / 2))
            try:
                for at_once in (1, AT_ONCE):
                    figures["beside ingestion", at_once] = await measure_all(
                        place, rounds, calls * (1 if at_once == 1 else 2), at_once, chance
                    )
            finally:
                feeding.cancel()
                await asyncio.wait([feeding])
                await host.stop()
    show(console, figures, rate)
    return verdict(console, figures)


def show(
    console: Console, figures: dict[tuple[str, int], dict[str, list[Latencies]]], rate: float
) -> None:
    """Print all figures."""
    table = Table("taps", "at once", "function", "p50 ms", "p95 ms", "p99 ms", "calls/s")
    for (when, at_once), names in figures.items():
        for name in NAMES:
            all_calls = joined(names[name])
            percentiles = [f"{all_calls.percentile(share):.1f}" for share in (0.5, 0.95, 0.99)]
            table.add_row(when, str(at_once), name, *percentiles, f"{all_calls.per_second:.0f}")
    console.print(table)
    console.print(
        f"ingestion alone: {rate:.0f} events/s; beside taps at half of it", highlight=False
    )


def verdict(console: Console, figures: dict[tuple[str, int], dict[str, list[Latencies]]]) -> int:
    """Print the ratios against their floors; 1 where one is missed. Those alone count."""
    missed = 0
    for when in ("alone", "beside ingestion"):
        single, many = figures[when, 1], figures[when, AT_ONCE]
        added = statistics.median(
            added_ratio(*each) for each in zip(*(single[name] for name in NAMES), strict=True)
        )
        share = statistics.median(
            ours.per_second / bare.per_second
            for ours, bare in zip(many["ours"], many["bare"], strict=True)
        )
        well = added <= ADDED_FLOOR and share >= RATE_FLOOR
        missed += not well and when == "alone"
        console.print(
            f"{when}: a tap adds {added:.2f} bare range queries at p50 (floor {ADDED_FLOOR}, goal "
            f"{ADDED_GOAL}); {AT_ONCE} at once {share:.2f} of their rate (floor {RATE_FLOOR}, goal "
            f"{RATE_GOAL}): "
            + ("passed" if well else "MISSED" if when == "alone" else "told only"),
            highlight=False,
        )
    return 1 if missed else 0


async def main() -> int:
    """Run what the command line asks for."""
    parser = Options("authorize", __doc__)
    parser.add_count("--rounds", 6, "how often each is measured")
    parser.add_count("--calls", 200, "calls in a round, one at a time")
    options = parser.parse_args()
    return await run(options.rounds, options.calls)


if __name__ == "__main__":
    run_command(main)
