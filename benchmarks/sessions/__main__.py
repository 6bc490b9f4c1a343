"""`python dev.py bench sessions`: the first row's time and memory's slope over many sessions.

The commands run as an operator runs them, each in a process of its own, on an Azurite that holds
the sessions. Floors fail: the first row within two seconds more than the same command takes to
print none, less than 1 MB more for each 10,000 sessions; the first row as soon where only the last
tenth is asked for, by time.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.command_line import Options
from local.azurite import Azurite
from local.commands.frame import run_command
from shared.identifiers import bucket_of
from shared.instants import format_instant
from shared.sessions.claims import Claim, Source, claim_row
from shared.sessions.indexes import index_rows
from shared.sessions.summary import fold, summary_row
from shared.settings import read_settings
from shared.storage.connect import connect_tables
from shared.storage.rows import Insert, Row
from shared.storage.stamp import create_store
from shared.storage.tables import SESSIONS
from shared.storage.together import write_all

CHECKOUT = Path(__file__).resolve().parents[2]
BUCKETS = 4
FIRST_ROW_SECONDS = 2.0
MEGABYTES_FOR_10_000 = 1.0
COMMANDS = (
    ("sessions", "list"),
    ("sessions", "export", "--format", "csv"),
    ("sessions", "export", "--format", "jsonl"),
    ("sessions", "export", "--format", "parquet"),
)
_START = datetime(2026, 1, 1, tzinfo=UTC)
_AT_ONCE = 400


@dataclass(frozen=True, slots=True)
class Run:
    """One command: seconds to its first byte and to its end, and its largest memory, MiB."""

    first: float
    whole: float
    memory: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One command over all sessions, over none, and what memory 10,000 more took, MiB."""

    command: str
    every: Run
    none: Run
    slope: float | None

    @property
    def first(self) -> float:
        """Seconds to the first row, beyond what the command takes to print none."""
        return self.every.first - self.none.whole

    @property
    def in_groups(self) -> bool:
        """Whether the first row comes with a whole row group, of 10,000 rows."""
        return "parquet" in self.command

    @property
    def missed(self) -> bool:
        """Whether a floor is missed."""
        late = self.first > FIRST_ROW_SECONDS and not self.in_groups
        return late or (self.slope is not None and self.slope > MEGABYTES_FOR_10_000)

    def told(self) -> dict[str, object]:
        """The figures, for a program."""
        return {
            "command": self.command,
            "first_row_s": self.first,
            "in_groups": self.in_groups,
            "memory_mib": self.every.memory,
            "mib_for_10000": self.slope,
        }


def session_rows(number: int) -> Iterator[Row]:
    """The claims of one session, its summary and the row by its end, as ingestion writes them."""
    charger, start = f"CH-{number % 50_000:05}", _START + timedelta(minutes=number)
    told = {"charger": charger, "transaction": str(number), "tag": f"TAG{number}", "socket": 1}
    digest = f"{number:032x}"
    claims = [
        Claim(source=Source.START, name=digest, digest=digest, start=start, **told),  # type: ignore[arg-type] # the claim's own fields
        Claim(
            source=Source.STOP,
            name=digest[::-1],
            digest=digest[::-1],
            start=start,
            end=start + timedelta(hours=1),
            energy_wh=float(number),
            **told,  # type: ignore[arg-type] # as above
        ),
    ]
    bucket, session, summary = bucket_of(charger, BUCKETS), claims[0].session, fold(claims)
    yield from (claim_row(claim, bucket) for claim in claims)
    yield summary_row(summary, bucket, session)
    yield from index_rows(bucket, session, claims, summary)


async def fill(connection: str, count: int) -> None:
    """A store with so many sessions."""
    tables = connect_tables(read_settings({"DataStorageConnection": connection}))
    await create_store(tables, environment="test", buckets=BUCKETS)
    steps = range(0, count, _AT_ONCE)
    for first in track(steps, "sessions", console=Console(stderr=True), transient=True):
        rows = [row for n in range(first, first + _AT_ONCE) for row in session_rows(n)]
        await write_all(tables, SESSIONS, [Insert(row) for row in rows])
    await tables.close()


def run(connection: str, *arguments: str) -> Run:
    """Run a command of manage.py, its rows read as they come."""
    settings = {"DataStorageConnection": connection, "EMABLER_ENVIRONMENT": "test"}
    began = time.perf_counter()
    with subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, str(CHECKOUT / "manage.py"), *arguments],
        stdout=subprocess.PIPE,
        env={**os.environ, **settings},
        cwd=tempfile.gettempdir(),
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        process.stdout.readline()
        # After the line of names comes the first row.
        process.stdout.readline()
        first = time.perf_counter() - began
        memory = 0.0
        while process.stdout.read(65_536):
            memory = max(memory, largest_memory(process.pid))
    if process.returncode:
        message = f"manage.py {' '.join(arguments)} ended with {process.returncode}"
        raise SystemExit(message)
    return Run(first, time.perf_counter() - began, memory)


def largest_memory(process: int) -> float:
    """The most memory that a process has had so far, MiB; 0 where Linux does not tell it."""
    # What the system adds up for a child that ended counts the parent's memory of its beginning.
    status = Path(f"/proc/{process}/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else 0.0


async def main() -> int:
    """Fill, run, print; 1 where a floor is missed."""
    parser = Options("sessions", __doc__)
    parser.add_count("--sessions", 100_000, "how many sessions")
    parser.add_argument("--json", action="store_true", help="print one object, for programs")
    parser.add_argument(
        "--first-rows-only", action="store_true", help="do not measure how memory grows"
    )
    options = parser.parse_args()
    few = options.sessions // 2
    found: list[Measured] = []
    with tempfile.TemporaryDirectory() as folder:
        async with await Azurite.start(Path(folder), in_memory=True) as azurite:
            await fill(azurite.connection_string, options.sessions)
            for words in COMMANDS:
                some = None
                if not options.first_rows_only:
                    some = run(azurite.connection_string, *words, "--limit", str(few))
                every = run(azurite.connection_string, *words)
                none = run(azurite.connection_string, *words, "--limit", "0")
                slope = None
                if some is not None:
                    slope = (every.memory - some.memory) / (options.sessions - few) * 10_000
                found.append(Measured(" ".join(words), every, none, slope))
            late = format_instant(_START + timedelta(minutes=options.sessions * 9 // 10))
            words = (*COMMANDS[0], "--from", late)
            every = run(azurite.connection_string, *words)
            none = run(azurite.connection_string, *words, "--limit", "0")
            found.append(Measured(" ".join(words), every, none, None))
    missed = any(each.missed for each in found)
    if options.json:
        told = {"missed": missed, "commands": [each.told() for each in found]}
        sys.stdout.write(f"{json.dumps(told)}\n")
    else:
        table = Table("command", "first row, s", "none, s", "all, s", "memory, MiB", "MiB/10,000")
        for each in found:
            figures = (each.first, each.none.whole, each.every.whole, each.every.memory)
            slope = "" if each.slope is None else f"{each.slope:.2f}"
            table.add_row(each.command, *(f"{figure:.2f}" for figure in figures), slope)
        Console().print(table)
    return int(missed)


if __name__ == "__main__":
    run_command(main)
