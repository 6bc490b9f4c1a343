"""Nothing doubled: every message three times, in shuffled order."""

from local.commands.claims.claim import Claim, Ground, Verdict
from local.commands.claims.messages import sessions, states, tally
from local.commands.playing.watching import until_drained

TIMES = 3
DRAINED_WITHIN_SECONDS = 240


async def check(ground: Ground) -> Verdict:
    """Send each message three times, and look for each once, in journal and sessions."""
    count = 20 if ground.short else 200
    bodies = states("TWICE", 5 * count) + sessions("TWICE-S", count)
    repeated = bodies * TIMES
    ground.chance.shuffle(repeated)
    sent = await ground.sender.to_queue(repeated)
    counts = await until_drained(ground.azure, within=DRAINED_WITHIN_SECONDS)
    missing, doubled, unasked = tally(bodies, await ground.operator.rows("events", "list"))
    stored = await ground.operator.rows("sessions", "list")
    right = [row for row in stored if row["energy_wh"] == 1000 and row["state"] == "ended"]  # noqa: PLR2004 - the energy of each session that was sent
    return Verdict(
        how=f"{len(bodies)} messages, each {TIMES} times, shuffled: {sent} deliveries",
        figure=f"{doubled} doubled, {missing} missing; {len(right)} of {count} sessions right",
        passed=(missing, doubled, unasked, counts.dead_lettered) == (0, 0, 0, 0)
        and len(right) == len(stored) == count,
    )


CLAIM = Claim(
    "nothing_doubled",
    "However often, in whatever order, batch and process an event arrives, the journal holds it "
    "once, and what is derived from it is the same.",
    check,
)
