"""`python dev.py bench reconcile`: a first walk and one with nothing new, beside the bare work.

For each number of sessions: an Azurite, the simulated eMabler with that many finished sessions, and
a walk over all of them into an empty store, beside writing the rows that it left in full
transactions (of the sizes that have floors). Then walks with nothing new, in turn with downloading
the same pages and reading the same ranges bare. Each is a process of its own. Floors fail, goals
are told.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.command_line import Options, count
from benchmarks.reconcile.load import write_books
from benchmarks.reconcile.measured import Measured
from local.azurite import Azurite
from local.commands.frame import run_command
from local.emabler.process import EmablerServer
from shared.settings import read_settings
from shared.storage.connect import connect_tables
from shared.storage.stamp import create_store

CHECKOUT: Final = Path(__file__).resolve().parents[2]
BUCKETS: Final = 4
SIZES: Final = (2_000, 20_000, 200_000)
HELD_TO_FLOORS: Final = (2_000, 20_000)
NOTHING_NEW_FLOOR, NOTHING_NEW_GOAL = 1.6, 1.3
FIRST_TIME_FLOOR, FIRST_TIME_GOAL = 0.5, 0.7
MOST_MEMORY = 1.15
"""Of the memory at 20,000 sessions, at 200,000."""

_KEY: Final = "benchmark-rest-key-of-forty-characters.."
_TAG_HASH_KEY: Final = "benchmark-tag-hash-key-of-40-characters."


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured at one size."""

    sessions: int
    first: Measured
    write: Measured | None
    again: Sequence[Measured]
    read: Sequence[Measured]

    @property
    def first_time(self) -> float:
        """Rate of the first walk over the rate of bare writing, where that was measured."""
        return self.write.seconds / self.first.seconds if self.write else 0.0

    @property
    def nothing_new(self) -> float:
        """Time of a walk with nothing new over that of the bare reads."""
        pairs = zip(self.again, self.read, strict=True)
        return statistics.median(ours.seconds / bare.seconds for ours, bare in pairs)


async def measure(sessions: int, rounds: int, console: Console) -> Figures:
    """Measure one size."""
    async with AsyncExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-reconcile-")))
        books = work / "books.json"
        write_books(books, sessions)
        # On disk Azurite would write all rows anew every five seconds, and do little else.
        azurite, fresh = [
            await stack.enter_async_context(await Azurite.start(work / name, in_memory=True))
            for name in ("azurite", "fresh")
        ]
        emabler = await stack.enter_async_context(
            await EmablerServer.start(api_key=_KEY, log=work / "emabler.log", books=books)
        )
        tables = connect_tables(read_settings({"DataStorageConnection": azurite.connection_string}))
        await create_store(tables, environment="test", buckets=BUCKETS)
        await tables.close()
        environment = {
            "DataStorageConnection": azurite.connection_string,
            "BENCH_FRESH_STORE": fresh.connection_string,
            "BENCH_SESSIONS": str(sessions),
            "STORE_BUCKETS": str(BUCKETS),
            "TAG_HASH_KEY": _TAG_HASH_KEY,
            "EMABLER_ENVIRONMENT": "test",
            "EMABLER_BASE_URL": emabler.base_url,
            "EMABLER_API_KEY": _KEY,
            "EMABLER_REQUESTS_PER_SECOND": "1000",
            "RECONCILE_SCHEDULE": "0 0 0 1 1 *",
        }

        async def run(what: str) -> Measured:
            done = await in_a_process(what, environment)
            said = f"{sessions:,} sessions, {what}: {done.seconds:.2f} s, {done.memory:.0f} MiB"
            console.print(said, highlight=False)
            return done

        first = await run("walk")
        again, read = [], []
        for _ in range(rounds):
            again.append(await run("walk"))
            read.append(await run("read"))
        write = await run("write") if sessions in HELD_TO_FLOORS else None
        return Figures(sessions, first, write, again, read)


async def in_a_process(what: str, environment: dict[str, str]) -> Measured:
    """Measure in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.reconcile.measured", what),
        env={**os.environ, **environment},
        cwd=CHECKOUT,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    if process.returncode:
        message = f"{what} ended with {process.returncode}"
        raise SystemExit(message)
    return Measured(**json.loads(said))


def verdicts(all_figures: Sequence[Figures]) -> dict[str, bool]:
    """Each line that is held to a floor, and whether it holds."""
    lines: dict[str, bool] = {}
    by_size = {figures.sessions: figures for figures in all_figures}
    for figures in all_figures:
        if figures.sessions not in HELD_TO_FLOORS:
            continue
        new, first = figures.nothing_new, figures.first_time
        lines[
            f"{figures.sessions:,}: nothing new {new:.2f} times the bare reads (at most "
            f"{NOTHING_NEW_FLOOR}; goal {NOTHING_NEW_GOAL}"
            f"{'' if new <= NOTHING_NEW_GOAL else ' not'} reached)"
        ] = new <= NOTHING_NEW_FLOOR
        lines[
            f"{figures.sessions:,}: first time {first:.2f} of the rate of bare writes (at least "
            f"{FIRST_TIME_FLOOR}; goal {FIRST_TIME_GOAL}"
            f"{'' if first >= FIRST_TIME_GOAL else ' not'} reached)"
        ] = first >= FIRST_TIME_FLOOR
    if {20_000, 200_000} <= by_size.keys():
        few, many = by_size[20_000], by_size[200_000]
        for what, ratio in (
            ("first time", many.first.memory / few.first.memory),
            ("nothing new", many.again[0].memory / few.again[0].memory),
        ):
            line = f"memory at 200,000, {what}: {ratio:.2f} of that at 20,000 (at most 1.15)"
            lines[line] = ratio <= MOST_MEMORY
    return lines


def table_of(all_figures: Sequence[Figures]) -> Table:
    """All figures, for the documentation."""
    table = Table(
        *("sessions", "what", "sessions/s", "REST", "store", "windows", "CPU ms/session", "MiB")
    )
    for figures in all_figures:
        named = [("first", figures.first)]
        named += [("write", figures.write)] if figures.write else []
        named += [("nothing new", figures.again[-1]), ("read", figures.read[-1])]
        for what, done in named:
            table.add_row(
                f"{figures.sessions:,}",
                what,
                f"{figures.sessions / done.seconds:,.0f}",
                f"{done.rest_requests:,}",
                f"{done.store_requests:,}",
                f"{done.windows:,}",
                f"{done.cpu / figures.sessions * 1000:.2f}",
                f"{done.memory:.0f}",
            )
    return table


async def run(sizes: Sequence[int], rounds: int) -> int:
    """Measure each size; exit code 1 where a floor is missed."""
    console = Console()
    all_figures = [await measure(size, rounds, console) for size in sizes]
    console.print(table_of(all_figures))
    lines = verdicts(all_figures)
    for line, held in lines.items():
        console.print(f"{line}: {'passed' if held else 'MISSED'}", highlight=False)
    return 0 if all(lines.values()) else 1


async def main() -> int:
    """Run what the command line asks for."""
    parser = Options("reconcile", __doc__)
    parser.add_argument(
        "--sessions",
        type=count,
        nargs="+",
        metavar="N",
        default=HELD_TO_FLOORS,
        help="how many; several sizes, 200000 for the check of memory",
    )
    parser.add_count("--rounds", 3, "walks with nothing new")
    options = parser.parse_args()
    return await run(options.sessions, options.rounds)


if __name__ == "__main__":
    run_command(main)
