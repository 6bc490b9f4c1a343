"""Connections opened before the first tap needs them."""

from __future__ import annotations

import asyncio

from shared.errors import EmablerFunctionsError
from shared.storage.rows import Tables
from shared.storage.tables import CHARGERS, TAGS
from shared.telemetry import LOGGER

CONNECTIONS = 4
_KEY = "warming"


async def warm(tables: Tables) -> None:
    """Ask for rows that nobody has: sign-in, name look-up and handshakes are then done.

    A store that is away is no reason not to start: the first tap finds out by itself.
    """
    reads = [tables.get(table, _KEY, _KEY) for table in (TAGS, CHARGERS) * (CONNECTIONS // 2)]
    failed = [
        result
        for result in await asyncio.gather(*reads, return_exceptions=True)
        if isinstance(result, Exception)
    ]
    for error in failed[:1]:
        code = error.code if isinstance(error, EmablerFunctionsError) else type(error).__name__
        LOGGER.warning("not_warmed: %s", code)
