"""`python -m local.functions_host`: run a Functions app on this machine."""

import argparse
import asyncio
import os
import signal
import sys
import threading
import time
from pathlib import Path

from local.errors import LocalError
from local.functions_host.app_settings import AppSettings, load_app_settings
from local.functions_host.console import STARTUP, Console
from local.functions_host.errors import HostError
from local.functions_host.host_json import read_host_json
from local.functions_host.host_options import HostOptions
from local.functions_host.log_levels import LevelFilter
from local.functions_host.sockets import bind

DEFAULT_PORT = 7071
_FAILED = 2
_GRACE_SECONDS = 8.0


def main() -> int:
    """Run the host until it is told to end: 0, or 2 when it cannot serve the app."""
    began = time.monotonic()
    arguments = _parser().parse_args()
    console = Console(quiet=arguments.quiet)
    try:
        return _run(arguments, console, began)
    except LocalError as error:
        console.failure(str(error), getattr(error, "details", ""))
        return _FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local.functions_host",
        description="Runs a Python Azure Functions app on this machine, as `func start` does.",
    )
    parser.add_argument("--app", type=Path, default=Path(), help="the app's folder (default: .)")
    parser.add_argument(
        "--port", type=int, help=f"HTTP port (default: {DEFAULT_PORT}; 0: any free one)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--strict-port", action="store_true", help="fail when the port is taken")
    parser.add_argument(
        "--exit-with-stdin", action="store_true", help="end when standard input is closed"
    )
    parser.add_argument(
        "--forget-timers", action="store_true", help="keep the status of timers in memory only"
    )
    parser.add_argument(
        "--grace",
        type=float,
        default=_GRACE_SECONDS,
        metavar="SECONDS",
        help="what running functions may take when the host is to stop (default: %(default)g)",
    )
    parser.add_argument(
        "--function-key",
        metavar="KEY",
        help="ask for this key (x-functions-key, or code= in the address) where a function is not"
        " anonymous, as Azure does; without it nobody is asked, as by `func start`",
    )
    parser.add_argument(
        "--quiet", action="store_true", help="only warnings and what the functions log"
    )
    return parser


def _run(arguments: argparse.Namespace, console: Console, began: float) -> int:
    app = arguments.app.resolve()
    settings = load_app_settings(app, os.environ)
    host_json = read_host_json(app, settings)
    console.filter = LevelFilter(host_json.log_levels)
    _check_app(app, settings)
    wanted = arguments.port
    if wanted is None:
        wanted = settings.host.http_port or DEFAULT_PORT
    listener = bind(arguments.host, wanted, strict=arguments.strict_port)
    port = listener.getsockname()[1]
    if wanted not in (0, port):
        console.warning(STARTUP, f"Port {wanted} is taken; listening on {port} instead.")
    options = HostOptions(
        app,
        settings,
        host_json,
        listener,
        remember_timers=not arguments.forget_timers,
        grace=arguments.grace,
        began=began,
        function_key=arguments.function_key,
    )
    asyncio.run(_serve(options, console, exit_with_stdin=arguments.exit_with_stdin))
    return 0


def _check_app(app: Path, settings: AppSettings) -> None:
    runtime = settings.get("FUNCTIONS_WORKER_RUNTIME") or "python"
    if runtime.lower() != "python":
        raise HostError(
            "app_not_python",
            "FUNCTIONS_WORKER_RUNTIME names another language than python",
            "set it to python; this host runs Python apps only",
        )
    script = settings.get("PYTHON_SCRIPT_FILE_NAME") or "function_app.py"
    if not (app / script).is_file():
        raise HostError(
            "app_not_found",
            f"there is no {script} in {app}",
            "name the folder of a Python v2 app with --app",
        )


async def _serve(options: HostOptions, console: Console, *, exit_with_stdin: bool) -> None:
    from local.functions_host.host import Host  # noqa: PLC0415  # gRPC loads once all is in order

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            # Event loops on Windows have no signal handlers of their own.
            signal.signal(getattr(signal, name), lambda *_: loop.call_soon_threadsafe(stop.set))
    if exit_with_stdin:
        threading.Thread(target=_watch_stdin, args=(loop, stop), daemon=True).start()
    await Host(options, console).run(stop)


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    # Not through sys.stdin: a thread that holds its lock breaks the end of the interpreter.
    while os.read(0, 4096):
        pass
    loop.call_soon_threadsafe(stop.set)


if __name__ == "__main__":
    sys.exit(main())
