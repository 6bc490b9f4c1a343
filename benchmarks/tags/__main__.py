"""`python dev.py bench tags`: an import beside bare single upserts of the same rows.

Both write into the same Azurite, 16 side by side, a part of each in turn, so that what else the
machine does falls on both. Then the same tags are imported again, and their snapshot is read back.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import resource
import tempfile
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient, TableServiceClient
from rich.console import Console

from benchmarks.command_line import Options
from local.azurite import Azurite
from local.commands.frame import run_command
from shared.instants import system_clock
from shared.storage.azure import AzureTables
from shared.storage.containers import SNAPSHOTS
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.requests import counted
from shared.storage.stamp import create_store
from shared.storage.together import SIDE_BY_SIDE
from shared.tags.importing import COLUMNS
from shared.tags.records import Tag, tag_row
from shared.tags.snapshot import read_snapshot
from shared.tags.snapshot_store import SnapshotStore
from shared.tags.writing import TagImport

KEY = b"benchmark-tag-hash-key-of-40-characters."
FLOOR = 0.7
MOST_GROWTH_MB, MOST_SNAPSHOT_MB = 20.0, 40.0
PART = 2_000


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured: tags per second of both, and megabytes."""

    bare: float
    ours: float
    growth_mb: float
    written_again: int
    snapshot_mb: float


def tags(count: int) -> Iterator[Tag]:
    """As many tags as an operator's file may have."""
    return (Tag(tag=f"04{n:012X}", kind="TAG", most_sessions=1) for n in range(count))


async def upsert(client: TableClient, part: Sequence[Tag]) -> None:
    """The baseline: one upsert for each row, some side by side, on rows that come ready."""
    rows = iter([tag_row(tag, KEY) for tag in part])

    async def worker() -> None:
        for row in rows:
            await client.upsert_entity(
                {"PartitionKey": row.partition, "RowKey": row.key, **row.columns},
                mode=UpdateMode.REPLACE,
            )

    await asyncio.gather(*(worker() for _ in range(SIDE_BY_SIDE)))


def peak_mb() -> float:
    """The most memory that this process had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def measure(azurite: Azurite, count: int) -> Figures:
    """Import all tags, part by part beside the baseline, then once more, then the snapshot."""
    service = TableServiceClient.from_connection_string(azurite.connection_string)
    tables = AzureTables(service)
    await create_store(tables, environment="test", buckets=4)
    await service.create_table("bare")
    client = service.get_table_client("bare")
    seconds = {"bare": 0.0, "ours": 0.0}
    work = TagImport(tables, KEY, COLUMNS)
    await work.look(lambda _more: None)
    parts = work.write(enumerate(tags(count), 2))
    early, done = 0.0, 0
    for part in itertools.batched(tags(count), PART, strict=False):
        began = time.perf_counter()
        await upsert(client, part)
        seconds["bare"] += time.perf_counter() - began
        began = time.perf_counter()
        while done < count:
            done += len(await anext(parts))
            if not done % PART:
                break
        seconds["ours"] += time.perf_counter() - began
        early = early or (peak_mb() if done >= count / 10 else 0.0)
    growth = peak_mb() - early
    written = await again(tables, count)
    snapshot = await snapshot_mb(tables)
    await tables.close()
    return Figures(count / seconds["bare"], count / seconds["ours"], growth, written, snapshot)


async def again(tables: AzureTables, count: int) -> int:
    """Import the same tags again; how many rows that writes."""
    with counted() as requests:
        work = TagImport(tables, KEY, COLUMNS)
        await work.look(lambda _more: None)
        async for _ in work.write(enumerate(tags(count), 2)):
            pass
    return sum(number for purpose, number in requests.by_purpose.items() if "write" in purpose)


async def snapshot_mb(tables: AzureTables) -> float:
    """The most memory that a worker needs to have the snapshot at hand."""
    blobs = MemoryBlobs(SNAPSHOTS)
    store = SnapshotStore(tables, blobs, system_clock)
    content = (await store.refresh()).content()
    gc.collect()
    tracemalloc.start()
    kept = read_snapshot(bytes(bytearray(content)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    del kept
    return peak / 1024 / 1024


async def run(count: int) -> int:
    """Measure; exit code 1 where a floor is missed."""
    with tempfile.TemporaryDirectory(prefix="bench-tags-") as work:
        async with await Azurite.start(Path(work), in_memory=True) as azurite:
            done = await measure(azurite, count)
    ratio = done.ours / done.bare
    well = {
        f"import {done.ours:.0f} tags/s, bare {done.bare:.0f}: {ratio:.2f} (floor {FLOOR})": ratio
        >= FLOOR,
        f"memory grew {done.growth_mb:.0f} MB after the first tenth (at most "
        f"{MOST_GROWTH_MB:.0f})": done.growth_mb <= MOST_GROWTH_MB,
        f"the same again wrote {done.written_again} rows (none)": not done.written_again,
        f"the snapshot of {count} tags took {done.snapshot_mb:.1f} MB (at most "
        f"{MOST_SNAPSHOT_MB:.0f} for 100,000)": done.snapshot_mb <= MOST_SNAPSHOT_MB,
    }
    console = Console(highlight=False)
    for line, held in well.items():
        console.print(f"{line}: {'passed' if held else 'MISSED'}")
    return 0 if all(well.values()) else 1


async def main() -> int:
    """Run what the command line asks for."""
    parser = Options("tags", __doc__)
    parser.add_count("--tags", 100_000, "how many tags")
    options = parser.parse_args()
    return await run(options.tags)


if __name__ == "__main__":
    run_command(main)
