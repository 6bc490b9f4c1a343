"""Reading the chargers table."""

from __future__ import annotations

from collections.abc import AsyncIterator

from shared.chargers.states import WHOLE_CHARGER
from shared.identifiers import bucket_of, key_part
from shared.storage.rows import Row, Tables
from shared.storage.tables import CHARGERS


def read_chargers(tables: Tables, *, charger: str | None, buckets: int) -> AsyncIterator[Row]:
    """The rows of one charger and its sockets, or of all, by charger within each bucket."""
    if charger is None:
        return tables.scan(CHARGERS)
    part = key_part(charger)
    return tables.range(CHARGERS, bucket_of(charger, buckets), f"{part}|", f"{part}|~")


async def read_push_enabled(tables: Tables, charger: str, *, buckets: int) -> bool | None:
    """Whether eMabler's inventory says that push is on for a charger; None: it does not say.

    Raises:
        StoreUnavailableError: It cannot be read now.
    """
    key = f"{key_part(charger)}|{WHOLE_CHARGER}"
    row = await tables.get(CHARGERS, bucket_of(charger, buckets), key)
    value = None if row is None else row.columns.get("inventory_push_enabled")
    return None if value is None else bool(value)
