"""What eMabler's inventory tells of chargers and sockets, beside what events tell. Pure.

It is an aspect of its own (`inventory_…`) of the same rows, so that neither writes over the other.
What is shown of a socket is the later of the two (`shown_state`). `inventory_instant` is when the
inventory first said what it says now; an inventory that says the same again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.chargers.states import LAST_SEEN_STEP, WHOLE_CHARGER
from shared.emabler.models.inventory import ListedCharger
from shared.identifiers import key_part
from shared.instants import floor_instant, format_instant
from shared.storage.rows import SCHEMA, Value

type Columns = Mapping[str, Value]

_ASPECT = "inventory_"
_INSTANT, VANISHED = "inventory_instant", "inventory_vanished"
_OF_OCPP = {"suspendedev": "suspendedcar", "suspendedevse": "suspendedcharger"}
_MOST_CHARACTERS = 1000
"""Names are short; a longer one is cut."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What an inventory tells of one row. `observed`: the instant before it was asked for."""

    charger: str
    key: str
    observed: str
    columns: Columns
    socket: int | None = None


@dataclass(frozen=True, slots=True)
class ShownState:
    """A socket's state, since when, and who says so: `push` or `rest`."""

    status: str
    instant: str
    source: str


def listings_of(listed: ListedCharger, observed: datetime) -> Iterator[Listing]:
    """The rows that a listed charger tells of: its own, and one for each socket."""
    charger, instant = key_part(listed.charger), format_instant(observed)
    seen = listed.last_seen
    yield Listing(
        listed.charger,
        f"{charger}|{WHOLE_CHARGER}",
        instant,
        _present(
            rest_id=listed.rest_id,
            name=listed.name,
            state=listed.state,
            site=listed.site,
            site_name=listed.site_name,
            model=listed.model,
            manufacturer=listed.manufacturer,
            firmware=listed.firmware,
            serial=listed.serial,
            last_seen=format_instant(floor_instant(seen, LAST_SEEN_STEP)) if seen else None,
            push_enabled=listed.push_enabled,
        ),
    )
    for socket in listed.sockets:
        yield Listing(
            listed.charger,
            f"{charger}|{socket.number}",
            instant,
            _present(
                name=socket.name,
                status=socket.status,
                updated=format_instant(socket.updated) if socket.updated else None,
            ),
            socket.number,
        )


def merge_listing(present: Columns | None, listing: Listing) -> dict[str, Value] | None:
    """The row's columns after a listing; None when it tells nothing new, or is the older one.

    Of two listings of one instant the larger by content stands.
    """
    columns: dict[str, Value] = dict(present or {"schema": SCHEMA, "charger": listing.charger})
    before = _told(columns)
    if _INSTANT in columns:
        if before == listing.columns and VANISHED not in columns:
            return None
        if (listing.observed, _text(listing.columns)) <= (_as_of(columns), _text(before)):
            return None
    columns = {name: value for name, value in columns.items() if not name.startswith(_ASPECT)}
    if listing.socket is not None:
        columns["socket"] = listing.socket
    return {**columns, **listing.columns, _INSTANT: listing.observed}


def mark_vanished(present: Columns | None, observed: str) -> Columns | None:
    """The row's columns when a whole inventory, asked for at `observed`, does not have it."""
    if present is None or not is_listed(present) or str(present[_INSTANT]) >= observed:
        return None
    return {**present, VANISHED: observed}


def is_listed(columns: Columns) -> bool:
    """Whether the last whole inventory had this charger or socket."""
    return _INSTANT in columns and VANISHED not in columns


def shown_state(columns: Columns) -> ShownState | None:
    """The later of what push and what the inventory says of a socket; push's where they tie.

    Where both say the same, push's stands: a later listing only says that it is so still.
    """
    pushed = rest = None
    if "state_status" in columns:
        instant = str(columns.get("state_instant", ""))
        pushed = ShownState(str(columns["state_status"]), instant, "push")
    if "inventory_status" in columns:
        instant = str(columns.get("inventory_updated", ""))
        rest = ShownState(str(columns["inventory_status"]), instant, "rest")
    if pushed is None or rest is None:
        return pushed or rest
    newer = rest.instant > pushed.instant and _meaning(rest.status) != _meaning(pushed.status)
    return rest if newer else pushed


def _meaning(status: str) -> str:
    """A state as it is compared: push passes on OCPP's names, REST has eMabler's own."""
    folded = "".join(status.split()).casefold()
    return _OF_OCPP.get(folded, folded)


def _told(columns: Columns) -> Columns:
    return {
        name: value
        for name, value in columns.items()
        if name.startswith(_ASPECT) and name not in (_INSTANT, VANISHED)
    }


def _as_of(columns: Columns) -> str:
    return max(str(columns[_INSTANT]), str(columns.get(VANISHED, "")))


def _text(columns: Columns) -> str:
    return "\x1f".join(f"{name}\x1f{value!r}" for name, value in sorted(columns.items()))


def _present(**columns: Value | None) -> dict[str, Value]:
    return {
        f"{_ASPECT}{name}": value[:_MOST_CHARACTERS] if isinstance(value, str) else value
        for name, value in columns.items()
        if value is not None
    }
