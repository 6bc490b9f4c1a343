"""`store create`: make the tables."""

from __future__ import annotations

import argparse

from management.context import Command, Context
from shared.storage.stamp import create_store


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
    output.columns({"table": 20})
    for name in made:
        output.row({"table": name})
    output.say(f"{len(made)} tables made; the others were there")
    return 0


CREATE = Command(
    "store create", "make the tables that are missing; harmless to repeat", _arguments, _create
)
