"""Sessions stream: the first row at once, and memory that does not grow with their number."""

from local.commands.claims.benches import figures_of
from local.commands.claims.claim import Claim, Ground, Verdict

SESSIONS, SESSIONS_SHORT = 100_000, 8_000


async def check(ground: Ground) -> Verdict:
    """List and export many sessions in each format; memory at full length only."""
    sessions = SESSIONS_SHORT if ground.short else SESSIONS
    # Of few sessions the slope is what a process happens to take for itself.
    words = ["--first-rows-only"] if ground.short else []
    figures = await figures_of("sessions", "--sessions", str(sessions), *words)
    commands = figures["commands"]
    first = max(each["first_row_s"] for each in commands if not each["in_groups"])
    slopes = [each["mib_for_10000"] for each in commands if each["mib_for_10000"] is not None]
    told = f", at most {max(slopes):.2f} MiB more for each 10,000 (floor 1)" if slopes else ""
    return Verdict(
        how=f"{sessions} sessions listed, and exported as CSV, JSON lines and Parquet",
        figure=f"the first row within {first:.2f} s (floor 2){told}",
        passed=not figures["missed"],
    )


CLAIM = Claim(
    "sessions_stream",
    "Rows are printed as they are read: the first one comes at once, and memory does not grow with "
    "their number.",
    check,
)
