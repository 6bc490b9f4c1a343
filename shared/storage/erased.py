"""Which partitions of the journal hold rows that an erasure has rewritten.

A repeat of an event writes its row over (docs/decisions/0003), and with it the body as it comes.
The mark tells ingestion to look first; where there is none, which is nearly always, a group that
meets existing rows costs one read more and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable

from shared.storage.bodies import LargeBody, large_body
from shared.storage.rows import SCHEMA, Row, Tables, Upsert
from shared.storage.tables import STORE
from shared.storage.together import all_done

ERASED = "erased"
"""The partition of the table `store` that holds the marks, and the column of an erased row."""


async def mark_erased(tables: Tables, partition: str) -> None:
    """Mark a partition of the journal, before its rows are rewritten."""
    await tables.write(STORE, [Upsert(Row(ERASED, partition, {"schema": SCHEMA}))])


async def has_erased(tables: Tables, partition: str) -> bool:
    """Whether a partition of the journal is marked."""
    return await tables.get(STORE, ERASED, partition) is not None


async def is_erased(tables: Tables, table: str, row: Row) -> bool:
    """Whether the row of these keys was rewritten by an erasure."""
    present = await tables.get(table, row.partition, row.key)
    return present is not None and bool(present.columns.get(ERASED))


async def large_bodies(
    tables: Tables, table: str, messages: Iterable[tuple[bytes, Row]]
) -> list[LargeBody]:
    """The bodies of messages that fit no row, but for those of rows that an erasure rewrote.

    Such a row stays as it is, and so does its blob.

    Raises:
        StoreUnavailableError: Nothing is written yet.
    """
    found = [(large, row) for body, row in messages if (large := large_body(body, row.columns))]
    erased = await all_done(is_erased(tables, table, row) for _, row in found)
    return [large for (large, _), gone in zip(found, erased, strict=True) if not gone]
