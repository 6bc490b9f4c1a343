"""A ledger to test with: windows, findings and stores that stop where a test wants them to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.errors import StoreUnavailableError
from shared.reconciliation.findings import Finding, FindingClass
from shared.reconciliation.ledger import Ledger
from shared.reconciliation.windows import Window, window_from_row
from shared.storage.beside import PrefixedTables
from shared.storage.ledger_keys import CLOSED_ROWS, OPEN_ROWS, PARTITION, WIDE_ROWS, WINDOW_ROWS
from shared.storage.rows import Operation, Row, Tables
from shared.storage.tables import RECONCILIATION
from tests.reconciliation.books import NOW, Clock

LASTS = timedelta(minutes=3)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
HASH = "ab" * 32


def at(hours: float) -> datetime:
    """An instant, so many hours after the beginning of the tests' day."""
    return datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=hours)


def window(start: float, end: float, as_of: float = 0.0, **more: Any) -> Window:
    """A window of the tests' day, by hours; proven so many hours after the tests' now."""
    return Window(at(start), at(end), NOW + timedelta(hours=as_of), **more)


def finding(
    number: int = 1,
    cls: FindingClass = FindingClass.ENERGY_DIFFERS,
    *,
    observed: datetime = NOW,
    wh: float = 800.0,
) -> Finding:
    """A finding on a session: the store says 900 Wh, eMabler `wh`."""
    return Finding(
        cls,
        f"CH-{number}|{number}",
        observed,
        f"CH-{number}",
        str(number),
        {"energy_wh": 900.0},
        {"energy_wh": wh},
        observed - HOUR,
    )


async def take(tables: Tables, clock: Clock, run: str = "a", lasts: timedelta = LASTS) -> Ledger:
    """The lease."""
    return await Ledger.take(tables, clock, run=run, holder="a test", lasts=lasts)


async def rows(tables: Tables, prefix: str = "") -> list[Row]:
    """The rows of the ledger, by key."""
    return [r async for r in tables.range(RECONCILIATION, PARTITION, prefix, f"{prefix}~")]


async def windows(tables: Tables) -> list[Window]:
    """All windows that are kept."""
    found = [*await rows(tables, WINDOW_ROWS), *await rows(tables, WIDE_ROWS)]
    return [window_from_row(row) for row in found]


async def content(tables: Tables) -> list[tuple[str, dict[str, Any]]]:
    """All that the ledger holds, to be compared."""
    return [(row.key, dict(row.columns)) for row in await rows(tables)]


async def open_keys(tables: Tables) -> list[str]:
    return [row.key for row in await rows(tables, OPEN_ROWS)]


async def closed(tables: Tables) -> list[Row]:
    return await rows(tables, CLOSED_ROWS)


class StoppedError(Exception):
    """The worker is gone."""


class Stopping(PrefixedTables):
    """A gateway whose worker is gone before or after its nth write."""

    def __init__(self, tables: Tables, *, at_write: int, after: bool) -> None:
        super().__init__(tables, "")
        self.writes = 0
        self._at_write = at_write
        self._after = after

    async def write(self, table: str, operations: Sequence[Operation]) -> list[str | None]:
        """Write, or be gone."""
        self.writes += 1
        if self.writes > self._at_write:
            raise StoppedError
        if self.writes == self._at_write and not self._after:
            raise StoppedError
        etags = await super().write(table, operations)
        if self.writes == self._at_write:
            raise StoppedError
        return etags


class Deaf(PrefixedTables):
    """A gateway that writes, loses the answer once and writes again, as an SDK does."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables, "")
        self.deaf = False

    async def write(self, table: str, operations: Sequence[Operation]) -> list[str | None]:
        """Write, twice where it is deaf."""
        if self.deaf:
            self.deaf = False
            await super().write(table, operations)
        return await super().write(table, operations)


class Losing(PrefixedTables):
    """A gateway that writes once more and then loses the answer for good."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables, "")
        self.lose = False

    async def write(self, table: str, operations: Sequence[Operation]) -> list[str | None]:
        """Write, and be away afterwards where it is to lose the answer."""
        etags = await super().write(table, operations)
        if self.lose:
            self.lose = False
            raise StoreUnavailableError("no answer", code="store_away")
        return etags
