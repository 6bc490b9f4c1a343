"""Old backups go: the manifest first, so that no manifest names a part that is not there."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.backup.manifest import MANIFESTS, PARTS, backup_ids, begun_of, id_of
from shared.backup.progress import ProgressRows
from shared.storage.blobs import Blobs
from shared.storage.containers import BACKUPS
from shared.storage.erasures import forget_erasures
from shared.storage.rows import Tables

_SPARE = timedelta(days=2)
"""After the age of a backup: until the app, or else the account, has deleted it."""


async def delete_old(tables: Tables, blobs: Blobs, before: datetime, soft_delete: timedelta) -> int:
    """Delete backups that began before an instant, and parts of those that never became whole.

    What is immutable still stays until a later run. Erasures go when the backups that they are for
    cannot be brought back any more: so long does the account keep what was deleted.

    Returns:
        How many backups went.
    """
    end = id_of(before)
    deleted = 0
    staying: set[str] = set()
    for backup in [each async for each in backup_ids(blobs)]:
        if backup >= end:
            break
        if await _delete(blobs, f"{MANIFESTS}{backup}.json"):
            deleted += 1
        else:
            staying.add(backup)
    async for blob in blobs.listed(BACKUPS, PARTS):
        backup = blob.name.split("/")[1]
        if backup >= end:
            break
        if backup not in staying:
            await blobs.delete(BACKUPS, blob.name, blob.etag)
    await forget_erasures(tables, blobs, before - _SPARE - soft_delete)
    return deleted


async def _delete(blobs: Blobs, name: str) -> bool:
    etag = await blobs.etag(BACKUPS, name)
    # With the ETag a refusal (the blob is immutable) is an answer; without it, weather.
    return etag is None or await blobs.delete(BACKUPS, name, etag)


async def last_gone(
    tables: Tables, blobs: Blobs, keep: timedelta, soft_delete: timedelta
) -> datetime | None:
    """When the last of the backups that there are now, or that is under way, is gone for good.

    It is deleted by a run within a day after its age, and can be brought back for as long as the
    account keeps what was deleted. None: there are none.
    """
    begun = [begun_of(backup) async for backup in backup_ids(blobs)][-1:]
    progress = await ProgressRows(tables).read()
    if progress.id and progress.begun is not None:
        begun.append(progress.begun)
    return max(begun) + keep + timedelta(days=1) + soft_delete if begun else None
