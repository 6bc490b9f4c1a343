"""Looking through parked messages: by reason, state, time, and as far as they can be read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import datetime

from shared.instants import format_instant
from shared.parked.guess import Guess, guess
from shared.parked.records import ParkedState, state_of
from shared.storage.blobs import Blobs
from shared.storage.bodies import body_or_none
from shared.storage.rows import Row, Tables
from shared.storage.tables import PARKED

_PREFIX = 2
"""The characters of a digest that are its partition."""


@dataclass(frozen=True, slots=True)
class ParkedMessage:
    """A parked message: its row, its bytes where they are still held, and what they look like."""

    row: Row
    body: bytes | None
    guess: Guess


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedFilter:
    """Which messages; None is any. `start` is held, `end` is not; both are of the first parking.

    `type` and `charger` hold for what a message looks like.
    """

    reason: str | None = None
    type: str | None = None
    charger: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    states: Collection[ParkedState] | None = None
    digests: Collection[str] | None = None

    def holds(self, row: Row) -> bool:
        """Whether the row is one of those asked for, as far as it tells by itself."""
        parked_at = str(row.columns["parked_at"])
        return (
            (self.reason is None or row.columns["reason"] == self.reason)
            and (self.start is None or parked_at >= format_instant(self.start))
            and (self.end is None or parked_at < format_instant(self.end))
            and (self.states is None or state_of(row) in self.states)
            and (self.digests is None or any(map(row.key.startswith, self.digests)))
        )

    def holds_guess(self, guessed: Guess) -> bool:
        """Whether a message looks like those asked for."""
        return (self.type is None or guessed.type == self.type) and (
            self.charger is None or guessed.charger == self.charger
        )


async def read_parked(
    tables: Tables, blobs: Blobs, wanted: ParkedFilter
) -> AsyncIterator[ParkedMessage]:
    """The messages that are asked for. The table has no index: it is walked whole, being small."""
    async for row in _rows(tables, wanted):
        if wanted.holds(row):
            message = await parked_message(blobs, row)
            if wanted.holds_guess(message.guess):
                yield message


async def parked_message(blobs: Blobs, row: Row) -> ParkedMessage:
    """The message that a row holds, its bytes fetched where they are in a blob."""
    declared = row.columns.get("declared_type")
    body: bytes | None = None
    if any(name.startswith("body_") for name in row.columns):
        body = await body_or_none(blobs, row.columns)
    guessed = guess(body or b"", None if declared is None else str(declared))
    return ParkedMessage(row, body, guessed)


async def _rows(tables: Tables, wanted: ParkedFilter) -> AsyncIterator[Row]:
    if wanted.digests and all(len(each) >= _PREFIX for each in wanted.digests):
        for digest in sorted(set(wanted.digests)):
            async for row in tables.range(PARKED, digest[:_PREFIX], digest, f"{digest}~"):
                yield row
        return
    async for row in tables.scan(PARKED):
        yield row
