"""Messages that fit no row: their blobs, written before the rows, and what is there is kept.

An erasure may rewrite or delete a row and its blob while the same message comes again. So the
content of a blob that is there stays as it is; and where a row turns out not to point at its blob,
the blob goes again, by the worker that wrote it or, where that was cut off, at the next delivery.

Timeline of a repeat (R) beside an erasure (E) of a message that fits its row without the tag:

    R                                        writes the blob ── meets the row: deletes the blob
    E   rewrites the row, deletes its blob
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from shared.errors import BlobChangedError, StoreUnavailableError
from shared.storage.blobs import Blobs
from shared.storage.containers import BODIES
from shared.storage.erased import ERASED
from shared.storage.rows import Row, Tables
from shared.storage.together import all_done

_MAX_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class PutBody:
    """A large body's blob with its ETag, the row that is to point at it, and whether it is new."""

    name: str
    row: Row
    etag: str
    new: bool


async def put_large_bodies(blobs: Blobs, messages: Iterable[tuple[bytes, Row]]) -> list[PutBody]:
    """Write the bodies that fit no row, before the rows are written.

    One that is there gets a new ETag only: whoever deletes what no row points at has read another.

    Raises:
        StoreUnavailableError: Some may be written; the same call makes it whole.
    """
    large = [(body, row) for body, row in messages if "body_blob" in row.columns]
    return await all_done(_put(blobs, body, row) for body, row in large)


async def _put(blobs: Blobs, body: bytes, row: Row) -> PutBody:
    name = str(row.columns["body_blob"])
    for _ in range(_MAX_ROUNDS):
        with suppress(BlobChangedError):
            return PutBody(name, row, await blobs.replace(BODIES, name, body, None), new=True)
        present = await blobs.get(BODIES, name)
        if present is None:
            continue
        with suppress(BlobChangedError):
            etag = await blobs.replace(BODIES, name, present.content, present.etag)
            return PutBody(name, row, etag, new=False)
    raise StoreUnavailableError("a message's blob kept changing", code="store_contended")


async def settle_large_bodies(
    tables: Tables, blobs: Blobs, table: str, bodies: Iterable[PutBody]
) -> None:
    """When the rows are written: delete the blobs that no row points at.

    Raises:
        StoreUnavailableError: Some may be left; the same message again deletes them.
    """
    await all_done(_settle(tables, blobs, table, each) for each in bodies)


async def _settle(tables: Tables, blobs: Blobs, table: str, put: PutBody) -> None:
    row = await tables.get(table, put.row.partition, put.row.key)
    # An erased row's own blob was there before.
    if row is not None and ("body_blob" not in row.columns or (put.new and ERASED in row.columns)):
        await blobs.delete(BODIES, put.name, put.etag)
