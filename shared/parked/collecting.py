"""The queue's dead letters into the parked messages: written down before they are taken out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from shared.instants import Clock
from shared.messaging.dead_letters import DeadLetter, DeadLetters
from shared.parked.records import DEAD_LETTERED, Parking, parked_row_of
from shared.parked.replaying import first_enqueued
from shared.parked.writing import park
from shared.storage.blobs import Blobs
from shared.storage.large_bodies import put_large_bodies, settle_large_bodies
from shared.storage.rows import Tables
from shared.storage.tables import PARKED

_AT_ONCE = 50

type DeclaredType = Callable[[Mapping[str, object]], str | None]
"""Tells the type that a message's properties declare, if any."""


async def collect(
    tables: Tables,
    blobs: Blobs,
    letters: DeadLetters,
    *,
    clock: Clock,
    declared_type: DeclaredType,
    most: int | None = None,
    told: Callable[[int], None] = lambda _more: None,
) -> Counter[str]:
    """Move dead letters, until there are none or `most` are done; how many by reason.

    Stopped between the two steps, a letter is written down and still in the queue: the next run
    meets its row, which stays as it is, and takes it out.

    Raises:
        StoreUnavailableError: What is not written down is still in the queue.
        QueueUnavailableError: As above.
    """
    done: Counter[str] = Counter()
    while most is None or done.total() < most:
        left = _AT_ONCE if most is None else min(_AT_ONCE, most - done.total())
        batch = await letters.receive(left)
        if not batch:
            break
        rows = [parked_row_of(_parking(each, declared_type), clock()) for each in batch]
        bodies = [letter.body for letter in batch]
        large = await put_large_bodies(blobs, zip(bodies, rows, strict=True))
        await park(tables, rows)
        await settle_large_bodies(tables, blobs, PARKED, large)
        for letter in batch:
            await letters.complete(letter)
            done[letter.reason or ""] += 1
            told(1)
    return done


async def count(letters: DeadLetters, most: int | None = None) -> Counter[str]:
    """Look at the dead letters without touching them; how many by reason."""
    found: Counter[str] = Counter()
    after = 0
    while most is None or found.total() < most:
        left = _AT_ONCE if most is None else min(_AT_ONCE, most - found.total())
        batch, after = await letters.peek(left, after)
        if not batch:
            break
        found.update(letter.reason or "" for letter in batch)
    return found


def _parking(letter: DeadLetter, declared_type: DeclaredType) -> Parking:
    told = [part for part in (letter.reason, letter.description) if part]
    return Parking(
        body=letter.body,
        reason=DEAD_LETTERED,
        detail=": ".join(told) or "the queue tells no reason",
        delivery_count=letter.delivery_count,
        message_id=letter.message_id,
        enqueued=first_enqueued(letter.properties) or letter.enqueued,
        declared_type=declared_type(letter.properties),
        properties=letter.properties,
    )
