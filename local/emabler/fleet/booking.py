"""The fleet in eMabler's books: finished and ongoing sessions, chargers with their states, tags."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from local.emabler.books import Books
from local.emabler.fleet.facts import AnyFact, Session, StartTold, StateTold, StopTold
from local.emabler.fleet.network import Charger as FleetCharger
from local.emabler.fleet.network import Network, Standing
from local.emabler.fleet.truth import Booked, Truth
from local.emabler.records import (
    Charger,
    FinishedSession,
    OngoingSession,
    PushConfiguration,
    PushEndpoint,
    PushMessage,
    Socket,
    Tag,
)

_FIRST_TAG: Final = 40_001
_PRICE_PER_KWH: Final = 0.29
_VAT_PERCENT: Final = 25.5


_EVENTS: Final = (
    "ChargerState",
    "ChargerBoot",
    "ChargingTransaction",
    "FullChargingTransaction",
    "Measurements",
)


def push_configuration(events_to: str) -> PushConfiguration:
    """How the fleet's Push API is configured; its words are our reading.

    Args:
        events_to: the type of the endpoint that events go to. Taps go to the webhook in any case.
    """
    endpoints = [PushEndpoint(id=1, endpoint_type=events_to, name="events")]
    if events_to != "Webhook":
        endpoints.append(PushEndpoint(id=2, endpoint_type="Webhook", name="taps"))
    messages = [
        PushMessage(id=n, endpoint_id=1, message_type=name) for n, name in enumerate(_EVENTS, 1)
    ]
    taps = PushMessage(
        id=len(messages) + 1, endpoint_id=endpoints[-1].id, message_type="RealTimeAuth"
    )
    return PushConfiguration(
        id=1, name="a fleet's customer", endpoints=endpoints, messages=[*messages, taps]
    )


class Changes(msgspec.Struct):
    """Changes of the books that fell due together."""

    begun: dict[int, Booked] = msgspec.field(default_factory=dict)
    ended: dict[int, Booked] = msgspec.field(default_factory=dict)
    seen: dict[str, datetime] = msgspec.field(default_factory=dict)
    states: dict[tuple[str, int], tuple[datetime, StateTold]] = msgspec.field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.seen)

    def learn(self, fact: AnyFact, truth: Truth, received: datetime) -> None:
        """Note what a fact changes, once the truth knows it."""
        # A socket whose story waited for an answer tells what is older than others' news.
        self.seen[fact.charger.id] = max(received, self.seen.get(fact.charger.id, received))
        match fact:
            case StartTold():
                self.begun[fact.session.number] = truth.sessions[fact.session.number]
            case StopTold() if not fact.again:
                self.ended[fact.session.number] = truth.sessions[fact.session.number]
            case StateTold():
                key = fact.charger.id, fact.socket
                if key not in self.states or self.states[key][0] <= received:
                    self.states[key] = received, fact


class Bookkeeper:
    """Writes a fleet into the books and keeps them up with what happens."""

    def __init__(self, books: Books, network: Network) -> None:
        """Begin with the fleet's chargers and the tags of eMabler's own registry.

        Finished sessions of a fleet before stay: eMabler forgets none.
        """
        self._books = books
        self._chargers = {charger.id: _charger(charger) for charger in network.chargers}
        books.put("ongoing", ())
        books.put("chargers", self._chargers.values())
        books.put("tags", _tags(network))

    def book(self, changes: Changes) -> None:
        """Carry changes into the books."""
        ended = [_finished(booked) for booked in changes.ended.values()]
        begun = [_ongoing(booked) for booked in changes.begun.values()]
        over = [_ongoing(booked) for booked in changes.ended.values()]
        changed: dict[str, Charger] = {}
        for charger, received in changes.seen.items():
            record = self._chargers[charger]
            record.last_seen = max(record.last_seen or "", _text(received))
            changed[charger] = record
        for (charger, socket), (received, fact) in changes.states.items():
            if socket:  # eMabler lists no main controller
                self._state(self._chargers[charger], socket, fact, received)
        self._books.change("sessions", added=ended)
        self._books.change("ongoing", added=begun, removed=over)
        self._books.change("chargers", added=changed.values())

    def _state(self, record: Charger, socket: int, fact: StateTold, received: datetime) -> None:
        shown = record.sockets[socket - 1]
        if shown.last_updated is not None and shown.last_updated > _text(received):
            return
        shown.status = fact.status
        shown.last_updated = _text(received)
        statuses = {each.status for each in record.sockets}
        record.state = next((word for status, word in _STATES if status in statuses), "Online")


# What the documentation's words for a charger's state say of the states of its sockets.
_STATES: Final = (
    ("Faulted", "Error"),
    ("Charging", "Charging"),
    ("SuspendedEV", "SuspendedCAR"),
    ("Finishing", "Finishing"),
    ("Preparing", "Preparing"),
)


def _charger(charger: FleetCharger) -> Charger:
    return Charger(
        id=10_000 + charger.number,
        charger_id=charger.id,
        name=f"{charger.site.name} {charger.number}",
        site_id=charger.site.number,
        site_name=charger.site.name,
        model=charger.model.name,
        manufacturer=charger.model.manufacturer,
        firmware=charger.model.firmware,
        serial=charger.serial,
        last_seen="0001-01-01T00:00:00Z",
        active_connection=True,
        push_integration_enabled=True,
        sockets=[
            Socket(id=number, name=_socket_name(charger, number)) for number in charger.sockets
        ],
    )


def _socket_name(charger: FleetCharger, socket: int) -> str:
    return f"{charger.number}-{socket}"


def _tags(network: Network) -> Iterable[Tag]:
    registered = [tag for tag in network.tags if tag.standing is Standing.REGISTERED]
    for number, tag in enumerate(registered, start=_FIRST_TAG):
        yield Tag(
            id=number,
            id_tag=tag.id,
            token_name=f"Card {number}",
            driver_id=tag.driver,
            driver_external_id=f"D-{tag.driver}",
        )


def _finished(booked: Booked) -> FinishedSession:
    session = booked.session
    charger = session.charger
    excluding = round(session.energy * _PRICE_PER_KWH / 1000, 2)
    vat = round(excluding * _VAT_PERCENT / 100, 2)
    return FinishedSession(
        id=session.number,
        charger_id=charger.id,
        charger_name=f"{charger.site.name} {charger.number}",
        socket_id=session.socket,
        socket_name=_socket_name(charger, session.socket),
        timestamp_start=_text(booked.start),
        timestamp_end=_text(booked.end or booked.start),
        evse_transaction_id=session.transaction,
        authorized_tag_id=session.tag.id,
        authorized_user_id=_user(session) or 0,
        full_consumption_wh=session.energy,
        site_id=charger.site.number,
        site_name=charger.site.name,
        unit_power_cost=_PRICE_PER_KWH,
        vat_percent=_VAT_PERCENT,
        total_cost_excl_vat=excluding,
        total_vat_amount=vat,
        total_cost_incl_vat=round(excluding + vat, 2),
    )


def _ongoing(booked: Booked) -> OngoingSession:
    session = booked.session
    charger = session.charger
    return OngoingSession(
        charger_id=charger.id,
        charger_name=f"{charger.site.name} {charger.number}",
        socket_id=session.socket,
        socket_name=_socket_name(charger, session.socket),
        transaction_id=session.transaction,
        start_time=_text(booked.start),
        start_meter_wh=session.meter_start,
        authorized_id_tag=session.tag.id,
        authorized_user_id=_user(session),
        site_id=charger.site.number,
        site_name=charger.site.name,
    )


def _user(session: Session) -> int | None:
    """The driver, where eMabler knows the tag."""
    return session.tag.driver if session.tag.standing is Standing.REGISTERED else None


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"
