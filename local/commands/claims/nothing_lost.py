"""Nothing lost: messages while the worker is killed in the middle of its work."""

import os
import signal

from local.commands.claims.claim import Claim, Ground, Verdict
from local.commands.claims.messages import sessions, states, tally
from local.commands.playing.watching import queue_counts, until_drained, worker_pids
from local.processes import until

DRAINED_WITHIN_SECONDS = 240


async def check(ground: Ground) -> Verdict:
    """Send, kill the worker once it has begun, and look for every message in the journal."""
    count = 300 if ground.short else 3000
    bodies = states("LOST", count) + sessions("LOST-S", count // 20)
    ground.chance.shuffle(bodies)
    await ground.sender.to_queue(bodies)

    async def in_the_middle() -> bool:
        counts = await queue_counts(ground.azure)
        # Some are done, some are in the worker's hands, some have not been touched.
        return counts.totals.completed > 0 and counts.locked > 0 and counts.active > 0

    await until(in_the_middle, within=60, what="that ingestion had begun", every=0.005)
    for pid in await worker_pids(ground.azure):
        # SIGKILL where there is one; elsewhere (Windows) os.kill ends a process as abruptly.
        os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    counts = await until_drained(ground.azure, within=DRAINED_WITHIN_SECONDS)
    rows = await ground.operator.rows("events", "list")
    missing, doubled, unasked = tally(bodies, rows)
    again = counts.totals.delivered - len(bodies)
    return Verdict(
        how=f"{len(bodies)} messages by Service Bus, the worker killed (SIGKILL) in the middle",
        figure=f"{len(rows)} in the journal, {missing} lost, {again} delivered again, "
        f"{counts.dead_lettered} dead letters",
        # Without a message that came again, the kill hit nothing and proved nothing.
        passed=(missing, doubled, unasked, counts.dead_lettered) == (0, 0, 0, 0) and again > 0,
    )


CLAIM = Claim(
    "nothing_lost",
    "A message that Service Bus handed over is in the journal, or parked with its reason and its "
    "bytes, or still in the queue.",
    check,
)
