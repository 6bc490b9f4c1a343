"""How a message gets from eMabler to its customer: whole or broken, once or often, soon or late."""

import json
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from local.emabler.fleet.chance import Chance
from local.emabler.fleet.conditions import Conditions
from local.emabler.fleet.facts import (
    AnyFact,
    Booted,
    StartTold,
    StateTold,
    StopTold,
)
from local.emabler.fleet.faults import MESSAGE_FAULTS, Rates
from local.emabler.fleet.network import Generation
from local.emabler.fleet.writing import write

_TAKES_AWAY: Final = frozenset({"lost", "malformed"})
# A message that these faults made, or made count, is not to be taken away by another.
_TO_BE_SEEN: Final = frozenset(
    {
        "stop_twice",
        "meter_zero_at_start",
        "transaction_id_reused",
        "transaction_id_missing",
    }
)


class Delivery(msgspec.Struct, frozen=True):
    """Bytes on their way; `broken` names the reason for which a reader must put them aside."""

    due: datetime
    name: str
    body: bytes
    broken: str | None = None


class Post:
    """Turns facts into deliveries by the rates of faults."""

    def __init__(
        self, seed: int, ends: datetime | None, rates: Rates, conditions: Conditions
    ) -> None:
        self._seed = seed
        self._ends = ends
        self._rates = rates
        self._conditions = conditions

    def deliveries(
        self, fact: AnyFact, received: datetime
    ) -> tuple[str | None, tuple[Delivery, ...]]:
        """Give the fault that strikes a fact's message, if any, and its deliveries."""
        clock = self._conditions.clock(fact.charger, fact.at)
        name = self._conditions.name(fact)
        body = write(fact, clock, received)
        fault = self._fault(fact, received, name)
        chance = Chance(self._seed, "post", name)
        plain = Delivery(received, name, body)
        match fault:
            case "lost" | "push_silent" | "open_start_lost":
                return fault, ()
            case "malformed":
                broken, reason = _broken(body, chance)
                return fault, (Delivery(received, name, broken, reason),)
            case "late":
                # Minutes are more frequent than days: each doubling is as likely.
                late = timedelta(minutes=2 ** chance.whole(1, 11) + chance.whole(0, 59) / 60)
                return fault, (Delivery(received + late, name, body),)
            case "reordered":
                late = timedelta(seconds=chance.whole(2, 300))
                return fault, (Delivery(received + late, name, body),)
            case "repeated":
                again = [
                    self._again(fact, received, name, chance) for _ in range(chance.whole(1, 3))
                ]
                return fault, (plain, *again)
            case _:
                return None, (plain,)

    def _again(self, fact: AnyFact, received: datetime, name: str, chance: Chance) -> Delivery:
        """A repeat: eMabler's is the same bytes, a charger's was received anew.

        Where the message tells no device time that can be, the reception is the event's time, and
        a charger's repeat would be another event.
        """
        later = received + timedelta(seconds=chance.whole(0, 7200))
        clock = self._conditions.clock(fact.charger, fact.at)
        by_charger = chance.happens(0.5)
        tells_time = (
            (self._ends is None or later < self._ends)
            and fact.charger.generation is not Generation.V1
            and not isinstance(fact, Booted)
            and clock.believed(fact.at, received) is not None
        )
        again = later if by_charger and tells_time else received
        return Delivery(later, name, write(fact, clock, again))

    def _fault(self, fact: AnyFact, received: datetime, name: str) -> str | None:
        closing = isinstance(fact, StateTold) and fact.closing
        if closing:
            return None
        hour = self._conditions.hour(received)
        chance = Chance(self._seed, "message", name)
        session = fact.session if isinstance(fact, StartTold | StopTold) else None
        if session is not None and session.fault == "open_start_lost":
            return session.fault
        silent = Chance(self._seed, "silent", fact.charger.id)
        if self._rates.strikes("push_silent", silent, hour):
            return "push_silent"
        fault = self._rates.one_of(MESSAGE_FAULTS, chance, hour)
        guarded = session is not None and (session.fault in _TO_BE_SEEN or not session.ended)
        return None if guarded and fault in _TAKES_AWAY else fault


def _broken(body: bytes, chance: Chance) -> tuple[bytes, str]:
    """Break a message in one of four ways; give the documented reason to put it aside."""
    way = chance.whole(0, 3)
    if way == 0:
        cut = body[: chance.whole(5, len(body) - 2)]
        return cut.decode(errors="ignore").encode(), "not_json"
    if way == 1:
        return b"<html>502 Bad Gateway " + body[:40] + b"</html>", "not_json"
    fields: dict[str, Any] = json.loads(body)
    if way == 2:  # noqa: PLR2004 - the third of four ways
        # Every shape has a charger, and no charger is a list.
        fields["chargerId"] = [fields["chargerId"]]
        return json.dumps(fields).encode(), "bad_field"
    return json.dumps(
        {"event": fields["chargerId"], "at": str(fields.get("timeStamp"))}
    ).encode(), ("unknown_shape")
