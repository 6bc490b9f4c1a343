"""What the doctor looks at of blobs and backups."""

from __future__ import annotations

from datetime import timedelta

from management.words import counted
from shared.backup.manifest import backup_ids, begun_of
from shared.errors import EmablerFunctionsError
from shared.instants import format_instant, system_clock
from shared.rooms import Rooms
from shared.storage.containers import ALL_CONTAINERS

_OLD = 2
"""Times BACKUP_EVERY_HOURS: a backup may take as long as there is between two."""


async def containers(rooms: Rooms) -> str:
    """That all containers are there and can be read."""
    for container in ALL_CONTAINERS:
        await rooms.blobs.etag(container, "doctor")
    return f"{len(ALL_CONTAINERS)} containers can be read"


async def backups(rooms: Rooms) -> str:
    """How many backups are whole, and when the latest began.

    Raises:
        EmablerFunctionsError: `backup_old`: longer ago than it should be.
    """
    every = timedelta(hours=rooms.settings["BACKUP_EVERY_HOURS"])
    if not every:
        return "none are taken: BACKUP_EVERY_HOURS is 0"
    begun = [begun_of(backup) async for backup in backup_ids(rooms.blobs)]
    if not begun:
        return "none is whole yet; the function back_up takes the first within a quarter of an hour"
    told = f"the latest whole one began {format_instant(begun[-1])[:16]}"
    if system_clock() - begun[-1] > _OLD * every:
        message = (
            f"{told}, longer ago than {_OLD} times BACKUP_EVERY_HOURS. What to do: look at the "
            "wide events of back_up, and whether one takes longer than that (docs/limits.md)"
        )
        raise EmablerFunctionsError(message, code="backup_old")
    return f"{counted(len(begun), 'whole backups')}; {told}"
