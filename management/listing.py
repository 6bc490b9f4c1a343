"""Rows of one kind, printed as they come, up to the limit that was asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from management.context import Context
from management.words import counted


async def print_rows(
    context: Context,
    widths: Mapping[str, int],
    rows: AsyncIterator[Mapping[str, Any]],
    nouns: str,
) -> int:
    """Print rows as a table or as JSON lines and tell how many there were; exit code 0."""
    context.output.columns(widths)
    count = 0
    if context.options.limit != 0:
        async for row in rows:
            context.output.row(row)
            count += 1
            if count == context.options.limit:
                break
    context.output.say(counted(count, nouns))
    return 0
