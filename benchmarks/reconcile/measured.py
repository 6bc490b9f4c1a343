"""What is measured, each in a process of its own so that its memory is its own.

`python -m benchmarks.reconcile.measured WHAT` reads its settings from the environment and prints
one JSON object.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import json
import os
import re
import resource
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from azure.data.tables.aio import TableServiceClient

from benchmarks.reconcile.load import BEGINS, until
from shared.instants import format_instant
from shared.reconciliation.shelf import read_windows
from shared.reconciliation.spans import Span
from shared.rooms import Rooms
from shared.storage.requests import counted
from shared.storage.rows import Upsert
from shared.storage.tables import ALL_TABLES, SESSIONS, STORE
from shared.storage.together import write_all
from shared.telemetry import WideEvent

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: seconds, requests, and the process's largest memory, MiB."""

    seconds: float
    cpu: float
    rest_requests: int
    store_requests: int
    windows: int
    rows: int
    sessions: dict[str, int]
    memory: float


async def walk(rooms: Rooms) -> Measured:
    """Ours: the range by hand, as `manage.py reconcile --from --to` walks it."""
    wide = WideEvent("reconcile")
    # Loaded at the first use; a warm worker has it, as the baseline has its modules.
    for name in ("run", "pairing_writer", "store_clock"):
        importlib.import_module(f"shared.reconciliation.{name}")
    await rooms.tables.get(STORE, "warm", "warm")
    with counted() as requests:
        began, cpu = time.perf_counter(), time.process_time()
        run = await rooms.reconciliation.walk(Span(BEGINS, _end()), wide, holder="bench")
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    return Measured(
        seconds,
        cpu,
        rest_requests=wide.fields["rest_requests"],
        store_requests=sum(requests.by_purpose.values()),
        windows=run.windows,
        rows=0,
        sessions=dict(run.sessions),
        memory=peak(),
    )


async def read(rooms: Rooms) -> Measured:
    """The baseline of a walk with nothing new: the same pages and the same ranges, bare."""
    tables = rooms.tables
    spans = [(window.first, window.last) async for window in read_windows(tables, BEGINS, _end())]
    buckets = [str(number) for number in range(rooms.settings["STORE_BUCKETS"])]
    connection = rooms.settings["DataStorageConnection"]
    rows = items = 0
    async with TableServiceClient.from_connection_string(connection) as service:
        table = service.get_table_client(SESSIONS)
        url = f"{rooms.settings['EMABLER_BASE_URL']}{rooms.settings['EMABLER_TRANSACTIONS_PATH']}"
        headers = {"x-api-key": rooms.settings["EMABLER_API_KEY"]}

        async def of_bucket(bucket: str, start: datetime, end: datetime) -> int:
            query = (
                f"PartitionKey eq '{bucket}' and RowKey ge '!end|{format_instant(start - _SECOND)}'"
                f" and RowKey lt '!end|{format_instant(end + _SECOND)}'"
            )
            return len([row async for row in table.query_entities(query)])

        await of_bucket(buckets[0], BEGINS, BEGINS)
        began, cpu = time.perf_counter(), time.process_time()
        # As a run does: a client of its own.
        async with httpx.AsyncClient(trust_env=False) as client:
            for start, end in spans:
                answer = await client.post(
                    url,
                    headers=headers,
                    json={
                        "stopTimeSearchBegin": format_instant(start - _SECOND),
                        "stopTime": format_instant(end + _SECOND),
                        "page": 1,
                        "limit": rooms.settings["EMABLER_PAGE_SIZE"],
                        "includeSanityFlags": True,
                    },
                )
                answer.raise_for_status()
                items += len(answer.json()["items"])
                counts = await asyncio.gather(*(of_bucket(each, start, end) for each in buckets))
                rows += sum(counts)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    requests = len(spans) * len(buckets)
    return Measured(seconds, cpu, len(spans), requests, len(spans), rows, {"read": items}, peak())


async def write(rooms: Rooms) -> Measured:
    """The baseline of a first walk: the same rows into another store, in full transactions."""
    rows = {table: [row async for row in rooms.tables.scan(table)] for table in ALL_TABLES}
    fresh = Rooms({**os.environ, "DataStorageConnection": os.environ["BENCH_FRESH_STORE"]}).tables
    for table in rows:
        await fresh.create_table(table)
    with counted() as requests:
        began, cpu = time.perf_counter(), time.process_time()
        for table, all_rows in rows.items():
            # As much at a time as one window brings, so that memory stays flat here too.
            for part in itertools.batched(all_rows, 1_000, strict=False):
                await write_all(fresh, table, [Upsert(row) for row in part])
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    await fresh.close()
    count = sum(map(len, rows.values()))
    return Measured(seconds, cpu, 0, sum(requests.by_purpose.values()), 0, count, {}, peak())


def peak() -> float:
    """The most memory that this process had so far, MiB; Linux tells it without its parent's."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return (int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 1024


def _end() -> datetime:
    return until(int(os.environ["BENCH_SESSIONS"]))


_WHAT: dict[str, Callable[[Rooms], Coroutine[Any, Any, Measured]]] = {
    "walk": walk,
    "read": read,
    "write": write,
}


async def main(what: str) -> None:
    """Measure it and print it."""
    rooms = Rooms(os.environ)
    done = await _WHAT[what](rooms)
    await rooms.close()
    sys.stdout.write(json.dumps(asdict(done)) + "\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
