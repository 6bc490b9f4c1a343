"""Poison is not weather: messages that no retry can help, among good ones."""

from collections import Counter

from local.commands.claims.claim import Claim, Ground, Verdict
from local.commands.claims.messages import states, tally
from local.commands.playing.watching import until_drained

DRAINED_WITHIN_SECONDS = 120
# Each is refused for a reason of its own by any reader of the documented messages.
POISON = (
    b"this is no JSON",
    b"",
    b'{"chargerId": "POISON-1", "socketId": 1, "status": NaN}',
    b'{"chargerId": "POISON-2", "hello": "world"}',
    b'{"socketId": 1, "status": "Available", "receivedTimestamp": "2026-03-14T06:00:00Z"}',
    b"[" * 5000 + b"]" * 5000,
    b'["chargerId", "POISON-3"]',
    b'{"chargerId": "POISON-4", "status": "\\ud800", "socketId": 1}',
    b"\xff\xfe\xfa\xfb\xfc",
)


async def check(ground: Ground) -> Verdict:
    """Send poison among good messages; the good are stored, the poison parked, none dead."""
    good = states("WELL", 60 if ground.short else 600)
    mixed = [*good, *POISON]
    ground.chance.shuffle(mixed)
    await ground.sender.to_queue(mixed)
    counts = await until_drained(ground.azure, within=DRAINED_WITHIN_SECONDS)
    missing, doubled, unasked = tally(good, await ground.operator.rows("events", "list"))
    parked = await ground.operator.rows("parked", "list")
    at_first = sum(row["delivery_count"] == 1 for row in parked)
    sizes = Counter(row["bytes"] for row in parked)
    return Verdict(
        how=f"{len(good)} good messages and {len(POISON)} of poison, in shared batches",
        figure=f"{len(good) - missing} stored, {len(parked)} parked, {at_first} at their first "
        f"delivery, {counts.dead_lettered} dead letters",
        passed=(missing, doubled, unasked, counts.dead_lettered) == (0, 0, 0, 0)
        and sizes == Counter(map(len, POISON))
        and at_first == len(POISON)
        and all(row["reason"] for row in parked),
    )


CLAIM = Claim(
    "poison_is_not_weather",
    "A message that no retry can help is parked at its first delivery, the rest of its batch goes "
    "through.",
    check,
)
