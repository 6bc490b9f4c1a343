"""Many seeds by command: `python dev.py simulate --seeds 20000`.

Histories of ingestion, or with `--of reconciliation` of reconciliation beside it. Prints the first
that ends badly; `--seed N` plays one again, with its story; `--shrink` looks for the shortest.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from random import Random
from time import perf_counter

from local.commands.frame import WRONG_USE, Arguments
from local.errors import LocalError
from tests.simulation import ingestion, planted, reconciliation, shrinking

INGESTION, RECONCILIATION = "ingestion", "reconciliation"
_CHUNK = 4
_TOLD_EVERY = 1000


def play(seed: int, of: str, bug: str | None) -> str | None:
    """Play one seed; the story where it ended badly."""
    try:
        with planted.bug(bug) as take:
            if of == RECONCILIATION:
                reconciliation.simulate(Random(seed))
            else:
                ingestion.simulate(Random(seed), take=take)
    except AssertionError as error:
        return str(error)
    return None


def _play_chunk(seeds: range, of: str, bug: str | None) -> list[tuple[int, str]]:
    stories = ((seed, play(seed, of, bug)) for seed in seeds)
    return [(seed, story) for seed, story in stories if story is not None]


def _chunks(first: int, count: int) -> Iterator[range]:
    for start in range(first, first + count, _CHUNK):
        yield range(start, min(start + _CHUNK, first + count))


def main() -> int:
    """Play the seeds that the command line asks for; the exit code, 1 where one ends badly."""
    try:
        return _play_asked()
    except LocalError as error:
        print(error, file=sys.stderr)
        return WRONG_USE


def _play_asked() -> int:
    parser = Arguments("simulate")
    parser.add_argument("--seeds", type=int, default=1000, help="how many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="play this one and print its story")
    parser.add_argument(
        "--of", choices=(INGESTION, RECONCILIATION), default=INGESTION, help="of which part"
    )
    bugs = sorted((*planted.BUGS, *planted.RECONCILIATION_BUGS))
    parser.add_argument("--bug", choices=bugs, help="with this planted bug")
    parser.add_argument("--until-found", action="store_true", help="stop at the first bad ending")
    parser.add_argument("--shrink", action="store_true", help="find the shortest bad history")
    options = parser.parse_args()
    if options.bug in planted.RECONCILIATION_BUGS:
        options.of = RECONCILIATION
    if options.shrink:
        if options.of == RECONCILIATION:
            parser.error("--shrink is of ingestion: of reconciliation look at one --seed")
        with planted.bug(options.bug) as take:
            story = shrinking.shortest(take)
        print(story or "no history ended badly")
        return story is not None
    if options.seed is not None:
        story = play(options.seed, options.of, options.bug)
        print(story or "ended well")
        return story is not None
    return _play_many(options)


def _play_many(options: argparse.Namespace) -> int:
    """Play all seeds, side by side; tell the first that ends badly, and how many did."""
    began = perf_counter()
    bad: list[int] = []
    played = 0
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        chunks = list(_chunks(options.first, options.seeds))
        for chunk, found in zip(
            chunks,
            pool.map(_play_chunk, chunks, repeat(options.of), repeat(options.bug)),
            strict=True,
        ):
            played += len(chunk)
            for seed, story in found:
                bad.append(seed)
                if len(bad) == 1:
                    print(f"seed {seed} ended badly:\n{story}", flush=True)
            if sys.stderr.isatty():
                print(f"\r{played} of {options.seeds}", end="", file=sys.stderr, flush=True)
            elif played % _TOLD_EVERY == 0:
                print(f"{played} of {options.seeds}", file=sys.stderr, flush=True)
            if bad and options.until_found:
                pool.shutdown(cancel_futures=True)
                break
    print(f"{played} seeds in {perf_counter() - began:.0f} s, {len(bad)} ended badly: {bad[:20]}")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
