"""The store is proven: histories of reconciliation in virtual time, held at each single write."""

from local.commands.claims.claim import Claim, Ground, Verdict
from local.commands.claims.histories import play


async def check(ground: Ground) -> Verdict:
    """Play histories of runs that die, sleep past their lease and meet, while the books move."""
    return await play("reconciliation", 1_000 if ground.short else 10_000)


CLAIM = Claim(
    "store_is_proven",
    "No stretch counts as proven in which the store lacks what eMabler listed at the proof's "
    "instant, whatever died, slept or came late; an older answer about an item that the store has "
    "never wins; two runs never mix.",
    check,
)
