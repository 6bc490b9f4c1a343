"""Old rows go: many rows, a run that is killed in its middle, and goes on."""

from local.commands.claims.benches import figures_of
from local.commands.claims.claim import Claim, Ground, Verdict

ROWS, ROWS_SHORT = 100_000, 4_000


async def check(ground: Ground) -> Verdict:
    """Fill the journal with days of all kinds, kill runs of retention, and count what is left."""
    rows = ROWS_SHORT if ground.short else ROWS
    figures = await figures_of("retention", "--rows", str(rows))
    return Verdict(
        how=f"{figures['rows']} rows on ten days, of 1970 and of 2099; {figures['killed']} runs "
        "killed (SIGKILL) in their middle, then one to its end",
        figure=f"{figures['deleted']} of {figures['due']} due gone, {figures['lost']} of the rest "
        f"gone, {figures['rows_per_s']:.0f} rows/s",
        passed=not figures["missed"],
    )


CLAIM = Claim(
    "old_rows_go",
    "What is beyond its configured age is deleted, nothing else, whatever clocks of devices say; a "
    "run that is stopped goes on.",
    check,
)
