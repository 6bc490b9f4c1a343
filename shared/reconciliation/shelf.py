"""The windows around those that a run is proving: read in stretches, as the run goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from shared.instants import format_instant
from shared.reconciliation.windows import (
    LONGEST,
    Change,
    Window,
    change,
    window_from_row,
)
from shared.storage.ledger_keys import PARTITION, WIDE_ROWS, WINDOW_ROWS
from shared.storage.rows import Tables
from shared.storage.tables import RECONCILIATION
from shared.storage.together import all_done

_AHEAD = timedelta(days=1)
_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)

type _Stretch = tuple[datetime, datetime]


async def read_windows(tables: Tables, start: datetime, end: datetime) -> AsyncIterator[Window]:
    """The windows that touch `[start, end)`: those that are wide, then the others by their start.

    Raises:
        StoreUnavailableError: They cannot be read now.
    """
    for first, last in ((WIDE_ROWS, f"{WIDE_ROWS}~"), _keys(start, end)):
        async for row in tables.range(RECONCILIATION, PARTITION, first, last):
            window = window_from_row(row)
            if window.touches(start, end):
                yield window


def _keys(first: datetime, last: datetime) -> tuple[str, str]:
    """The keys of windows that may touch a stretch: one may reach into it from a day before."""
    begin = first if first <= _FIRST + LONGEST else first - LONGEST
    return f"{WINDOW_ROWS}{format_instant(begin)}", f"{WINDOW_ROWS}{format_instant(last)}~"


class Shelf:
    """What a run knows of the windows that are kept: those near its own, some days of them."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._wide: dict[str, Window] | None = None
        self._near: dict[str, Window] = {}
        self._read: _Stretch | None = None
        self._planned = Change((), ())

    async def change(self, windows: Sequence[Window]) -> Change:
        """What is to be written and deleted for new windows.

        Raises:
            StoreUnavailableError: What is there cannot be read now.
        """
        self._planned = Change((), ())
        if windows:
            await self._load(windows)
            present = [*(self._wide or {}).values(), *self._near.values()]
            self._planned = change(present, windows)
        return self._planned

    def changed(self) -> None:
        """The change that was planned last is written."""
        for window in self._planned.delete:
            self._near.pop(window.key, None)
            (self._wide or {}).pop(window.key, None)
        for window in self._planned.write:
            wide = window.key.startswith(WIDE_ROWS) and self._wide is not None
            (self._wide if wide and self._wide is not None else self._near)[window.key] = window
        self._planned = Change((), ())

    def forget(self) -> None:
        """Read all again when it is needed next: something is not as it was known."""
        self._wide, self._near, self._read = None, {}, None
        self._planned = Change((), ())

    async def _load(self, windows: Sequence[Window]) -> None:
        wanted = _merged((each.first, each.last) for each in windows)
        if self._wide is not None and self._read is not None:
            first, last = self._read
            if first <= wanted[0][0] and wanted[-1][1] <= last:
                return
        final, end = wanted[-1]
        wanted[-1] = (final, end if end >= _LAST - _AHEAD else end + _AHEAD)
        ranges = [_keys(first, last) for first, last in wanted]
        if self._wide is None:
            ranges.append((WIDE_ROWS, f"{WIDE_ROWS}~"))
        read = await all_done(self._rows(first, last) for first, last in ranges)
        if self._wide is None:
            self._wide = read.pop()
        self._near = {key: window for rows in read for key, window in rows.items()}
        self._read = wanted[-1]

    async def _rows(self, start: str, end: str) -> dict[str, Window]:
        rows = self._tables.range(RECONCILIATION, PARTITION, start, end)
        return {row.key: window_from_row(row) async for row in rows}


def _merged(stretches: Iterable[_Stretch]) -> list[_Stretch]:
    merged: list[_Stretch] = []
    for first, last in sorted(stretches):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged
