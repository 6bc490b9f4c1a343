"""Reading the chargers table."""

from __future__ import annotations

from collections.abc import AsyncIterator

from shared.identifiers import bucket_of, key_part
from shared.storage.rows import Row, Tables
from shared.storage.tables import CHARGERS


def read_chargers(tables: Tables, *, charger: str | None, buckets: int) -> AsyncIterator[Row]:
    """The rows of one charger and its sockets, or of all, by charger within each bucket."""
    if charger is None:
        return tables.scan(CHARGERS)
    part = key_part(charger)
    return tables.range(CHARGERS, bucket_of(charger, buckets), f"{part}|", f"{part}|~")
