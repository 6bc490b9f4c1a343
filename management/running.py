"""How each command is run: on the store that its settings are about, and on no other."""

from __future__ import annotations

from management.context import Command, Context


async def run_command(context: Context) -> int:
    """Run the command that the arguments name; its exit code.

    Under another environment or bucket count a list would be empty, or a part of what is there,
    without a word: so reading is refused like writing. A store without a stamp is read as it is.

    Raises:
        OtherStoreError: The store belongs to another environment or bucket count.
        SettingError: A setting that the store hangs on is missing or wrong.
        StoreUnavailableError: The stamp cannot be read now.
    """
    command: Command = context.options.command
    if not command.on_any_store:
        rooms = context.rooms
        # Where no setting is there, the connection is the one to begin with.
        _ = rooms.tables
        await rooms.stamp.agrees()
    return await command.run(context)
