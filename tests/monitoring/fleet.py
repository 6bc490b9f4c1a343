"""What a charging fleet does on a day: taps, sessions and states, by the hour.

Push and REST tell of one session by the same facts: its messages and its records are made of it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from local.emabler.records import FinishedSession, OngoingSession
from shared.instants import format_instant
from shared.tags.records import Tag
from tests import payloads

CHARGERS = 120
SESSIONS_A_DAY = 12
STATES_EVERY = timedelta(minutes=30)
HASH_KEY = "made up: key of the tag hash, long enough"
_PREFIX = "04CANARY"
_KNOWN, _BLOCKED, _EXPIRED = 150, 8, 5
_LEFT = 0.05
"""Who is let in and drives away."""
_BY_HOUR = (1, 1, 1, 1, 1, 2, 4, 7, 8, 6, 5, 5, 6, 5, 5, 6, 8, 9, 8, 6, 4, 3, 2, 1)
_BUSIEST = max(_BY_HOUR)
_BY_WEBHOOK = 8
"""Every eighth charger's events come by webhook."""
_CHARGED_WH_A_SECOND = 3
SITE = 77


@dataclass(frozen=True, slots=True)
class Session:
    """One charging session; `number` is eMabler's own."""

    number: int
    charger: str
    transaction: str
    tag: str
    start: datetime
    stop: datetime

    @property
    def energy_wh(self) -> int:
        """What was charged."""
        return round((self.stop - self.start).total_seconds() * _CHARGED_WH_A_SECOND)

    def started(self) -> bytes:
        """What push tells of its start."""
        told = _told(self.charger, self.start)
        return payloads.start_v2(**told, **self._common(), meterRead=0)

    def stopped(self) -> bytes:
        """What push tells of its end."""
        return payloads.full_v2(
            chargerId=self.charger,
            receivedTimestamp=format_instant(self.stop),
            deviceTimeStampStart=format_instant(self.start),
            deviceTimeStampEnd=format_instant(self.stop),
            **self._common(),
            meterReadStart=0,
            meterReadEnd=self.energy_wh,
            consumptionWh=self.energy_wh,
        )

    def ongoing(self) -> OngoingSession:
        """How REST lists it while it goes on."""
        return OngoingSession(
            charger_id=self.charger,
            socket_id=1,
            transaction_id=self.transaction,
            start_time=format_instant(self.start),
            authorized_id_tag=self.tag,
            site_id=SITE,
        )

    def finished(self, more_wh: int = 0) -> FinishedSession:
        """How REST lists it afterwards, with so much more energy than push tells."""
        return FinishedSession(
            id=self.number,
            charger_id=self.charger,
            socket_id=1,
            timestamp_start=format_instant(self.start),
            timestamp_end=format_instant(self.stop),
            evse_transaction_id=self.transaction,
            authorized_tag_id=self.tag,
            full_consumption_wh=self.energy_wh + more_wh,
            site_id=SITE,
        )

    def _common(self) -> dict[str, str]:
        return {"transactionId": self.transaction, "authorizedIdTag": self.tag}


@dataclass(frozen=True, slots=True, order=True)
class Happening:
    """Something at a charger: a tap (with its tag) or an event (with its message)."""

    at: datetime
    charger: str
    tag: str = ""
    message: bytes = b""

    @property
    def by_webhook(self) -> bool:
        """Whether this charger's events come by webhook."""
        return int(self.charger.rpartition("-")[2]) % _BY_WEBHOOK == 0


def tags(began: datetime) -> Iterator[Tag]:
    """The tags that the operator knows."""
    for number in range(_KNOWN):
        yield Tag(tag=_tag(number))
    for number in range(_KNOWN, _KNOWN + _BLOCKED):
        yield Tag(tag=_tag(number), blocked=True)
    for number in range(_KNOWN + _BLOCKED, _KNOWN + _BLOCKED + _EXPIRED):
        yield Tag(tag=_tag(number), valid_until=began - timedelta(days=30))


def _tag(number: int) -> str:
    return f"{_PREFIX}{number:06X}"


def may_charge(tag: str) -> bool:
    """Whether a session follows a tap with this tag."""
    return int(tag.removeprefix(_PREFIX), 16) < _KNOWN


def tag_of(random: Random) -> str:
    """The tag that somebody taps with: nearly always one that is known and may charge."""
    kind = random.random()
    if kind < 0.94:
        return _tag(random.randrange(_KNOWN))
    if kind < 0.98:
        return _tag(_KNOWN + random.randrange(_BLOCKED + _EXPIRED))
    return _tag(5000 + random.randrange(5000))


@dataclass(frozen=True, slots=True)
class Story:
    """What happens in a time, in its order, and the sessions among it."""

    happenings: list[Happening]
    sessions: list[Session]


def chargers() -> list[str]:
    """The chargers' ids."""
    return [f"CH-{number:04}" for number in range(CHARGERS)]


def story(began: datetime, lasting: timedelta, random: Random) -> Story:
    """What a fleet does in a time."""
    sessions: list[Session] = []
    each = [
        _of_charger(charger, began, began + lasting, random, sessions) for charger in chargers()
    ]
    return Story(list(heapq.merge(*each)), sessions)


def _of_charger(
    charger: str, began: datetime, end: datetime, random: Random, sessions: list[Session]
) -> list[Happening]:
    found = []
    at = began + random.random() * STATES_EVERY
    while at < end:
        state = payloads.state_v2(**_told(charger, at), status="Available")
        found.append(Happening(_arrives(at, random), charger, message=state))
        at += STATES_EVERY
    # Chances of an hour, thinned by how busy it is.
    mean = timedelta(days=1) * (sum(_BY_HOUR) / len(_BY_HOUR) / _BUSIEST) / SESSIONS_A_DAY
    at = began
    while True:
        at += random.expovariate(1) * mean
        if at >= end:
            return sorted(found)
        if random.random() < _BY_HOUR[at.hour] / _BUSIEST:
            tag, left = tag_of(random), random.random() < _LEFT
            found.append(Happening(at, charger, tag=tag))
            if may_charge(tag) and not left:
                session = _session(charger, tag, at, random, number=len(sessions) + 1)
                sessions.append(session)
                found += (
                    Happening(_arrives(session.start, random), charger, message=session.started()),
                    Happening(_arrives(session.stop, random), charger, message=session.stopped()),
                )
                at = session.stop


def _session(charger: str, tag: str, at: datetime, random: Random, *, number: int) -> Session:
    start = at + timedelta(seconds=5)
    stop = start + timedelta(minutes=random.uniform(8, 50))
    return Session(number, charger, f"{at:%d%H%M}{number}", tag, start, stop)


def earlier(day: datetime) -> list[Session]:
    """The few sessions of a day before: one in each hour, told by push and REST alike."""
    found = []
    for hour in range(24):
        start = day + timedelta(hours=hour, minutes=10)
        number = 1_000_000 + day.toordinal() * 100 + hour
        charger, tag = f"CH-{(day.day * 24 + hour) % CHARGERS:04}", _tag(hour)
        stop = start + timedelta(minutes=30)
        found.append(Session(number, charger, f"{day:%d}{hour}77", tag, start, stop))
    return found


def _told(charger: str, at: datetime) -> dict[str, str]:
    instant = format_instant(at)
    return {"chargerId": charger, "receivedTimestamp": instant, "deviceTimeStamp": instant}


def _arrives(at: datetime, random: Random) -> datetime:
    return at + timedelta(seconds=random.uniform(0.2, 4))
