"""All commands, in the order in which `--help` lists them."""

from __future__ import annotations

from management.commands import (
    authorize,
    chargers,
    doctor,
    events,
    groups,
    parked,
    sessions,
    store,
    tags,
    tags_changing,
    tags_reading,
)

COMMANDS = (
    doctor.COMMAND,
    events.LIST,
    sessions.LIST,
    chargers.LIST,
    chargers.REFRESH,
    parked.LIST,
    tags.IMPORT,
    tags_reading.EXPORT,
    tags_reading.LIST,
    tags_reading.SHOW,
    tags_changing.BLOCK,
    tags_changing.UNBLOCK,
    tags_reading.UNKNOWN,
    tags_changing.REHASH,
    groups.IMPORT,
    groups.EXPORT,
    groups.LIST,
    groups.SHOW,
    groups.BLOCK,
    groups.UNBLOCK,
    authorize.COMMAND,
    store.CREATE,
)
