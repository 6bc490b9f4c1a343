"""`python dev.py prove [NAME…] [--short] [--list]`: check the promises, one row for each claim."""

import random
import shutil
import sys
import time
from collections.abc import Sequence

import httpx
from azure.core.exceptions import AzureError
from rich.console import Console
from rich.table import Column, Table

from local.commands.claims import CLAIMS
from local.commands.claims.claim import Claim, Ground, Verdict
from local.commands.frame import DONE, FAILED, STATE, Arguments, run_command
from local.commands.playing.operator import Operator, forget_app_settings
from local.commands.playing.sender import Sender
from local.errors import LocalError
from local.stack import LocalAzure
from local.words import counted

LOGS = STATE / "logs" / "prove"
DEFAULT_SEED = 1


async def prove() -> int:
    """Check the claims asked for; 0 only if all hold."""
    parser = Arguments("prove")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    arguments = parser.parse_args(sys.argv[1:])
    console = Console(highlight=False)
    claims = chosen(arguments.names)
    if arguments.list:
        for claim in claims:
            console.print(f"[bold]{claim.name}[/]\n  {claim.sentence}")
        return DONE
    forget_app_settings()
    shutil.rmtree(LOGS, ignore_errors=True)
    table = Table(
        Column("claim", no_wrap=True), "how it was checked", "figure", "", show_lines=True
    )
    held = 0
    for claim in claims:
        began = time.monotonic()
        console.print(f"  {claim.name} … ", end="")
        chance = random.Random(arguments.seed)  # noqa: S311 - a seed that repeats is what is wanted
        verdict = await judge(claim, short=arguments.short, chance=chance)
        mark = "[green]passed[/]" if verdict.passed else "[bold red]failed[/]"
        console.print(f"{mark}, {time.monotonic() - began:.0f} s")
        if verdict.shown is not None:
            console.print(verdict.shown)
        table.add_row(claim.name, verdict.how, verdict.figure, mark)
        held += verdict.passed
    console.print(table)
    console.print(f"{held} of {counted(len(claims), 'claim')} held    logs: {LOGS}")
    return DONE if held == len(claims) else FAILED


def chosen(names: Sequence[str]) -> list[Claim]:
    """Give the claims of these names, in the order of the registry; all when none is named.

    Raises:
        LocalError: `usage_wrong`, a name is none.
    """
    known = {claim.name: claim for claim in CLAIMS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise LocalError(
            "usage_wrong",
            f"there is no claim named {', '.join(unknown)}",
            f"choose from {', '.join(known)}",
        )
    return [claim for claim in CLAIMS if not names or claim.name in names]


async def judge(claim: Claim, *, short: bool, chance: random.Random) -> Verdict:
    """Check one claim on a stack of its own. A check that cannot finish has failed."""
    try:
        async with LocalAzure(
            logs=LOGS / claim.name,
            parts=claim.parts,
            before_host=lambda azure: Operator(azure.settings, azure.data or STATE).create_store(),
        ) as azure:
            operator = Operator(azure.settings, azure.data or STATE)
            async with Sender(azure) as sender:
                return await claim.check(Ground(azure, operator, sender, short, chance))
    except (LocalError, AzureError, httpx.HTTPError, OSError) as error:
        return Verdict(how="the check could not be carried out", figure=str(error), passed=False)


if __name__ == "__main__":
    run_command(prove)
