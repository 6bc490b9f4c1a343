"""The small eMabler as a program: `python -m local.emabler --port 7080 --api-key KEY`.

Prints one JSON line when it is ready: `{"ready": true, "port": …, "pid": …}`. The key may also
come from the environment variable `LOCAL_EMABLER_API_KEY`, where a process list does not show it.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path

from aiohttp import web

from local.emabler import options
from local.emabler.books import Books
from local.emabler.fleet.command_line import add_fleet_arguments, order_from
from local.emabler.fleet.control import FleetControl
from local.emabler.server import make_app
from local.ending import told_to_end
from local.errors import LocalError
from local.ports import LOOPBACK

WRONG_USE = 2


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.emabler",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0, help="0 chooses a free one")
    parser.add_argument("--api-key", default=os.environ.get("LOCAL_EMABLER_API_KEY", ""))
    parser.add_argument("--books", type=Path, help="a file that keeps the books over restarts")
    parser.add_argument(
        "--exit-with-stdin", action="store_true", help="end when standard input ends"
    )
    options.add_to(parser)
    add_fleet_arguments(parser)
    arguments = parser.parse_args()
    if not arguments.api_key:
        parser.error("--api-key, or LOCAL_EMABLER_API_KEY, is needed")
    return arguments


async def _serve(arguments: argparse.Namespace) -> None:
    ended = told_to_end(with_stdin=arguments.exit_with_stdin)
    books = Books(arguments.books)
    faults = options.faults(arguments)
    fleet = FleetControl(books, faults)
    app = make_app(books, arguments.api_key, habits=options.habits(arguments), faults=faults)
    app.add_routes(fleet.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        if arguments.fleet is not None:
            (await fleet.prepare(order_from(arguments))).begin()
        await web.TCPSite(runner, LOOPBACK, arguments.port).start()
        port = runner.addresses[0][1]
        print(json.dumps({"ready": True, "port": port, "pid": os.getpid()}), flush=True)
        await ended.wait()
    finally:
        await fleet.stop()
        await runner.cleanup()


if __name__ == "__main__":
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_serve(_arguments()))
    except LocalError as error:
        print(error, file=sys.stderr)
        sys.exit(WRONG_USE)
