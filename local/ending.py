"""How a part of the local Azure learns that it is to end: a signal, or its standard input's end."""

import asyncio
import contextlib
import os
import signal
import sys
import threading


def told_to_end(*, with_stdin: bool) -> asyncio.Event:
    """An event of the running loop that is set by SIGINT, SIGTERM, or the end of standard input.

    Args:
        with_stdin: whether the end of standard input counts: whoever started this process holds
            its other end, and is gone when it closes.
    """
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in ("SIGINT", "SIGTERM"):
        # Windows has no handlers on its loop: there the closed standard input must do.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(getattr(signal, name), ended.set)
    if with_stdin:
        _watch_stdin(loop, ended)
    return ended


def _watch_stdin(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    """Set the event when standard input ends. A thread works on every platform."""

    def read_to_end() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        with contextlib.suppress(RuntimeError):  # the loop may have closed meanwhile
            loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=read_to_end, daemon=True).start()
