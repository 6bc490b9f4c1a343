"""Histories in virtual time, played by a command of their own."""

import asyncio
import re
import sys

from local.commands.claims.claim import Verdict
from local.commands.frame import ROOT

_LAST_LINE = re.compile(r"(\d+) seeds in \d+ s, (\d+) ended badly")


async def play(of: str, seeds: int) -> Verdict:
    """Play so many histories of a part, and say how many ended badly."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.simulation", "--of", of, "--seeds", str(seeds)),
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
