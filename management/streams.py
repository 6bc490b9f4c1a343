"""Standard output and standard error as whatever stands behind them can take them."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from pathlib import Path


def make_writable() -> None:
    """Let no character be one that a stream cannot write.

    A terminal shows a mark in place of what it does not know; a file or a pipe gets UTF-8, as
    JSON and CSV have to be. A stream that the caller closed (`>&-`) leads nowhere.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - kept open
        elif isinstance(stream, TextIOWrapper) and stream.isatty():
            stream.reconfigure(errors="replace")
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def write_no_more() -> None:
    """Let standard output end in nothing: Python would complain again when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
