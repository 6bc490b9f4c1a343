"""`store create`: make the tables and the blob containers."""

from __future__ import annotations

import argparse

from management.context import Command, Context
from management.words import counted
from shared.storage.stamp import create_containers, create_store


def _arguments(_parser: argparse.ArgumentParser) -> None:
    return


async def _create(context: Context) -> int:
    output, rooms = context.output, context.rooms
    rooms.settings.require_set("EMABLER_ENVIRONMENT", "STORE_BUCKETS")
    made = await create_store(
        rooms.tables,
        environment=rooms.settings["EMABLER_ENVIRONMENT"],
        buckets=rooms.settings["STORE_BUCKETS"],
    )
    containers = await create_containers(rooms.blobs)
    output.columns({"kind": 9, "name": 20})
    for kind, names in (("table", made), ("container", containers)):
        for name in names:
            output.row({"kind": kind, "name": name})
    output.say(
        f"{counted(len(made), 'tables')} and {counted(len(containers), 'containers')} made; "
        "the others were there"
    )
    return 0


CREATE = Command(
    "store create",
    "make the tables and containers that are missing; harmless to repeat",
    _arguments,
    _create,
    on_any_store=True,
)
