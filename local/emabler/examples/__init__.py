"""A morning on three chargers, told in every documented push message of every generation.

| charger | generation | what happens |
|---|---|---|
| `KUO-VALKEISENKATU-1` | v1 (2022) | boot, a session by start and stop, one by a full message |
| `TRE-HATANPAA-07` | v2, April 2025 | boot, a session with start, measurements, full message |
| `HKI-JATKASAARI-12` | v2, current | the same, one session still open, one that push never told |

The files below `v1/`, `v2-2025-04/` and `v2/` are messages as they go over the wire. `books.json`
is what eMabler's REST API knows at noon. `expected.json` is what a reader must make of it all,
written by hand: no code of the product computed it. The v1 start, stop and measurements, and the
current measurements, have no documented example; they follow from the documented field names.

All times lie on the morning of 2026-03-14. `load(now)` moves them so that its noon is `now`.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

FOLDER = Path(__file__).resolve().parent
NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
GENERATIONS = ("v1", "v2-2025-04", "v2")

# The whole seconds of a time; the fraction and the offset behind them stay as they are.
_SECONDS = re.compile(r"\b2026-03-14T\d\d:\d\d:\d\d")


class ExpectedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What one message says. A boot of April 2025 looks like one of 2022: either may be read."""

    file: str
    type: str
    generations: tuple[str, ...]
    charger: str
    socket: int | None
    transaction: str | None
    instant: str


class ExpectedSession(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one session once push and REST were read. Energy in Wh."""

    charger: str
    transaction: str
    state: str
    socket: int
    start: str
    end: str | None
    energy_wh: float | None
    meter_start_wh: float | None
    meter_end_wh: float | None
    sources: tuple[str, ...]


class ExpectedSocket(msgspec.Struct, frozen=True, kw_only=True):
    """The latest state of one socket."""

    charger: str
    socket: int
    status: str
    error_code: str
    instant: str


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What the store must hold in the end."""

    events: tuple[ExpectedEvent, ...]
    sessions: tuple[ExpectedSession, ...]
    chargers: tuple[ExpectedSocket, ...]


class Morning(msgspec.Struct, frozen=True, kw_only=True):
    """The whole story, moved so that it happened just before `now`.

    Attributes:
        messages: file name without `.json` → the message's bytes.
        books: shelf → records, see `local.emabler.control`.
        expected: what the store must hold afterwards.
    """

    messages: dict[str, bytes]
    books: dict[str, list[dict[str, Any]]]
    expected: Expected


def load(now: datetime) -> Morning:
    """Read the story and move it so that its noon is `now` (cut to whole seconds)."""
    move = timedelta(seconds=int((now - NOON).total_seconds()))
    messages = {
        f"{generation}/{path.stem}": _moved(path, move).encode()
        for generation in GENERATIONS
        for path in sorted((FOLDER / generation).glob("*.json"))
    }
    return Morning(
        messages=messages,
        books=json.loads(_moved(FOLDER / "books.json", move)),
        expected=msgspec.json.decode(_moved(FOLDER / "expected.json", move), type=Expected),
    )


def _moved(path: Path, move: timedelta) -> str:
    def later(match: re.Match[str]) -> str:
        # Offsets need no care: the same step moves the local time and the instant alike.
        moment = datetime.fromisoformat(match[0] + "Z") + move
        return moment.strftime("%Y-%m-%dT%H:%M:%S")

    return _SECONDS.sub(later, path.read_text("utf-8"))
