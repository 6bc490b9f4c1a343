"""`python dev.py bench retention`: many rows on Azurite, runs that are killed, and what is left.

The store's clock is the machine's, so the product's is moved on by the age of the journal: what was
just written on the days that are due is as old as it has to be. Floors fail: every row that is due
goes, no other does, also where runs are killed (SIGKILL) between any two transactions.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console

from benchmarks.command_line import Options
from local.azurite import Azurite
from local.commands.frame import run_command
from shared.instants import day_of
from shared.retention.policies import AGE_SETTINGS
from shared.retention.retain import Retention
from shared.settings import read_settings
from shared.storage.beside import PrefixedTables
from shared.storage.connect import connect_blobs, connect_tables
from shared.storage.rows import Insert, Operation, Row
from shared.storage.stamp import create_containers, create_store
from shared.storage.tables import EVENTS
from shared.storage.together import write_all

BUCKETS = 4
AGE = timedelta(days=400)
DAYS, DUE_DAYS = 10, 6
KILLS = 2
_AT_ONCE = 1_600


def days_of(now: datetime) -> tuple[list[str], list[str]]:
    """The days up to that of `now`, which are due, with those that cannot be; the days after it.

    A row under 1970 or 2099 is as old as its writing: it goes, since the clock is moved on.
    """
    first = now - timedelta(days=DUE_DAYS - 1)
    days = [day_of(first + timedelta(days=number)) for number in range(DAYS)]
    return [*days[:DUE_DAYS], "19700101", "20990101"], days[DUE_DAYS:]


async def fill(connection: str, count: int, now: datetime) -> tuple[int, int]:
    """So many rows, equally on all days and buckets; how many are due, how many are not."""
    tables = connect_tables(read_settings({"DataStorageConnection": connection}))
    blobs = connect_blobs(read_settings({"DataStorageConnection": connection}))
    await create_store(tables, environment="test", buckets=BUCKETS)
    await create_containers(blobs)
    due, kept = days_of(now)
    partitions = [f"{bucket}-{day}" for bucket in range(BUCKETS) for day in (*due, *kept)]
    each = count // len(partitions)
    rows = (
        Row(partition, f"ChargerState|CH|{number:06}", {"schema": 1})
        for partition in partitions
        for number in range(each)
    )
    batch: list[Operation] = []
    for row in rows:
        batch.append(Insert(row))
        if len(batch) == _AT_ONCE:
            await write_all(tables, EVENTS, batch)
            batch.clear()
    if batch:
        await write_all(tables, EVENTS, batch)
    await tables.close()
    await blobs.close()
    return each * BUCKETS * len(due), each * BUCKETS * len(kept)


class Told(PrefixedTables):
    """Says a line after each transaction on the journal: where the run may be killed."""

    async def write(self, table: str, operations: Sequence[Operation]) -> list[str | None]:
        """Do all operations or none, and say so."""
        done = await super().write(table, operations)
        if table == EVENTS:
            sys.stdout.write("deleted\n")
            sys.stdout.flush()
        return done


async def retain(connection: str, now: datetime) -> int:
    """One run of retention, in a process that may be killed; 0 when it came to its end."""
    settings = read_settings({"DataStorageConnection": connection})
    tables, blobs = connect_tables(settings), connect_blobs(settings)
    ages = dict.fromkeys(AGE_SETTINGS, 10 * AGE) | {"RETENTION_JOURNAL_DAYS": AGE}
    # What lies before the noon after `now` is beyond the age: the days that are due, and the
    # writing of every row.
    moved = now + timedelta(days=1) + AGE
    done = await Retention(
        Told(tables, ""),
        blobs,
        ages=ages,
        buckets=BUCKETS,
        hash_keys=[b"k" * 32],
        clock=lambda: moved,
    ).run()
    await tables.close()
    await blobs.close()
    return 0 if done.finished else 1


async def run_killed(connection: str, now: datetime, after: int | None) -> bool:
    """A run in a process of its own, killed after so many transactions; whether it was."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.retention"),
        *("--connection", connection, "--now", now.isoformat()),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None  # noqa: S101 - it was asked for
    transactions = 0
    while await process.stdout.readline():
        transactions += 1
        if after is not None and transactions == after:
            process.kill()
            break
    code = await process.wait()
    if code not in (0, -9):
        message = f"a run of retention ended with {code}"
        raise SystemExit(message)
    return code != 0


async def count_left(connection: str, now: datetime) -> tuple[int, int]:
    """How many rows are left on days that are due, and on the others."""
    tables = connect_tables(read_settings({"DataStorageConnection": connection}))
    due, _ = days_of(now)
    left = [0, 0]
    async for row in tables.scan(EVENTS):
        left[row.partition.partition("-")[2] not in due] += 1
    await tables.close()
    return left[0], left[1]


async def measure(rows: int) -> dict[str, object]:
    """Fill, kill, finish, count."""
    now = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    with tempfile.TemporaryDirectory() as folder:
        async with await Azurite.start(Path(folder), in_memory=True) as azurite:
            connection = azurite.connection_string
            due, others = await fill(connection, rows, now)
            # A transaction has 100 rows at most: the kills fall into the first and second third.
            third = max(due // 300, 1)
            began = time.perf_counter()
            killed = [await run_killed(connection, now, third) for _ in range(KILLS)]
            ended = not await run_killed(connection, now, None)
            took = time.perf_counter() - began
            left_due, left_others = await count_left(connection, now)
    return {
        "rows": due + others,
        "due": due,
        "deleted": due - left_due,
        "lost": others - left_others,
        "killed": sum(killed),
        "rows_per_s": (due - left_due) / took,
        "missed": not ended or killed != [True] * KILLS or (left_due, left_others) != (0, others),
    }


async def main() -> int:
    """Measure and print; 1 where a floor is missed."""
    parser = Options("retention", __doc__)
    parser.add_count("--rows", 100_000, "how many rows")
    parser.add_argument("--json", action="store_true", help="print one object, for programs")
    parser.add_argument("--connection", help=argparse.SUPPRESS)
    parser.add_argument("--now", type=datetime.fromisoformat, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.connection:
        return await retain(options.connection, options.now)
    figures = await measure(options.rows)
    if options.json:
        sys.stdout.write(f"{json.dumps(figures)}\n")
    else:
        Console(highlight=False).print(
            f"{figures['rows']} rows: {figures['deleted']} of {figures['due']} due gone, "
            f"{figures['lost']} of the others gone, {figures['killed']} runs killed, "
            f"{figures['rows_per_s']:.0f} rows/s"
        )
    return int(bool(figures["missed"]))


if __name__ == "__main__":
    run_command(main)
