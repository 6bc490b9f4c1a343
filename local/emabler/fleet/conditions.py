"""How a charger is connected and how its clock goes: when eMabler receives what it tells."""

from datetime import UTC, datetime, timedelta
from typing import Final

from local.emabler.fleet.chance import Chance
from local.emabler.fleet.facts import AnyFact, Clock, name_of
from local.emabler.fleet.faults import Rates
from local.emabler.fleet.network import Charger, Generation
from local.emabler.fleet.visits import DAY

_HOUR: Final = timedelta(hours=1)
_LONGEST_OFFLINE_HOURS: Final = 5
# A whole day of what was kept is sent within some minutes.
_BURST: Final = 500
_LONGEST_BURST: Final = _LONGEST_OFFLINE_HOURS * _HOUR / _BURST
_MOST_MINUTES_WRONG: Final = 25
_PAST: Final = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2000, 1, 1, tzinfo=UTC))
_FUTURE: Final = datetime(2036, 2, 7, tzinfo=UTC)


class Conditions:
    """What each charger meets. Drawn once for each hour or day, then kept."""

    def __init__(self, seed: int, begins: datetime, rates: Rates) -> None:
        self._seed = seed
        self._begins = begins
        self._rates = rates
        self._clocks: dict[tuple[int, int], Clock] = {}
        self._outages: dict[tuple[int, int], tuple[datetime, datetime] | None] = {}

    def hour(self, at: datetime) -> float:
        """The hour of the day in which an instant lies, counted from the day's beginning."""
        return ((at - self._begins) % DAY) / _HOUR

    def name(self, fact: AnyFact) -> str:
        """What tells a fact from all others of the play."""
        return name_of(fact, self._begins)

    def clock(self, charger: Charger, at: datetime) -> Clock:
        """The charger's clock on that day."""
        day = (at - self._begins) // DAY
        key = charger.number, day
        if key not in self._clocks:
            self._clocks[key] = self._draw_clock(charger, day)
        return self._clocks[key]

    def tells_ends(self, charger: Charger, at: datetime) -> bool:
        """Whether a stop of the charger tells its end: by a time that can be, or by reception.

        A full message of 2022 tells no reception, so that a clock of 1970 leaves it without any.
        """
        full_of_2022 = charger.generation is Generation.V1 and charger.by_full
        return not full_of_2022 or self.clock(charger, at).believed(at, at) is not None

    def tells_times(self, charger: Charger, *instants: datetime) -> bool:
        """Whether the charger's messages of these instants tell the books' times.

        Those of 2022 tell the time of reception, which differs from a wrong clock's and from that
        of what was sent late.
        """
        if charger.generation is not Generation.V1:
            return True
        return not any(
            self.clock(charger, at) != Clock()
            or self.offline_until(charger, at)
            or self.offline_until(charger, at - _LONGEST_BURST)
            for at in instants
        )

    def offline_until(self, charger: Charger, at: datetime) -> tuple[datetime, datetime] | None:
        """The outage in which an instant lies: its begin and its end; None while connected."""
        return self._covering(charger, at, (at - self._begins) // _HOUR)

    def received(self, fact: AnyFact) -> datetime:
        """When eMabler receives a fact: soon, or in a burst when the charger is back."""
        delay = timedelta(milliseconds=Chance(self._seed, "delay", self.name(fact)).whole(40, 900))
        soon = fact.at + delay
        outage = self.offline_until(fact.charger, fact.at)
        if outage is not None:
            return outage[1] + (fact.at - outage[0]) / _BURST
        # What happens while the burst lasts comes behind it.
        outage = self.offline_until(fact.charger, fact.at - _LONGEST_BURST)
        return soon if outage is None else max(soon, outage[1] + (fact.at - outage[0]) / _BURST)

    def _draw_clock(self, charger: Charger, day: int) -> Clock:
        chance = Chance(self._seed, "clock", charger.id, day)
        if not self._rates.strikes("clock_wrong", chance):
            return Clock()
        if chance.happens(0.6):
            return Clock(timedelta(minutes=chance.whole(-_MOST_MINUTES_WRONG, _MOST_MINUTES_WRONG)))
        # A full message of 2022 tells no time of reception to judge a future one by.
        future = () if charger.generation is Generation.V1 else (_FUTURE,)
        return Clock(chance.one_of((*_PAST, *future)) - self._begins)

    def _covering(
        self, charger: Charger, at: datetime, last: int
    ) -> tuple[datetime, datetime] | None:
        for hour in range(last, max(last - _LONGEST_OFFLINE_HOURS - 1, -1), -1):
            outage = self._outage(charger, hour)
            if outage is not None and outage[0] <= at < outage[1]:
                return outage
        return None

    def _outage(self, charger: Charger, hour: int) -> tuple[datetime, datetime] | None:
        """The outage that begins in an hour. The rate is that of a day, spread over its hours."""
        key = charger.number, hour
        if key not in self._outages:
            chance = Chance(self._seed, "offline", charger.id, hour)
            first, last = self._rates.hours_of("offline")
            rate = self._rates.rate("offline", hour % 24) / max(last - first, 1)
            outage = None
            if chance.happens(rate):
                gone = self._begins + hour * _HOUR + timedelta(minutes=chance.whole(0, 59))
                outage = gone, gone + timedelta(minutes=chance.whole(60, 300))
                # One that is cut off already, or still sends what it kept, is not cut off again.
                if any(
                    self._covering(charger, moment, hour - 1)
                    for moment in (gone, gone - _LONGEST_BURST)
                ):
                    outage = None
            self._outages[key] = outage
        return self._outages[key]
