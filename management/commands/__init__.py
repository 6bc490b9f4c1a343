"""All commands, in the order in which `--help` lists them."""

from __future__ import annotations

from management.commands import (
    chargers,
    doctor,
    events,
    parked,
    parked_acting,
    privacy,
    rebuild,
    sessions,
    sessions_export,
    sessions_show,
    store,
    tags,
)

COMMANDS = (
    doctor.COMMAND,
    events.LIST,
    sessions.LIST,
    sessions_show.SHOW,
    sessions_export.EXPORT,
    chargers.LIST,
    chargers.REFRESH,
    parked.LIST,
    parked.SHOW,
    parked_acting.REPLAY,
    parked_acting.DISCARD,
    parked.COLLECT,
    tags.IMPORT,
    privacy.EXPORT,
    privacy.ERASE,
    rebuild.COMMAND,
    store.CREATE,
)
