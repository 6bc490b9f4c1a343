"""Parked rows into the store: once, and once more after a replay or a discard."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from shared.errors import RowChangedError, RowExistsError, RowMissingError, StoreUnavailableError
from shared.parked.records import ParkedState, came_again, parked_again, state_of
from shared.storage.rows import Insert, Replace, Row, Tables
from shared.storage.tables import PARKED
from shared.storage.together import all_done

_MAX_ROUNDS = 20


async def park(tables: Tables, rows: Iterable[Row]) -> None:
    """Park messages. One that is parked already stays as it was first.

    One that was replayed or discarded meanwhile is parked again: with a count, and with its trace.
    So is one that comes more than a day after it was parked last, so that it gets its whole age.

    Raises:
        StoreUnavailableError: Some may be parked; the same call makes it whole.
    """
    await all_done(_park(tables, row) for row in {row.key: row for row in rows}.values())


async def _park(tables: Tables, row: Row) -> None:
    for _ in range(_MAX_ROUNDS):
        try:
            await tables.write(PARKED, [Insert(row)])
        except RowExistsError:
            present = await tables.get(PARKED, row.partition, row.key)
        else:
            return
        if present is None:
            continue
        if state_of(present) is ParkedState.PARKED and not came_again(present, row):
            return
        again = replace(row, columns=parked_again(present, row), etag=present.etag)
        try:
            await tables.write(PARKED, [Replace(again)])
        except (RowChangedError, RowMissingError):
            continue
        else:
            return
    raise StoreUnavailableError("a parked message kept changing", code="store_contended")
