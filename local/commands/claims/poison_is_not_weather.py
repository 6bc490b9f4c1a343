"""Poison is not weather: messages that no retry can help, among good ones."""

from collections import Counter
from hashlib import sha256

from local.commands.claims.claim import Claim, Ground, Verdict
from local.commands.claims.messages import states, tally
from local.commands.playing.watching import until_drained

DRAINED_WITHIN_SECONDS = 120
# Message → the reason in docs/promises.md for which it has to be parked. (A queue of Azure's
# Standard tier takes none that is too large.)
POISON = {
    b"this is no JSON": "not_json",
    b"": "not_json",
    b'{"chargerId": "POISON-1", "socketId": 1, "status": NaN}': "not_json",
    b'{"chargerId": "POISON-2", "hello": "world"}': "unknown_shape",
    b'["chargerId", "POISON-3"]': "unknown_shape",
    b'{"socketId": 1, "status": "Available", "receivedTimestamp": "2026-03-14T06:00:00Z"}': (
        "bad_field"
    ),
    b"[" * 5000 + b"]" * 5000: "unknown_shape",
    b'{"chargerId": "POISON-6", "status": ' + b"[" * 5000 + b"]" * 5000 + b"}": "too_deep",
    b'{"chargerId": "POISON-4", "status": "\\ud800", "socketId": 1}': "not_text",
    b"\xff\xfe\xfa\xfb\xfc": "not_text",
    b'{"chargerId": "POISON-5", "socketId": 1, "status": "Available", '
    b'"receivedTimestamp": "2016-03-14T06:00:00Z"}': "older_than_retention",
}


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
    reasons = Counter((row["digest"], row["reason"]) for row in parked)
    wanted = Counter((sha256(body).hexdigest(), reason) for body, reason in POISON.items())
    return Verdict(
        how=f"{len(good)} good messages and {len(POISON)} of poison, in shared batches",
        figure=f"{len(good) - missing} stored, {len(parked)} parked, {at_first} at their first "
        f"delivery, {len(set(POISON.values()))} reasons, {counts.dead_lettered} dead letters",
        passed=(missing, doubled, unasked, counts.dead_lettered) == (0, 0, 0, 0)
        and reasons == wanted
        and at_first == len(POISON),
    )


CLAIM = Claim(
    "poison_is_not_weather",
    "A message that no retry can help is parked at its first delivery, the rest of its batch goes "
    "through.",
    check,
)
