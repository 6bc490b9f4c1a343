"""What a command is, and what it is given."""

from __future__ import annotations

import argparse
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from management.output import Output
from shared.instants import parse_instant
from shared.rooms import Rooms


@dataclass(frozen=True, slots=True)
class Context:
    """The arguments, where to print, and the product on the caller's settings.

    `environ` is what the settings were read from; some commands look there for what is no setting.
    """

    options: argparse.Namespace
    output: Output
    rooms: Rooms
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its words, its help, its arguments, and what runs it to an exit code.

    `on_any_store`: it also runs where the store is another environment's, or has no tables yet.
    """

    name: str
    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[Context], Awaitable[int]]
    on_any_store: bool = False


def instant_argument(text: str) -> datetime:
    """An instant or a day (its beginning), UTC, as an argument."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        instant = parse_instant(text)
    if instant is None:
        message = f"{text!r} is no instant. Example: 2026-11-01 or 2026-11-01T08:30:00Z"
        raise argparse.ArgumentTypeError(message)
    return instant


def end_argument(text: str) -> datetime:
    """An end: a day means its end, so that `--from` and `--to` of one day are that day."""
    end = instant_argument(text)
    if len(text) != len("2026-11-01"):
        return end
    try:
        return end + timedelta(days=1)
    except OverflowError as error:
        message = f"{text!r} has no end that a calendar knows: leave it out"
        raise argparse.ArgumentTypeError(message) from error


def url_argument(text: str) -> str:
    """The address of the app, as an argument."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        message = f"{text!r} is no address. Example: http://localhost:7071/api/emabler/push"
        raise argparse.ArgumentTypeError(message)
    return text


def time_arguments(
    parser: argparse.ArgumentParser,
    *,
    start: str = "not before this day or instant (UTC)",
    end: str = "not after this day, or before this instant (UTC)",
) -> None:
    """The arguments `--from` and `--to`, with what they mean of the command's rows."""
    parser.add_argument(
        "--from", dest="start", type=instant_argument, metavar="INSTANT", help=start
    )
    parser.add_argument("--to", dest="end", type=end_argument, metavar="INSTANT", help=end)


def _count(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text):
        message = f"{text!r} is no number of rows. Example: 20"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def limit_argument(parser: argparse.ArgumentParser) -> None:
    """The argument `--limit`."""
    parser.add_argument("--limit", type=_count, metavar="N", help="stop after N rows")
