"""Crashes change nothing: many histories in virtual time, each decided by its seed."""

from local.commands.claims.claim import Claim, Ground, Verdict
from local.commands.claims.histories import play


async def check(ground: Ground) -> Verdict:
    """Play histories of ingestion: stopped workers, lost locks, late writes, outages."""
    return await play("ingestion", 1_000 if ground.short else 20_000)


CLAIM = Claim(
    "crashes_change_nothing",
    "Stopped between any two writes, with lost locks, frozen workers, lost answers and writes that "
    "arrive late, the store ends as the events say.",
    check,
)
