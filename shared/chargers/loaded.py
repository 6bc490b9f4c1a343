"""Whether eMabler's inventory was ever loaded: one row, `inventory` / `loaded`, in table `store`.

Until it is there, that a charger is not in the table says nothing about the charger.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.instants import format_instant, parse_instant
from shared.storage.rows import SCHEMA, Row, Tables, Upsert, Value
from shared.storage.tables import STORE

_PARTITION, _KEY = "inventory", "loaded"


@dataclass(frozen=True, slots=True)
class InventoryLoaded:
    """The last whole inventory: as of when, and how many chargers it had."""

    as_of: datetime
    chargers: int


async def read_inventory_loaded(tables: Tables) -> InventoryLoaded | None:
    """What the store says of the last whole inventory; None: none was ever loaded.

    Raises:
        StoreUnavailableError: It cannot be read now.
    """
    row = await tables.get(STORE, _PARTITION, _KEY)
    as_of = parse_instant(str(row.columns.get("as_of", ""))) if row else None
    if row is None or as_of is None:
        return None
    return InventoryLoaded(as_of, int(row.columns["chargers"]))


async def note_inventory_loaded(tables: Tables, loaded: InventoryLoaded) -> None:
    """Write down that a whole inventory is in the chargers table.

    Raises:
        StoreUnavailableError: It may be written; the same call makes sure.
    """
    columns: dict[str, Value] = {
        "schema": SCHEMA,
        "as_of": format_instant(loaded.as_of),
        "chargers": loaded.chargers,
    }
    await tables.write(STORE, [Upsert(Row(_PARTITION, _KEY, columns))])
