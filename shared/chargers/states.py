"""What events tell of chargers and sockets, and how two tellings become one row. Pure.

A row is made of aspects, each of which keeps the latest that was told of it: by the event's
instant, then by content. So a row is a function of the set of events, whatever their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from shared.identifiers import key_part
from shared.instants import floor_instant, format_instant
from shared.push.digest import NamedEvent
from shared.push.events import ChargerBoot, ChargerState
from shared.storage.erased import ERASED
from shared.storage.rows import SCHEMA, Value

LAST_SEEN_STEP = timedelta(minutes=15)
"""Last seen is rounded down to this, so that a charger costs four writes an hour at most."""

WHOLE_CHARGER = "!"
"""The last part of the key of the row about the charger itself; sockets have their number."""


@dataclass(frozen=True, slots=True)
class Telling:
    """What one event tells of one row: at most one aspect, and that the charger was seen."""

    charger: str
    key: str
    aspect: str | None = None
    rank: tuple[str, ...] = ()
    columns: Mapping[str, Value] = field(default_factory=dict)
    last_seen: str | None = None


def tellings_of(named: NamedEvent) -> Iterable[Telling]:
    """What an event tells of its charger and socket."""
    event = named.event
    charger = key_part(event.charger)
    instant = format_instant(event.instant) if event.instant else ""
    seen = format_instant(floor_instant(event.instant, LAST_SEEN_STEP)) if event.instant else None
    boot: dict[str, Value] = {}
    if isinstance(event, ChargerBoot):
        boot = _present(
            boot_serial_number=event.serial_number,
            boot_model=event.model,
            boot_manufacturer=event.manufacturer,
            boot_firmware_version=event.firmware_version,
            boot_site=event.site,
        )
    yield Telling(
        event.charger,
        f"{charger}|{WHOLE_CHARGER}",
        aspect="boot" if isinstance(event, ChargerBoot) else None,
        rank=(instant, named.digest, *map(str, boot.values())) if boot else (instant,),
        columns=boot,
        last_seen=seen,
    )
    if isinstance(event, ChargerState):
        state = _present(
            state_status=event.status,
            state_error_code=event.error_code,
            state_message=event.message,
            state_site=event.site,
        )
        yield Telling(
            event.charger,
            f"{charger}|{event.socket}",
            aspect="state",
            # Equal digests can differ in spelling ("No Error", "NoError"): that decides last.
            rank=(instant, named.digest, *map(str, state.values())),
            columns=state | {"socket": event.socket},
        )


def merge(present: Mapping[str, Value] | None, telling: Telling) -> dict[str, Value] | None:
    """The row's columns after a telling; None when it tells nothing newer."""
    columns: dict[str, Value] = dict(present or {"schema": SCHEMA, "charger": telling.charger})
    changed = present is None
    if telling.last_seen and telling.last_seen > str(columns.get("last_seen", "")):
        columns["last_seen"] = telling.last_seen
        changed = True
    aspect = telling.aspect
    if (
        aspect
        and not _is_erased_repeat(columns, aspect, telling.rank)
        and "\x1f".join(telling.rank) > _rank(columns, aspect)
    ):
        columns = {
            name: value for name, value in columns.items() if not name.startswith(f"{aspect}_")
        }
        columns |= telling.columns
        columns[f"{aspect}_instant"] = telling.rank[0]
        columns[f"{aspect}_digest"] = telling.rank[1] if len(telling.rank) > 1 else ""
        changed = True
    return columns if changed else None


_SPELLED: Mapping[str, tuple[str, ...]] = {
    "state": ("state_status", "state_error_code", "state_message", "state_site"),
    "boot": (
        "boot_serial_number",
        "boot_model",
        "boot_manufacturer",
        "boot_firmware_version",
        "boot_site",
    ),
}


def _is_erased_repeat(columns: Mapping[str, Value], aspect: str, rank: tuple[str, ...]) -> bool:
    """Whether it is the event that the aspect holds already, without the person."""
    held = columns.get(f"{aspect}_instant"), columns.get(f"{aspect}_digest")
    return bool(columns.get(ERASED)) and held == rank[:2]


def _rank(columns: Mapping[str, Value], aspect: str) -> str:
    if f"{aspect}_digest" not in columns:
        return ""
    parts = [columns[f"{aspect}_instant"], columns[f"{aspect}_digest"]]
    parts += [columns[name] for name in _SPELLED[aspect] if name in columns]
    return "\x1f".join(map(str, parts))


def _present(**columns: Value | None) -> dict[str, Value]:
    return {name: value for name, value in columns.items() if value is not None}
