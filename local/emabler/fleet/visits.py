"""The plan of a day on one socket: who comes when, with which tag, and what the car would take.

A visit is planned whether or not the driver is let in: what follows from a denial is that the
session does not take place. So later visits do not depend on answers; meter registers do.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from local.emabler.fleet.chance import Chance
from local.emabler.fleet.network import Charger, Tag

DAY: Final = timedelta(hours=24)
VISITS_A_DAY: Final = 100
"""Transaction ids keep two digits for the visits of a charger's day."""

_FULL_POWER_SHARE: Final = 0.7
_LAST_POWER: Final = 0.3
_MOST_OF_A_SOCKET: Final = 48


class Visit(msgspec.Struct, frozen=True):
    """One driver at one socket.

    Attributes:
        number: counts the visits of a charger's day, from 0.
        arrives: the plug goes in.
        taps: the tag is held to the reader.
        starts, ends: the session, should it take place.
        full: the car takes no more from here on; `ends` where it never does.
        leaves: the plug comes out.
        power: the car's highest power, W.
        breaks: the socket fails at the end of the session.
    """

    number: int
    tag: Tag
    arrives: datetime
    taps: datetime
    starts: datetime
    full: datetime
    ends: datetime
    leaves: datetime
    power: int
    breaks: bool

    def energy(self, at: datetime) -> int:
        """The energy taken up to an instant, Wh: full power first, then ever less until full."""
        seconds = (self.full - self.starts).total_seconds()
        passed = min(max((at - self.starts).total_seconds(), 0.0), seconds)
        plain = seconds * _FULL_POWER_SHARE
        wattseconds = self.power * min(passed, plain)
        if passed > plain:
            behind = passed - plain
            slope = (1 - _LAST_POWER) / (seconds - plain)
            wattseconds += self.power * (behind - slope * behind * behind / 2)
        return int(wattseconds / 3600)

    def watts(self, at: datetime) -> int:
        """The power at an instant, W."""
        seconds = (self.full - self.starts).total_seconds()
        passed = (at - self.starts).total_seconds()
        plain = seconds * _FULL_POWER_SHARE
        if not 0 <= passed < seconds:
            return 0
        if passed <= plain:
            return self.power
        return int(self.power * (1 - (1 - _LAST_POWER) * (passed - plain) / (seconds - plain)))


def plan_visits(
    seed: int, charger: Charger, socket: int, day: int, begins: datetime, tags: Sequence[Tag]
) -> Iterator[Visit]:
    """Plan one day on one socket, in the order of time; visits do not overlap.

    Args:
        seed: the fleet's.
        charger: whose socket it is.
        socket: its number.
        day: counts the days from 0.
        begins: when this day begins.
        tags: of all drivers; those of the charger's neighbourhood come more often.
    """
    chance = Chance(seed, "visits", charger.id, socket, day)
    at = begins + _minutes(chance.whole(20, 240))
    for count in range(_MOST_OF_A_SOCKET):
        visit = _visit(chance, charger, count * 2 + socket - 1, at, tags)
        if visit.arrives > begins + DAY - _minutes(15):
            return
        yield visit
        at = visit.leaves + _minutes(chance.whole(5, _pause(at, begins)))


def _visit(
    chance: Chance, charger: Charger, number: int, at: datetime, tags: Sequence[Tag]
) -> Visit:
    arrives = at + timedelta(milliseconds=chance.whole(0, 59_999))
    taps = arrives + timedelta(milliseconds=chance.whole(6_000, 25_000))
    starts = taps + timedelta(milliseconds=chance.whole(2_500, 6_000))
    fast = charger.model.direct_current
    charging = chance.whole(12, 50) if fast else chance.whole(30, 200)
    idle = 0 if chance.happens(0.5) else chance.whole(3, 10 if fast else 90)
    breaks = chance.happens(0.03)
    full = starts + _minutes(charging) + timedelta(milliseconds=chance.whole(0, 59_999))
    ends = full if breaks else full + _minutes(idle)
    return Visit(
        number=number,
        tag=_tag(chance, charger, tags),
        arrives=arrives,
        taps=taps,
        starts=starts,
        full=full,
        ends=ends,
        leaves=ends + _minutes(chance.whole(10, 40) if breaks else chance.whole(1, 12)),
        power=chance.one_of(charger.model.powers) * chance.whole(80, 100) // 100,
        breaks=breaks,
    )


def _tag(chance: Chance, charger: Charger, tags: Sequence[Tag]) -> Tag:
    """Half of the visits are by one of a few dozen tags of the neighbourhood."""
    if chance.happens(0.5):
        first = charger.number * 5 % len(tags)
        return tags[(first + chance.whole(0, 29)) % len(tags)]
    return chance.one_of(tags)


def _pause(at: datetime, begins: datetime) -> int:
    """The longest pause between two drivers, minutes: long at night, short by day."""
    hour = (at - begins).total_seconds() / 3600
    return 200 if 6 <= hour < 20 else 420  # noqa: PLR2004 - hours of the day


def _minutes(count: int) -> timedelta:
    return timedelta(minutes=count)
