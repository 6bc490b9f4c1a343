"""A tap answered: the tag's row read, the rules asked."""

from __future__ import annotations

import asyncio
from typing import Any

from shared.authorization.rules import decide
from shared.authorization.taps import Cause, Decision, read_tap
from shared.errors import StoreUnavailableError
from shared.identifiers import hash_tag
from shared.instants import Clock
from shared.storage.rows import Tables
from shared.storage.tables import TAGS
from shared.tags.records import TAG_ROWS, tag_from_row


class Authorization:
    """Answers taps from the tags table."""

    def __init__(
        self, tables: Tables, *, tag_hash_key: bytes, clock: Clock, budget: float = 1.5
    ) -> None:
        self._tables = tables
        self._budget = budget
        self._tag_hash_key = tag_hash_key
        self._clock = clock

    async def authorize(self, fields: dict[str, Any]) -> Decision:
        """Decide the tap that these fields are.

        Raises:
            StoreUnavailableError: The tag cannot be read within the budget (seconds); eMabler's
                own fallback has to answer.
        """
        tap = read_tap(fields)
        if tap is None:
            return Decision(allowed=False, cause=Cause.INVALID_TAP)
        hashed = hash_tag(tap.tag, self._tag_hash_key)
        try:
            # The SDK's own time-outs and retries add up to minutes; a driver waits seconds.
            async with asyncio.timeout(self._budget):
                row = await self._tables.get(TAGS, hashed, f"{TAG_ROWS}{hashed[:8]}")
        except TimeoutError as error:
            raise StoreUnavailableError(
                "the tag was not read within the budget", code="budget_used_up"
            ) from error
        return decide(tag_from_row(row) if row else None, self._clock())
