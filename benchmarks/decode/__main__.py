"""`python dev.py bench decode`: messages decoded and digested a second, beside pydantic.

Each event is read from its bytes, normalised and digested, as ingestion does it, by `shared.push`
and by a pydantic v2 model (benchmarks/decode/pydantic_model.py), in one process and in turn. Both
must find the same digests before anything is measured. CPU time counts, since machines are shared.
The load is that of the ingestion benchmark (70 % meter values, 20 % states, 5 % starts, 5 % stops)
in the current generation of the Push API, and in the two older ones. The median of the ratios
counts: below the floor the benchmark fails, a goal is told.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.command_line import Options
from benchmarks.decode import load, pydantic_model
from local.commands.frame import run_command
from shared.push.decode import decode
from shared.push.digest import digest_of

FLOOR, GOAL = 0.4, 1.0
LOADS = {"current": load.current, "older": load.older}

type Digest = Callable[[bytes], str]


@dataclass(frozen=True, slots=True)
class Round:
    """Events per second of CPU time, of both."""

    ours: float
    pydantic: float

    @property
    def ratio(self) -> float:
        """How much faster ours is."""
        return self.ours / self.pydantic


def ours(body: bytes) -> str:
    """The digest of a message, as ingestion finds it."""
    return digest_of(decode(body))


def pydantic(body: bytes) -> str:
    """The digest of a message, as a pydantic model finds it."""
    return pydantic_model.digest_of(pydantic_model.decode(body))


def differing(bodies: Sequence[bytes]) -> list[bytes]:
    """The messages that the two read differently."""
    return [body for body in bodies if ours(body) != pydantic(body)]


def measure(digest: Digest, bodies: Sequence[bytes]) -> float:
    """Events per second of this process's CPU time."""
    gc.collect()
    began = time.process_time()
    for body in bodies:
        digest(body)
    return len(bodies) / (time.process_time() - began)


def measure_round(number: int, bodies: Sequence[bytes]) -> Round:
    """Measure both, each the first in every other round."""
    if number % 2:
        theirs = measure(pydantic, bodies)
        return Round(measure(ours, bodies), theirs)
    return Round(measure(ours, bodies), measure(pydantic, bodies))


def run(rounds: int, batches: int) -> int:
    """Measure both on each load, several times; exit code 1 where a floor is missed."""
    console = Console(highlight=False)
    table = Table("generation", "ours, events/s", "pydantic, events/s", "ratio")
    verdicts: list[str] = []
    missed = False
    for name, make in LOADS.items():
        bodies = make(batches)
        if unlike := differing(bodies):
            console.print(f"{name}: {len(unlike)} of {len(bodies)} digests differ, first of all")
            console.print(unlike[0].decode(), markup=False)
            return 1
        done: list[Round] = []
        for number in range(rounds):
            done.append(measure_round(number, bodies))
            console.print(
                f"{name}, round {number + 1} of {rounds}: {done[-1].ours:,.0f} events/s, "
                f"{done[-1].ratio:.2f} times pydantic"
            )
        ratio = statistics.median(each.ratio for each in done)
        table.add_row(
            name,
            f"{statistics.median(each.ours for each in done):,.0f}",
            f"{statistics.median(each.pydantic for each in done):,.0f}",
            f"{ratio:.2f}",
        )
        missed |= ratio < FLOOR
        verdicts.append(
            f"{name}: ours / pydantic {ratio:.2f}  "
            f"floor {FLOOR} {'MISSED' if ratio < FLOOR else 'passed'}, "
            f"goal {GOAL} {'reached' if ratio >= GOAL else 'not reached'}"
        )
    console.print(table)
    for verdict in verdicts:
        console.print(verdict)
    return 1 if missed else 0


async def main() -> int:
    """Run what the command line asks for."""
    parser = Options("decode", __doc__)
    parser.add_count("--rounds", 9, "how often each is measured")
    parser.add_count("--batches", 40, "batches of 100 events")
    options = parser.parse_args()
    return run(options.rounds, options.batches)


if __name__ == "__main__":
    run_command(main)
