"""Chargers with their sockets, and tags, as REST lists them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.emabler.models.reading import Drift, Fields, Item
from shared.emabler.models.sessions import BELOW_SOCKETS

CHARGER_STATES = (
    "Online",
    "Error",
    "Offline",
    "Info",
    "Charging",
    "SuspendedCAR",
    "SuspendedCharger",
    "Preparing",
    "Finishing",
    "Reserved",
    "Booting",
    "Unavailable",
)
"""In the order in which eMabler documents them; an older revision has the numbers 0 to 11."""

SOCKET_STATES = (
    *CHARGER_STATES,
    "Available",
    "Occupied",
    "Faulted",
    "SuspendedEV",
    "SuspendedEVSE",
)
"""No list of them is documented: those of chargers, and those of OCPP, which push passes on."""


@dataclass(frozen=True, slots=True)
class ListedSocket:
    """A socket of a listed charger. That `number` is push's `socketId` is our reading."""

    number: int
    name: str | None
    status: str | None
    updated: datetime | None


@dataclass(frozen=True, slots=True)
class ListedCharger:
    """A charger as `GET …/chargers` lists it. `unreadable_sockets` counts those without number."""

    charger: str
    rest_id: str | None
    name: str | None
    state: str | None
    site: str | None
    site_name: str | None
    model: str | None
    manufacturer: str | None
    firmware: str | None
    serial: str | None
    last_seen: datetime | None
    push_enabled: bool | None
    sockets: tuple[ListedSocket, ...]
    unreadable_sockets: int
    item: Item


@dataclass(frozen=True, slots=True)
class ListedTag:
    """A tag as `GET …/tags` lists it. No limit of validity is None."""

    tag: str
    rest_id: str | None
    valid_from: datetime | None
    valid_until: datetime | None
    updated: datetime | None
    driver: str | None
    driver_external: str | None
    item: Item


def read_charger(item: Item, drift: Drift | None = None) -> ListedCharger | None:
    """Read one item; None when it names no charger."""
    fields = Fields("charger", item, drift)
    charger = fields.text("chargerId")
    sockets = [read_socket(each, drift) for each in fields.objects("sockets")]
    listed = ListedCharger(
        charger=charger or "",
        rest_id=fields.text("id"),
        name=fields.text("name"),
        state=fields.one_of("state", CHARGER_STATES, len(CHARGER_STATES)),
        site=fields.text("siteId"),
        site_name=fields.text("siteName"),
        model=fields.text("model"),
        manufacturer=fields.text("manufacturer"),
        firmware=fields.text("firmware"),
        serial=fields.text("serial"),
        last_seen=fields.instant("lastSeen", optional=True),
        push_enabled=fields.flag("pushIntegrationEnabled", optional=True),
        sockets=tuple(each for each in sockets if each is not None),
        unreadable_sockets=sockets.count(None),
        item=item,
    )
    if charger is None:
        fields.need("chargerId")
        return None
    return listed


def read_socket(item: Item, drift: Drift | None = None) -> ListedSocket | None:
    """Read one socket of a charger; None when it has no number."""
    fields = Fields("socket", item, drift)
    number = fields.whole("id", below=BELOW_SOCKETS)
    name = fields.text("name")
    status = fields.one_of("status", SOCKET_STATES, len(CHARGER_STATES))
    updated = fields.instant("lastUpdated")
    if number is None:
        fields.need("id")
        return None
    return ListedSocket(number, name, status, updated)


def read_tag(item: Item, drift: Drift | None = None) -> ListedTag | None:
    """Read one item; None when it names no tag.

    None as well when a limit of its validity cannot be read: taking it for no limit would let an
    expired tag charge.
    """
    fields = Fields("tag", item, drift)
    tag = fields.text("idTag")
    listed = ListedTag(
        tag=tag or "",
        rest_id=fields.text("id"),
        valid_from=fields.instant("startDate", optional=True),
        valid_until=fields.instant("expiringDate"),
        updated=fields.instant("lastUpdated", optional=True),
        driver=fields.text("driverId"),
        driver_external=fields.text("driverExternalId"),
        item=item,
    )
    if tag is None:
        fields.need("idTag")
    return None if tag is None or fields.wrong & {"startDate", "expiringDate"} else listed
