"""`sessions export`: sessions as CSV, JSON lines or Parquet."""

from __future__ import annotations

import argparse
from contextlib import aclosing

from management.commands.sessions import filter_arguments, wanted_rows
from management.context import Command, Context
from management.export_command import export_arguments, write_rows
from shared.sessions.columns import COLUMNS, exported


def _arguments(parser: argparse.ArgumentParser) -> None:
    export_arguments(parser)
    filter_arguments(parser)


async def _export(context: Context) -> int:
    async with aclosing(wanted_rows(context)) as found:
        rows = (exported(row) async for row in found)
        return await write_rows(context, rows, COLUMNS, "sessions")


EXPORT = Command(
    "sessions export", "write sessions as CSV, JSON lines or Parquet", _arguments, _export
)
