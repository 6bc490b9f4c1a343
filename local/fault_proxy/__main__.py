"""The fault proxy as a program: `python -m local.fault_proxy --table-url http://127.0.0.1:10002/…`.

Prints one JSON line when it is ready: `{"ready": true, "table_url": …, "blob_url": …,
"queue_url": …, "control_port": …, "pid": …}`, with null for a service that it is not in front of.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys

from aiohttp import web

from local.ending import told_to_end
from local.errors import LocalError
from local.fault_proxy.addresses import StorageUrls
from local.fault_proxy.control import make_control
from local.fault_proxy.proxy import FaultProxy
from local.ports import LOOPBACK

_USAGE = 2


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.fault_proxy",
        description="Lets calls between an app and its storage go wrong, by a plan.",
    )
    parser.add_argument("--table-url", help="the table service, with the account")
    parser.add_argument("--blob-url", help="the blob service, with the account")
    parser.add_argument("--queue-url", help="the queue service, with the account")
    parser.add_argument(
        "--rule",
        action="append",
        default=[],
        help="a rule in force from the start, such as 'busy table=events kind=write rate=0.1'; "
        "may be given several times (local/fault_proxy/rules.py tells the parts)",
    )
    parser.add_argument("--seed", type=int, default=0, help="what rates are drawn from")
    parser.add_argument("--control-port", type=int, default=0, help="0 chooses a free one")
    parser.add_argument(
        "--exit-with-stdin", action="store_true", help="end when standard input ends"
    )
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    ended = told_to_end(with_stdin=arguments.exit_with_stdin)
    storage = StorageUrls(arguments.table_url, arguments.blob_url, arguments.queue_url)
    async with await FaultProxy.start(storage, rules=arguments.rule, seed=arguments.seed) as proxy:
        runner = web.AppRunner(make_control(proxy), access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, LOOPBACK, arguments.control_port).start()
            print(_ready_line(proxy, runner.addresses[0][1]), flush=True)
            await ended.wait()
        finally:
            await runner.cleanup()


def _ready_line(proxy: FaultProxy, control_port: int) -> str:
    return json.dumps(
        {
            "ready": True,
            "table_url": proxy.table_url,
            "blob_url": proxy.blob_url,
            "queue_url": proxy.queue_url,
            "control_port": control_port,
            "pid": os.getpid(),
        }
    )


def main() -> int:
    """Run the proxy until it is told to end: 0, or 2 when it was called wrongly."""
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_serve(_arguments()))
    except LocalError as error:
        print(error, file=sys.stderr)
        return _USAGE
    return 0


if __name__ == "__main__":
    sys.exit(main())
