"""`chargers list`: the latest state of each; `chargers refresh`: eMabler's inventory, now."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from management.context import Command, Context, limit_argument
from management.listing import print_rows
from management.words import counted
from shared.chargers.inventory import VANISHED, shown_state
from shared.chargers.reading import read_chargers
from shared.storage.rows import Row

_WIDTHS = {
    "charger": 28,
    "socket": 6,
    "status": 20,
    "error_code": 20,
    "instant": 27,
    "last_seen": 27,
    "model": 20,
    "site": 12,
}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--charger", metavar="ID", help="this charger only")
    limit_argument(parser)


async def _list(context: Context) -> int:
    rooms = context.rooms
    rows = read_chargers(
        rooms.tables, charger=context.options.charger, buckets=rooms.settings["STORE_BUCKETS"]
    )
    wanted = (_fields(row) async for row in rows)
    return await print_rows(context, _WIDTHS, wanted, "chargers and sockets")


def _fields(row: Row) -> dict[str, Any]:
    """A socket's row has a number; the row about the charger itself has none."""
    columns = row.columns
    state = shown_state(columns)
    return {
        "charger": columns["charger"],
        "socket": columns.get("socket"),
        "status": state and state.status,
        "status_source": state and state.source,
        "error_code": columns.get("state_error_code"),
        "message": columns.get("state_message"),
        "instant": state and state.instant,
        "pushed_status": columns.get("state_status"),
        "pushed_instant": columns.get("state_instant"),
        "listed_status": columns.get("inventory_status"),
        "listed_instant": columns.get("inventory_updated"),
        "last_seen": columns.get("last_seen"),
        "booted": columns.get("boot_instant"),
        "name": columns.get("inventory_name"),
        "model": columns.get("boot_model") or columns.get("inventory_model"),
        "manufacturer": columns.get("boot_manufacturer") or columns.get("inventory_manufacturer"),
        "firmware_version": columns.get("boot_firmware_version")
        or columns.get("inventory_firmware"),
        "serial_number": columns.get("boot_serial_number") or columns.get("inventory_serial"),
        "site": columns.get("inventory_site")
        or columns.get("state_site")
        or columns.get("boot_site"),
        "site_name": columns.get("inventory_site_name"),
        "push_enabled": columns.get("inventory_push_enabled"),
        "inventory_state": columns.get("inventory_state"),
        "inventory_instant": columns.get("inventory_instant"),
        "vanished": columns.get(VANISHED),
    }


def _refresh_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--believe",
        action="store_true",
        help="mark chargers as vanished even where that is most of them",
    )


async def _refresh(context: Context) -> int:
    output, rooms = context.output, context.rooms
    await rooms.stamp.check()
    async with rooms.emabler() as client:
        with output.progress("chargers", 0) as progress:
            bar = progress.task_ids[0]

            def told(rows: int, total: int | None) -> None:
                progress.update(bar, total=total, advance=rows)

            refreshed = await rooms.reconciliation.inventory(client).refresh(
                told, believe=context.options.believe
            )
    output.columns(
        {"listed": 8, "rows_written": 12, "vanished": 8, "unreadable": 10, "numberless": 10}
    )
    output.row(asdict(refreshed))
    if refreshed.numberless:
        output.say(
            f"left out, since they have no number: {counted(refreshed.numberless, 'sockets')}. "
            "What to do: give them one at eMabler"
        )
    if refreshed.not_believed:
        output.error(
            "inventory_not_believed",
            f"not listed any more: {counted(refreshed.not_believed, 'chargers')}, which is most of "
            "them, so none was marked as vanished. What to do: check that the key's operator still "
            "sees all sites; if they are gone, repeat with --believe",
        )
    if not refreshed.complete:
        output.error(
            "inventory_incomplete",
            "eMabler's list changed while it was read, names another total than came, or has "
            "chargers that cannot be read; what came was written. What to do: refresh again; where "
            "`unreadable` stays, ask eMabler's support for the chargers without a usable id",
        )
    return 0 if refreshed.complete and not refreshed.not_believed else 1


LIST = Command("chargers list", "list chargers and their sockets", _arguments, _list)
REFRESH = Command(
    "chargers refresh",
    "bring chargers, sockets and sites up to eMabler's inventory now",
    _refresh_arguments,
    _refresh,
)
