"""What is true of a fleet, and what push told of it: two ledgers, kept apart.

`Truth` is eMabler's books and what drivers met. `Told` is what was sent. What a right store holds
follows from both: `local.emabler.fleet.expected`.
"""

from datetime import datetime

import msgspec

from local.emabler.fleet.facts import (
    AnyFact,
    Clock,
    Session,
    StartTold,
    StateTold,
    StopTold,
)
from local.emabler.fleet.network import Charger, Generation
from local.emabler.fleet.story import Tap


class Booked(msgspec.Struct):
    """A session with the times of the books, which are the device's where these can be."""

    session: Session
    start: datetime
    end: datetime | None = None


class Answered(msgspec.Struct, frozen=True):
    """A tap and what came of it.

    Attributes:
        by: who decided: `customer`, `registry`, `charger` (offline), `fallback` (no answer came).
        reason: the customer's reason for a denial.
        seconds: how long the customer took.
    """

    tap: Tap
    allowed: bool
    by: str
    reason: str | None = None
    seconds: float | None = None


class SocketState(msgspec.Struct, frozen=True):
    """The latest state of a socket; `instant` as the message that told it can tell it."""

    charger: Charger
    socket: int
    status: str
    error: str
    instant: datetime


class Message(msgspec.Struct):
    """An event that push told, or was to tell.

    Attributes:
        type: the message's type.
        whole: digests of the bytes in which it was sent whole; any one of them is the event.
        broken: digest of the bytes in which it was sent broken → the reason to park them.
        sent: how often it was sent in all.
    """

    type: str
    fault: str | None = None
    whole: set[str] = msgspec.field(default_factory=set)
    broken: dict[str, str] = msgspec.field(default_factory=dict)
    sent: int = 0


class SessionTold(msgspec.Struct):
    """What whole messages told of one session: as a reader of these messages knows it."""

    tag: str | None = None
    start: datetime | None = None
    meter_start: int | None = None
    stops: list["StopAsTold"] = msgspec.field(default_factory=list)


class StopAsTold(msgspec.Struct, frozen=True):
    """What one stop told; times are None where the message tells none that can be."""

    tag: str
    start: datetime | None
    end: datetime | None
    meter_start: int | None
    meter_end: int
    energy: int | None


class Truth:
    """Sessions by eMabler's own number, taps, and the latest state of each socket."""

    def __init__(self) -> None:
        self.sessions: dict[int, Booked] = {}
        self.taps: list[Answered] = []
        self.sockets: dict[tuple[str, int], SocketState] = {}

    def learn(self, fact: AnyFact, clock: Clock, received: datetime) -> None:
        """Book a fact as eMabler does on reception."""
        instant = clock.believed(fact.at, received) or received
        match fact:
            case StartTold():
                self.sessions[fact.session.number] = Booked(fact.session, instant)
            case StopTold() if not fact.again:
                self.sessions[fact.session.number].end = instant
            case StateTold():
                self._state(fact, clock, received)

    def forget(self, fact: AnyFact) -> None:
        """Let go of what a fleet that lives on has no more use for: sessions that ended."""
        if isinstance(fact, StopTold) and not fact.again:
            self.sessions.pop(fact.session.number, None)

    def _state(self, fact: StateTold, clock: Clock, received: datetime) -> None:
        told = received if fact.charger.generation is Generation.V1 else None
        instant = told or clock.believed(fact.at, received) or received
        key = fact.charger.id, fact.socket
        before = self.sockets.get(key)
        if before is None or before.instant <= instant:
            self.sockets[key] = SocketState(
                fact.charger, fact.socket, fact.status, fact.error, instant
            )


class Told:
    """What push sent: each event with its bytes' digests, each session as it was told."""

    def __init__(self) -> None:
        self.messages: dict[str, Message] = {}
        self.sessions: dict[int, SessionTold] = {}

    def learn(self, fact: AnyFact, clock: Clock, received: datetime) -> None:
        """Note what a whole message told of a session."""
        instant = clock.believed(fact.at, received) or received
        match fact:
            case StartTold():
                told = self._session(fact.session)
                told.tag = fact.session.tag.id
                told.start = received if fact.charger.generation is Generation.V1 else instant
                told.meter_start = fact.meter
            case StopTold():
                self._session(fact.session).stops.append(_stop(fact, clock, received))

    def _session(self, session: Session) -> SessionTold:
        return self.sessions.setdefault(session.number, SessionTold())


def _stop(fact: StopTold, clock: Clock, received: datetime) -> StopAsTold:
    charger = fact.charger
    if charger.generation is Generation.V1 and not charger.by_full:
        return StopAsTold(fact.session.tag.id, None, received, None, fact.meter_end, None)
    # Judged as they are written: a full message of 2022 tells no reception to fall back on.
    end = clock.believed(fact.at, received)
    if end is None and charger.generation is not Generation.V1:
        end = received
    return StopAsTold(
        tag=fact.session.tag.id,
        start=clock.believed(fact.session.starts, received),
        end=end,
        meter_start=fact.meter_start,
        meter_end=fact.meter_end,
        energy=fact.meter_end - fact.meter_start,
    )
