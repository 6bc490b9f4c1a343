"""What a charging fleet does on a day: taps, sessions and states, by the hour."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from shared.instants import format_instant
from shared.tags.records import Tag
from tests import payloads

CHARGERS = 120
SESSIONS_A_DAY = 12
STATES_EVERY = timedelta(minutes=30)
HASH_KEY = "made up: key of the tag hash, long enough"
_KNOWN, _BLOCKED, _EXPIRED = 150, 8, 5
_BY_HOUR = (1, 1, 1, 1, 1, 2, 4, 7, 8, 6, 5, 5, 6, 5, 5, 6, 8, 9, 8, 6, 4, 3, 2, 1)
_BUSIEST = max(_BY_HOUR)
_BY_WEBHOOK = 8
"""Every eighth charger's events come by webhook."""


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
    return f"04CANARY{number:06X}"


def tag_of(random: Random) -> str:
    """The tag that somebody taps with: nearly always one that is known and may charge."""
    kind = random.random()
    if kind < 0.94:
        return _tag(random.randrange(_KNOWN))
    if kind < 0.98:
        return _tag(_KNOWN + random.randrange(_BLOCKED + _EXPIRED))
    return _tag(5000 + random.randrange(5000))


def happenings(began: datetime, lasting: timedelta, random: Random) -> list[Happening]:
    """All that happens, in the order of time."""
    chargers = [f"CH-{number:04}" for number in range(CHARGERS)]
    each = [_of_charger(charger, began, began + lasting, random) for charger in chargers]
    return list(heapq.merge(*each))


def _of_charger(charger: str, began: datetime, end: datetime, random: Random) -> list[Happening]:
    found = []
    at = began + random.random() * STATES_EVERY
    while at < end:
        state = payloads.state_v2(**_told(charger, at), status="Available")
        found.append(Happening(_arrives(at, random), charger, message=state))
        at += STATES_EVERY
    # Chances of an hour, thinned by how busy it is.
    mean = timedelta(days=1) * (sum(_BY_HOUR) / len(_BY_HOUR) / _BUSIEST) / SESSIONS_A_DAY
    at = began
    number = 0
    while True:
        at += random.expovariate(1) * mean
        if at >= end:
            return sorted(found)
        if random.random() < _BY_HOUR[at.hour] / _BUSIEST:
            number += 1
            last = _session(charger, f"{at:%d%H%M}{number}", at, random, found)
            at = last


def _session(
    charger: str, transaction: str, at: datetime, random: Random, found: list[Happening]
) -> datetime:
    tag = tag_of(random)
    found.append(Happening(at, charger, tag=tag))
    if random.random() < 0.05:
        return at
    start = at + timedelta(seconds=5)
    stop = start + timedelta(minutes=random.uniform(8, 50))
    common = {"transactionId": transaction, "authorizedIdTag": tag}
    energy = round((stop - start).total_seconds() * 3)
    started = payloads.start_v2(**_told(charger, start), **common, meterRead=0)
    stopped = payloads.full_v2(
        chargerId=charger,
        receivedTimestamp=format_instant(stop),
        deviceTimeStampStart=format_instant(start),
        deviceTimeStampEnd=format_instant(stop),
        **common,
        meterReadStart=0,
        meterReadEnd=energy,
        consumptionWh=energy,
    )
    found.append(Happening(_arrives(start, random), charger, message=started))
    found.append(Happening(_arrives(stop, random), charger, message=stopped))
    return stop


def _told(charger: str, at: datetime) -> dict[str, str]:
    instant = format_instant(at)
    return {"chargerId": charger, "receivedTimestamp": instant, "deviceTimeStamp": instant}


def _arrives(at: datetime, random: Random) -> datetime:
    return at + timedelta(seconds=random.uniform(0.2, 4))
