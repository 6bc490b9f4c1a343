"""The small Application Insights as a program: `python -m local.app_insights --capture FILE`.

Prints one JSON line when it is ready: `{"ready": true, "port": …, "pid": …}`.
"""

import argparse
import asyncio
import contextlib
import json
import os
from pathlib import Path

from aiohttp import web

from local.app_insights.server import Capture, make_app
from local.ending import told_to_end
from local.ports import LOOPBACK


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.app_insights",
        description="Takes telemetry as Application Insights does, and writes it into a file.",
    )
    parser.add_argument("--capture", type=Path, required=True, help="the file, appended to")
    parser.add_argument("--port", type=int, default=0, help="0 chooses a free one")
    parser.add_argument("--key", required=True, help="the instrumentation key of accepted items")
    parser.add_argument(
        "--token-needed", action="store_true", help="refuse who sends no bearer token"
    )
    parser.add_argument(
        "--exit-with-stdin", action="store_true", help="end when standard input ends"
    )
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    ended = told_to_end(with_stdin=arguments.exit_with_stdin)
    capture = Capture(arguments.capture)
    app = make_app(capture, arguments.key, token_needed=arguments.token_needed)
    # What is packed is unpacked by `envelopes`, which knows a bound.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1, auto_decompress=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, arguments.port).start()
        port = runner.addresses[0][1]
        print(json.dumps({"ready": True, "port": port, "pid": os.getpid()}), flush=True)
        await ended.wait()
    finally:
        await runner.cleanup()
        capture.close()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(_arguments()))
