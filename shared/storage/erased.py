"""Rows that an erasure has rewritten: the column that tells them, and marks on their partitions.

A repeat leaves the row that is there as it is (docs/decisions/0003). Workers of a release that
wrote it over may be at work while another is deployed: they look for the mark first.
"""

from __future__ import annotations

from shared.storage.rows import SCHEMA, Row, Tables, Upsert
from shared.storage.tables import STORE

ERASED = "erased"
"""The partition of the table `store` that holds the marks, and the column of an erased row."""


async def mark_erased(tables: Tables, partition: str) -> None:
    """Mark a partition of the journal, before its rows are rewritten."""
    await tables.write(STORE, [Upsert(Row(ERASED, partition, {"schema": SCHEMA}))])
