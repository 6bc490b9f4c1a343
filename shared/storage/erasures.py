"""Which tags were erased, and when: kept as long as a backup from before may be restored.

What is kept is the tag's keyed hash, the instant, and which key it was, never the tag. It stands in
the table `store` and beside the backups, so that losing either loses no erasure.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from shared.instants import format_instant, parse_instant
from shared.storage.blobs import Blobs
from shared.storage.containers import BACKUPS
from shared.storage.rows import SCHEMA, Delete, Insert, Row, Tables, Value
from shared.storage.tables import STORE
from shared.storage.together import write_all

ERASED_TAGS = "erased_tags"
"""The partition of the table `store` that keeps them."""

_FOLDER = "erasures/"


def key_name(key: bytes) -> str:
    """What tells a hash key from others without telling it."""
    return hmac.new(key, b"the name of this key", "sha256").hexdigest()[:16]


@dataclass(frozen=True, slots=True, order=True)
class ErasedTag:
    """One tag, at one instant: its hash under each key that was known then, by the key's name."""

    at: datetime
    hashes: tuple[tuple[str, str], ...]


async def keep_erased(tables: Tables, blobs: Blobs, erased: ErasedTag) -> None:
    """Keep an erasure in both places.

    Raises:
        StoreUnavailableError: It may be in one of them; the same call makes it whole.
    """
    # No part of the hash in the name: blob names stand in logs.
    name = f"{format_instant(erased.at)}|{secrets.token_hex(4)}"
    columns: dict[str, Value] = {"schema": SCHEMA, "hashes": json.dumps(dict(erased.hashes))}
    blob = f"{_FOLDER}{name.replace(':', '').replace('|', '-')}.json"
    content = json.dumps({"at": format_instant(erased.at), "hashes": dict(erased.hashes)}).encode()
    await blobs.put(BACKUPS, blob, content)
    await tables.write(STORE, [Insert(Row(ERASED_TAGS, name, columns))])


async def kept_erasures(tables: Tables, blobs: Blobs) -> list[ErasedTag]:
    """All that are kept in either place, in the order of their instants."""
    found = set(_of_rows([row async for row in tables.range(STORE, ERASED_TAGS)]))
    async for name in blobs.names(BACKUPS, _FOLDER):
        blob = await blobs.get(BACKUPS, name)
        if blob is not None:
            fields = json.loads(blob.content)
            found |= _erased(fields["at"], fields["hashes"])
    return sorted(found)


async def forget_erasures(tables: Tables, blobs: Blobs, before: datetime) -> int:
    """Delete those from before an instant, of which no backup can tell any more; how many rows."""
    end = format_instant(before)
    rows = [row async for row in tables.range(STORE, ERASED_TAGS, "", end)]
    await write_all(tables, STORE, [Delete(row.partition, row.key) for row in rows])
    async for blob in blobs.listed(BACKUPS, _FOLDER):
        if blob.name.removeprefix(_FOLDER) >= end.replace(":", ""):
            break
        # One that is still immutable stays for another day.
        await blobs.delete(BACKUPS, blob.name, blob.etag)
    return len(rows)


def _of_rows(rows: Iterable[Row]) -> Iterable[ErasedTag]:
    for row in rows:
        yield from _erased(row.key.partition("|")[0], json.loads(str(row.columns["hashes"])))


def _erased(at: str, hashes: dict[str, str]) -> set[ErasedTag]:
    instant = parse_instant(at)
    return {ErasedTag(instant, tuple(sorted(hashes.items())))} if instant else set()
