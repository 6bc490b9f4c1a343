"""Claims whose figure a benchmark measures: run in a process of its own, its last line read."""

import asyncio
import json
import sys
from typing import Any

from local.commands.frame import ROOT
from local.errors import LocalError


async def figures_of(name: str, *words: str) -> dict[str, Any]:
    """Run a benchmark with `--json`; give the object that it prints last.

    Raises:
        LocalError: `command_failed`, it did not come to an end.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"benchmarks.{name}", "--json", *words),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = output.decode().strip().splitlines()
    try:
        figures: dict[str, Any] = json.loads(lines[-1])
    except (ValueError, IndexError) as error:
        raise LocalError(
            "command_failed",
            f"the benchmark {name} ended with exit code {process.returncode} and no figures: "
            f"{said.decode('utf-8', 'replace').strip()[-500:]}",
            f"run `python dev.py bench {name}`",
        ) from error
    return figures
