"""What happens at chargers, before any generation's words: what messages and books are made of.

Instants named `at` are real ones. A charger's clock, and what eMabler makes of it, is `Clock`.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from local.emabler.fleet.network import Charger, Tag

_MOST_AHEAD: Final = timedelta(days=1)
_MOST_BEHIND: Final = timedelta(days=365)
_FIRST_CHARGERS: Final = datetime(2015, 1, 1, tzinfo=UTC)


class Clock(msgspec.Struct, frozen=True):
    """A charger's clock: how far it is ahead of the real time (behind where negative)."""

    ahead: timedelta = timedelta(0)

    def device(self, at: datetime) -> datetime:
        """What the charger takes for the time."""
        return at + self.ahead

    def believed(self, at: datetime, received: datetime) -> datetime | None:
        """The device's time where it can be: not before 2015, a day ahead or a year behind."""
        device = self.device(at)
        if device < _FIRST_CHARGERS or device > received + _MOST_AHEAD:
            return None
        return device if device >= received - _MOST_BEHIND else None


class Session(msgspec.Struct):
    """One charging session as it took place; the truth, whatever is told of it.

    Attributes:
        number: eMabler's own number of it (`id` of the finished list).
        transaction: the id that the charger and eMabler give it.
        fault: the one fault of a session that struck it.
        ended: whether it comes to its end within the play.
        meter_start, meter_end: the socket's register, Wh.
    """

    number: int
    transaction: str
    charger: Charger
    socket: int
    tag: Tag
    starts: datetime
    ends: datetime
    meter_start: int
    meter_end: int
    fault: str | None = None
    ended: bool = False

    @property
    def energy(self) -> int:
        """Wh."""
        return self.meter_end - self.meter_start


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a charger tells: where and when."""

    charger: Charger
    at: datetime


class Booted(Fact, frozen=True, kw_only=True):
    """The charger started."""


class StateTold(Fact, frozen=True, kw_only=True):
    """A socket's state; `closing` ones are told at the day's end, and no fault strikes them."""

    socket: int
    status: str
    error: str = "NoError"
    message: str = ""
    closing: bool = False


class StartTold(Fact, frozen=True, kw_only=True):
    """A session began. `meter` is the register as it is told."""

    session: Session
    meter: int


class StopTold(Fact, frozen=True, kw_only=True):
    """A session ended. A `again` one comes after a first one that says otherwise."""

    session: Session
    meter_start: int
    meter_end: int
    again: bool = False


class MetersTold(Fact, frozen=True, kw_only=True):
    """Meter values within a session, which is told only where `of_transaction`."""

    session: Session
    register: int
    watts: int
    charge: int | None
    of_transaction: bool = True


type AnyFact = Booted | StateTold | StartTold | StopTold | MetersTold


def socket_of(fact: AnyFact) -> int | None:
    """The socket that a fact is about; a boot is about none."""
    match fact:
        case Booted():
            return None
        case StateTold():
            return fact.socket
        case _:
            return fact.session.socket


def name_of(fact: AnyFact, begins: datetime) -> str:
    """What tells the fact from all others of a play, in any order and whenever it is played."""
    return name_at(fact.charger, socket_of(fact), type(fact).__name__, fact.at - begins)


def name_at(charger: Charger, socket: int | None, kind: str, since: timedelta) -> str:
    """Name what happens at a socket (None: the charger) so long after the play's beginning."""
    seconds = since // timedelta(seconds=1)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    place = "-" if socket is None else socket
    return f"{charger.id}/{place}/{kind}/{clock}.{since.microseconds:06}"
