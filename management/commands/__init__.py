"""All commands, in the order in which `--help` lists them."""

from __future__ import annotations

from management.commands import chargers, doctor, events, parked, sessions, store, tags

COMMANDS = (
    doctor.COMMAND,
    events.LIST,
    sessions.LIST,
    chargers.LIST,
    chargers.REFRESH,
    parked.LIST,
    tags.IMPORT,
    store.CREATE,
)
