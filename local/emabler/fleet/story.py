"""A charger's story, socket by socket: generators that yield facts in the order of time.

A story yields `Tap`s too and is sent the answer to each: a denied driver does not charge. With the
same answers a story is the same, whenever and beside whatever it is played.
"""

from collections.abc import Generator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final

import msgspec

from local.emabler.fleet.chance import Chance
from local.emabler.fleet.conditions import Conditions
from local.emabler.fleet.facts import (
    AnyFact,
    Booted,
    MetersTold,
    Session,
    StartTold,
    StateTold,
    StopTold,
    name_at,
)
from local.emabler.fleet.faults import SESSION_FAULTS, Rates
from local.emabler.fleet.network import Charger, Standing, Tag
from local.emabler.fleet.visits import DAY, VISITS_A_DAY, Visit, plan_visits

CALM: Final = timedelta(minutes=40)
"""No session ends so close to the end of the play: what is left goes on beyond it. A clock that
goes 25 minutes wrong then still leaves an end in the past."""

_CLOSING: Final = timedelta(seconds=30)
_SEEN: Final = timedelta(minutes=5)
"""A session that begins so close to the end may not be missed yet by who looks at its end."""

_CHARGERS_IN_AN_ID: Final = 10_000
_FIRST_DAY: Final = datetime(2020, 1, 1, tzinfo=UTC)
# Of the two stops that these make, the later one is to be seen: it must be told which that is.
_LATEST_STOP: Final = frozenset({"stop_twice", "transaction_id_reused"})
_FAILURES: Final = ("GroundFailure", "ConnectorLockFailure", "PowerMeterFailure", "OverVoltage")


class Tap(msgspec.Struct, frozen=True):
    """A tag held to a charger's reader, with a name that tells it from all others of the play.

    `offline`: the charger can ask nobody and lets it in.
    """

    charger: Charger
    socket: int
    tag: Tag
    at: datetime
    offline: bool
    name: str

    @property
    def asked(self) -> bool:
        """Whether eMabler asks its customer: not for its own tags, nor while it is not asked."""
        return not self.offline and self.tag.standing is not Standing.REGISTERED


class Setting(msgspec.Struct, frozen=True):
    """What a story is told under. Without `ends` it goes on for ever."""

    seed: int
    begins: datetime
    ends: datetime | None
    meter_every: timedelta
    tags: Sequence[Tag]


type Happening = AnyFact | Tap
type Story = Generator[Happening, bool | None]


def stories(
    charger: Charger, setting: Setting, conditions: Conditions, rates: Rates
) -> Iterator[Story]:
    """Give the stories of a charger: that of its main controller, and one for each socket."""
    yield _main_controller(charger, setting)
    for socket in charger.sockets:
        yield _Socket(charger, socket, setting, conditions, rates).story()


def _main_controller(charger: Charger, setting: Setting) -> Story:
    """A boot when the play begins, and one in some nights."""
    for day in count():
        chance = Chance(setting.seed, "boot", charger.id, day)
        at = setting.begins + day * DAY + timedelta(milliseconds=chance.whole(1_000, 300_000))
        if setting.ends is not None and at >= setting.ends - _CLOSING:
            break
        if day == 0 or chance.happens(0.1):
            yield Booted(charger=charger, at=at)
            yield StateTold(
                charger=charger, at=at + timedelta(seconds=2), socket=0, status="Available"
            )
    if setting.ends is not None:
        yield StateTold(
            charger=charger,
            at=setting.ends - _CLOSING,
            socket=0,
            status="Available",
            closing=True,
        )


class _Socket:
    """One socket's life: its register, its state, its sessions."""

    def __init__(
        self,
        charger: Charger,
        socket: int,
        setting: Setting,
        conditions: Conditions,
        rates: Rates,
    ) -> None:
        self._charger = charger
        self._socket = socket
        self._setting = setting
        self._conditions = conditions
        self._rates = rates
        chance = Chance(setting.seed, "register", charger.id, socket)
        self._register = chance.whole(40_000, 9_000_000)
        self._before: Session | None = None
        self._status = "Available"
        self._error = "NoError"

    def story(self) -> Story:
        """Yield what happens, until the play ends."""
        begins, ends = self._setting.begins, self._setting.ends
        yield self._state(begins + timedelta(seconds=305 + self._socket), "Available")
        free = begins
        for day in count():
            first = begins + day * DAY
            if ends is not None and first >= ends:
                break
            for visit in plan_visits(
                self._setting.seed, self._charger, self._socket, day, first, self._setting.tags
            ):
                if visit.arrives < free:
                    continue  # the one before stays over midnight
                if ends is not None and visit.arrives >= ends - _CLOSING - timedelta(minutes=2):
                    break
                yield from self._visit(visit, day)
                goes_on = self._before is not None and not self._before.ended
                free = ends if goes_on and ends is not None else visit.leaves
        if ends is not None:
            yield self._state(ends - _CLOSING, self._status, self._error, closing=True)

    def _visit(self, visit: Visit, day: int) -> Story:
        yield self._state(visit.arrives, "Preparing")
        offline = self._conditions.offline_until(self._charger, visit.taps) is not None
        name = name_at(self._charger, self._socket, "Tap", visit.taps - self._setting.begins)
        allowed = yield Tap(self._charger, self._socket, visit.tag, visit.taps, offline, name)
        if not allowed:
            yield self._state(visit.taps + timedelta(seconds=40), "Available")
            return
        session = self._session(visit, day)
        yield from self._until_the_end(_charging(visit, session, self._setting.meter_every))
        if session.ended:
            self._register = session.meter_end

    def _until_the_end(self, facts: Iterator[AnyFact]) -> Story:
        """Cut off what the play no longer sees."""
        ends = self._setting.ends
        for fact in facts:
            if ends is not None and fact.at >= ends - _CLOSING:
                return
            if isinstance(fact, StateTold):
                self._status, self._error = fact.status, fact.error
            yield fact

    def _session(self, visit: Visit, day: int) -> Session:
        # By the minute of the play's beginning: a fleet that is begun anew takes no id twice.
        minutes = (self._setting.begins + day * DAY - _FIRST_DAY) // timedelta(minutes=1)
        number = minutes * _CHARGERS_IN_AN_ID * VISITS_A_DAY
        number += self._charger.number * VISITS_A_DAY + visit.number
        ends = self._setting.ends
        session = Session(
            number=number * 10 + 7,
            transaction=str(number),
            charger=self._charger,
            socket=self._socket,
            tag=visit.tag,
            starts=visit.starts,
            ends=visit.ends,
            meter_start=self._register,
            meter_end=self._register + visit.energy(visit.ends),
            ended=ends is None or visit.ends <= ends - CALM,
        )
        self._strike(
            session, Chance(self._setting.seed, "session", self._charger.id, day, visit.number)
        )
        self._before = session
        return session

    def _strike(self, session: Session, chance: Chance) -> None:
        """Draw the session's fault, if any, and give it the id that goes with it."""
        hour = self._conditions.hour(session.starts)
        if not session.ended:
            ends = self._setting.ends
            if ends is not None and session.starts <= ends - _SEEN:
                session.fault = self._rates.one_of(["open_start_lost"], chance, hour)
            return
        fault = self._rates.one_of(SESSION_FAULTS, chance, hour)
        if fault in _LATEST_STOP and not self._conditions.tells_ends(self._charger, session.ends):
            return
        before = self._before
        if fault == "transaction_id_reused":
            # Only a plain session lends its id: each fault is to be seen by itself.
            if before is None or before.fault is not None or not before.ended:
                return
            session.transaction = before.transaction
            before.fault = "transaction_id_lent"
        elif fault == "transaction_id_missing":
            # Without an id only its times tell what belongs together.
            if not self._conditions.tells_times(self._charger, session.starts, session.ends):
                return
            session.transaction = chance.one_of(("-1", "0"))
        session.fault = fault

    def _state(
        self, at: datetime, status: str, error: str = "NoError", *, closing: bool = False
    ) -> StateTold:
        self._status, self._error = status, error
        return StateTold(
            charger=self._charger,
            at=at,
            socket=self._socket,
            status=status,
            error=error,
            closing=closing,
        )


def _charging(visit: Visit, session: Session, meter_every: timedelta) -> Iterator[AnyFact]:
    """A session from start to plug out, in the order of time."""
    charger, number = session.charger, session.socket
    seconds = timedelta(seconds=1)
    zero = session.fault == "meter_zero_at_start"
    told = 0 if zero else session.meter_start

    def state(at: datetime, status: str, error: str = "NoError") -> StateTold:
        return StateTold(charger=charger, at=at, socket=number, status=status, error=error)

    yield StartTold(charger=charger, at=session.starts, session=session, meter=told)
    yield state(session.starts + seconds, "Charging")
    yield from _meters(visit, session, meter_every)
    if session.ended:
        if visit.breaks:
            failure = _FAILURES[(charger.number + visit.number) % len(_FAILURES)]
            yield state(session.ends - seconds / 2, "Faulted", failure)
        yield StopTold(
            charger=charger,
            at=session.ends,
            session=session,
            meter_start=told,
            meter_end=session.meter_end,
        )
        if not visit.breaks:
            yield state(session.ends + seconds, "Finishing")
        yield from _again(session, visit, told)
        yield state(visit.leaves, "Available")


def _again(session: Session, visit: Visit, told: int) -> Iterator[StopTold]:
    """A second stop, before the plug comes out, which says something else."""
    if session.fault == "stop_twice":
        yield StopTold(
            charger=session.charger,
            at=session.ends + (visit.leaves - session.ends) / 2,
            session=session,
            meter_start=told,
            meter_end=session.meter_end + 137,
            again=True,
        )


def _meters(visit: Visit, session: Session, every: timedelta) -> Iterator[AnyFact]:
    """Meter values in regular steps, and one state between them when the car takes no more."""
    full = visit.full + timedelta(seconds=3)
    suspended = not visit.full < visit.ends
    of_transaction = session.fault != "measurements_without_transaction"
    for step in count(1):
        at = session.starts + step * every
        if not suspended and full < min(at, session.ends):
            suspended = True
            yield StateTold(
                charger=session.charger, at=full, socket=session.socket, status="SuspendedEV"
            )
        if at >= session.ends:
            return
        fast = session.charger.model.direct_current
        share = (at - session.starts) / (visit.full - session.starts)
        yield MetersTold(
            charger=session.charger,
            at=at,
            session=session,
            register=session.meter_start + visit.energy(at),
            watts=visit.watts(at),
            charge=min(20 + int(70 * share), 90) if fast else None,
            of_transaction=of_transaction,
        )
