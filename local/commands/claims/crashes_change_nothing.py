"""Crashes change nothing: many histories in virtual time, each decided by its seed."""

import asyncio
import re
import sys

from local.commands.claims.claim import Claim, Ground, Verdict
from local.commands.frame import ROOT

_LAST_LINE = re.compile(r"(\d+) seeds in \d+ s, (\d+) ended badly")


async def check(ground: Ground) -> Verdict:
    """Play histories of ingestion: stopped workers, lost locks, late writes, outages."""
    seeds = 1_000 if ground.short else 20_000
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.simulation", "--seeds", str(seeds)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    told = _LAST_LINE.search(output.decode())
    played, bad = map(int, told.groups()) if told else (0, 0)
    return Verdict(
        how=f"{seeds} histories in virtual time, one for each seed",
        figure=f"{played} played, {bad} ended badly",
        passed=process.returncode == 0 and played == seeds and bad == 0,
    )


CLAIM = Claim(
    "crashes_change_nothing",
    "Stopped between any two writes, with lost locks, frozen workers, lost answers and writes that "
    "arrive late, the store ends as the events say.",
    check,
)
