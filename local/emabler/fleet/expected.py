"""What a right store holds when push has told what it told and REST was reconciled.

Derived from the truth and from what whole messages told, by the rules that are documented for a
reader of both: what push tells of a session stands on top, the latest stop first; what it does not
tell comes from REST. Where that differs from eMabler's books by nature, `differs` says why.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from local.emabler.fleet.network import REASONS
from local.emabler.fleet.truth import (
    Answered,
    Booked,
    SessionTold,
    SocketState,
    StopAsTold,
    Told,
    Truth,
)

AGREEMENT: Final = timedelta(seconds=2)
_REUSED_AFTER: Final = timedelta(days=1)
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_MISSING_IDS: Final = frozenset({"-1", "0"})


class ExpectedSession(msgspec.Struct, frozen=True, kw_only=True):
    """One session as the store must show it. Energy and meters in Wh.

    Attributes:
        transaction: None where the session's id identifies nothing: socket and times tell it then.
        books: how many sessions of eMabler's books it stands for; more than one where an id was
            used again.
        differs: why it must differ from the books, in the words of a fault; empty otherwise.
    """

    charger: str
    transaction: str | None
    socket: int
    state: str
    start: datetime | None
    end: datetime | None
    energy_wh: int | None
    meter_start_wh: int | None
    meter_end_wh: int | None
    tag: str
    sources: tuple[str, ...]
    findings: tuple[str, ...]
    books: int
    differs: str


class ExpectedTap(msgspec.Struct, frozen=True, kw_only=True):
    """One tap: what was to be answered, and what was."""

    charger: str
    standing: str
    asked: bool
    right: bool
    allowed: bool
    by: str
    reason: str | None
    seconds: float | None


class ExpectedSocket(msgspec.Struct, frozen=True, kw_only=True):
    """The latest state of one socket."""

    charger: str
    socket: int
    status: str
    error_code: str
    instant: datetime


class ExpectedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event: the digests (SHA-256) of the bytes in which it was sent whole, and how often."""

    name: str
    type: str
    fault: str | None
    bodies: tuple[str, ...]
    sent: int


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """All that a right store holds, and what taps were answered.

    Attributes:
        parked: digest of bytes that cannot be read → the reason.
    """

    sessions: tuple[ExpectedSession, ...]
    sockets: tuple[ExpectedSocket, ...]
    taps: tuple[ExpectedTap, ...]
    events: tuple[ExpectedEvent, ...]
    parked: dict[str, str]


def expected(truth: Truth, told: Told) -> Expected:
    """Derive it. Whoever compares brings the store's own words."""
    return Expected(
        sessions=tuple(_sessions(truth, told)),
        sockets=tuple(_socket(state) for _, state in sorted(truth.sockets.items())),
        taps=tuple(_tap(each) for each in sorted(truth.taps, key=lambda each: each.tap.name)),
        events=tuple(
            ExpectedEvent(
                name=name,
                type=message.type,
                fault=message.fault,
                bodies=tuple(sorted(message.whole)),
                sent=message.sent,
            )
            for name, message in sorted(told.messages.items())
        ),
        parked={
            digest: reason
            for _, message in sorted(told.messages.items())
            for digest, reason in message.broken.items()
        },
    )


def _sessions(truth: Truth, told: Told) -> Iterable[ExpectedSession]:
    groups: dict[tuple[str, str, int], list[Booked]] = defaultdict(list)
    for number, booked in sorted(truth.sessions.items()):
        session = booked.session
        apart = number if session.transaction in _MISSING_IDS else 0
        groups[session.charger.id, session.transaction, apart].append(booked)
    for _, group in sorted(groups.items()):
        tellings = [told.sessions.get(booked.session.number, SessionTold()) for booked in group]
        yield _session(group, tellings)


def _session(group: Sequence[Booked], tellings: Sequence[SessionTold]) -> ExpectedSession:
    """One id's sessions, most often one, as their claims make it: the latest on top."""
    session = group[-1].session
    stops = sorted((stop for each in tellings for stop in each.stops), key=_by_end)
    starts = sorted((each for each in tellings if each.start is not None), key=_by_start)
    ended = [booked for booked in group if booked.end is not None]
    stop = stops[-1] if stops else None
    start = starts[-1] if starts else None
    rest = ended[-1] if ended else None
    # REST's list of sessions that go on counts where nobody else tells of one.
    goes_on = group[-1] if stop is None and start is None and rest is None else None
    energy = _energy(stop, start)
    return ExpectedSession(
        charger=session.charger.id,
        transaction=None if session.transaction in _MISSING_IDS else session.transaction,
        socket=session.socket,
        state="ended" if stop or rest else "open",
        start=_first(each.start for each in (stop, start, rest, goes_on) if each),
        end=_first(each.end for each in (stop, rest) if each),
        energy_wh=_first((energy, rest.session.energy if rest else None)),
        meter_start_wh=session.meter_start
        if goes_on
        else _first(each.meter_start for each in (stop, start) if each),
        meter_end_wh=stop.meter_end if stop else None,
        tag=_first(each.tag for each in (stop, start) if each) or session.tag.id,
        sources=tuple(
            name
            for name, there in (
                ("start", start),
                ("stop", stop),
                ("rest", rest),
                ("ongoing", goes_on),
            )
            if there is not None
        ),
        findings=tuple(_findings(stops, starts)),
        books=len(group),
        differs=_differs(group, stop, start, energy),
    )


def _first[T](values: Iterable[T | None]) -> T | None:
    return next((value for value in values if value is not None), None)


def _by_end(stop: StopAsTold) -> tuple[datetime, int]:
    return stop.end or _NEVER, stop.meter_end


def _by_start(told: SessionTold) -> datetime:
    return told.start or _NEVER


def _energy(stop: StopAsTold | None, start: SessionTold | None) -> int | None:
    """What push tells of the energy; a stop of 2022 tells its meter only."""
    if stop is None or stop.energy is not None:
        return stop.energy if stop else None
    if start is None or start.meter_start is None:
        return None
    return stop.meter_end - start.meter_start


def _findings(stops: Sequence[StopAsTold], starts: Sequence[SessionTold]) -> Iterable[str]:
    if any(_contradict(one, other) for one in stops for other in stops):
        yield "stop_conflict"
    times = [each.start for each in starts if each.start is not None]
    if times and max(times) - min(times) > _REUSED_AFTER:
        yield "transaction_id_reused"


def _contradict(one: StopAsTold, other: StopAsTold) -> bool:
    if one.end and other.end and abs(one.end - other.end) > AGREEMENT:
        return True
    told = one.energy is not None and other.energy is not None
    return one.meter_end != other.meter_end or (told and one.energy != other.energy)


def _differs(
    group: Sequence[Booked],
    stop: StopAsTold | None,
    start: SessionTold | None,
    energy: int | None,
) -> str:
    """Why the store cannot show what the books say; empty where it must."""
    booked = group[-1]
    if booked.session.fault in {"stop_twice", "meter_zero_at_start", "transaction_id_reused"}:
        return booked.session.fault
    first = _first(each.start for each in (stop, start) if each)
    apart = [
        first is not None and abs(first - booked.start) > AGREEMENT,
        bool(stop and stop.end and booked.end and abs(stop.end - booked.end) > AGREEMENT),
    ]
    if any(apart):
        return "offline"
    return "energy" if energy is not None and energy != booked.session.energy else ""


def _socket(state: SocketState) -> ExpectedSocket:
    return ExpectedSocket(
        charger=state.charger.id,
        socket=state.socket,
        status=state.status,
        error_code=state.error,
        instant=state.instant,
    )


def _tap(answered: Answered) -> ExpectedTap:
    tap = answered.tap
    reason = REASONS.get(tap.tag.standing)
    asked = answered.by == "customer"
    return ExpectedTap(
        charger=tap.charger.id,
        standing=str(tap.tag.standing),
        asked=tap.asked,
        right=not asked or (answered.allowed, answered.reason) == (reason is None, reason),
        allowed=answered.allowed,
        by=answered.by,
        reason=answered.reason,
        seconds=answered.seconds,
    )
