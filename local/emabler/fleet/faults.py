"""What goes wrong in a fleet and on the way from it: one table, and how a person writes it.

A fault strikes messages, sessions or chargers; its rate is the share of those that it strikes. It
can be limited to hours of the day, counted from the day's beginning.
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from local.emabler.fleet.chance import Chance
from local.errors import LocalError

_ALL_DAY: Final = (0.0, 24.0)


class Strikes(StrEnum):
    """What a fault strikes, one draw for each of them."""

    MESSAGE = "message"
    SESSION = "session"
    CHARGER = "charger"


class Fault(msgspec.Struct, frozen=True):
    """One thing that goes wrong.

    Attributes:
        name: its name on the command line and in the documentation.
        strikes: what it strikes.
        does: what it does.
        store: what a right store holds all the same.
        rate: the share that is struck by default.
        hours: the hours of the day in which it strikes by default; None strikes all day.
    """

    name: str
    strikes: Strikes
    does: str
    store: str
    rate: float
    hours: tuple[float, float] | None = _ALL_DAY


_ALL: Final = (
    Fault(
        "lost",
        Strikes.MESSAGE,
        "push never brings the message",
        "the session as REST lists it",
        0.02,
    ),
    Fault(
        "repeated",
        Strikes.MESSAGE,
        "the message comes two to four times, by the charger's or by eMabler's own doing",
        "the event once",
        0.04,
    ),
    Fault(
        "late",
        Strikes.MESSAGE,
        "the message comes minutes to two days later (with the day's end at the latest)",
        "as if it had come in time",
        0.04,
    ),
    Fault(
        "reordered",
        Strikes.MESSAGE,
        "later messages of the charger overtake the message",
        "as if they had come in order",
        0.05,
    ),
    Fault(
        "malformed",
        Strikes.MESSAGE,
        "the message is cut off, is no JSON, has a field that cannot be, or an unknown shape",
        "the bytes, parked with the reason; else as `lost`",
        0.01,
    ),
    Fault(
        "stop_twice",
        Strikes.SESSION,
        "the stop comes again, later and with more energy; REST lists the first",
        "both stops, the session in conflict",
        0.02,
    ),
    Fault(
        "meter_zero_at_start",
        Strikes.SESSION,
        "push tells 0 for the meter at the start, so that the whole register counts as energy",
        "push's energy on top, REST's beside it",
        0.02,
    ),
    Fault(
        "transaction_id_reused",
        Strikes.SESSION,
        "the session has the id of the session before it on its socket",
        "both sessions' claims, the session in conflict",
        0.02,
    ),
    Fault(
        "transaction_id_missing",
        Strikes.SESSION,
        "the session has the transaction id -1 or 0, in push and in REST",
        "one session; start, stop and REST are paired by reconciliation",
        0.02,
    ),
    Fault(
        "open_start_lost",
        Strikes.SESSION,
        "push never brings the start of a session that outlasts the day",
        "the session as REST lists it among those that go on",
        0.1,
    ),
    Fault(
        "measurements_without_transaction",
        Strikes.SESSION,
        "meter values tell no transaction",
        "the events",
        0.05,
    ),
    Fault(
        "offline",
        Strikes.CHARGER,
        "the charger is cut off for one to five hours, lets everybody charge, then sends it all",
        "as if it had come in time; 2022's messages tell the time of reception only",
        0.08,
        (3, 20),
    ),
    Fault(
        "clock_wrong",
        Strikes.CHARGER,
        "the charger's clock is wrong for a day, by up to 25 minutes or by decades",
        "the device's times; where they cannot be, those of reception",
        0.08,
        None,
    ),
    Fault(
        "push_silent",
        Strikes.CHARGER,
        "push brings nothing in these hours while REST goes on",
        "the sessions as REST lists them",
        1,
        (9, 11),
    ),
)

FAULTS: Final[Mapping[str, Fault]] = {fault.name: fault for fault in _ALL}
"""All faults by name. What the documentation and `--help` say is held to this table."""

MESSAGE_FAULTS: Final = tuple(f.name for f in _ALL if f.strikes is Strikes.MESSAGE)
SESSION_FAULTS: Final = tuple(
    f.name for f in _ALL if f.strikes is Strikes.SESSION and f.name != "open_start_lost"
)
"""At most one of each strikes; where their shares exceed 1, the first of the table do."""

_ITEM = re.compile(
    r"(?P<name>\w+)(?:=(?P<rate>[\d.]+))?(?:@(?P<first>[\d.]+)h?-(?P<last>[\d.]+)h?)?"
)
_GRAMMAR = "off, default, or a list such as lost=0.05,late=0.1@6h-9h (default,lost=0.1 adds to it)"


class Setting(msgspec.Struct, frozen=True):
    """How often a fault strikes, and in which hours of the day (from its beginning)."""

    rate: float
    hours: tuple[float, float]


_OFF: Final = Setting(0, _ALL_DAY)


class Rates:
    """The rates of all faults, as they are now; a fleet that plays asks for each draw."""

    def __init__(self, settings: Mapping[str, Setting]) -> None:
        self._settings = {name: settings.get(name, _OFF) for name in FAULTS}

    @classmethod
    def read(cls, text: str) -> "Rates":
        """Read rates as the command line gives them: see `describe()`.

        Raises:
            LocalError: `usage_wrong`, naming what is not understood.
        """
        return cls(_read(text))

    def change(self, text: str) -> None:
        """Change the rates that a text names, and leave the others; `off` ends all.

        Raises:
            LocalError: `usage_wrong`.
        """
        whole = text.split(",", maxsplit=1)[0].strip() in {"off", "default"}
        before = dict.fromkeys(FAULTS, _OFF) if whole else self._settings
        self._settings = before | _read(text)

    def hours_of(self, name: str) -> tuple[float, float]:
        """Give the hours in which a fault strikes."""
        return self._settings[name].hours

    def rate(self, name: str, hour: float) -> float:
        """Give a fault's rate at an hour of the day."""
        setting = self._settings[name]
        first, last = setting.hours
        return setting.rate if first <= hour < last else 0.0

    def strikes(self, name: str, chance: Chance, hour: float | None = None) -> bool:
        """Whether a fault strikes; without an hour its hours do not matter."""
        setting = self._settings[name]
        return chance.happens(setting.rate if hour is None else self.rate(name, hour))

    def one_of(self, names: Iterable[str], chance: Chance, hour: float) -> str | None:
        """Draw at most one of several faults."""
        return chance.weighted([(name, self.rate(name, hour)) for name in names])

    def shown(self) -> dict[str, Setting]:
        """Give all settings by name."""
        return dict(self._settings)


def _read(text: str) -> dict[str, Setting]:
    found: dict[str, Setting] = {}
    for place, item in enumerate(part.strip() for part in text.split(",") if part.strip()):
        if item in {"off", "default"} and place == 0:
            if item == "default":
                found = {fault.name: Setting(fault.rate, fault.hours or _ALL_DAY) for fault in _ALL}
            continue
        match = _ITEM.fullmatch(item)
        fault = FAULTS.get(match["name"]) if match else None
        if match is None or fault is None:
            raise _wrong(f"'{item}' is no fault", f"names: {', '.join(FAULTS)}")
        found[fault.name] = _setting(fault, match)
    return found


def _setting(fault: Fault, match: re.Match[str]) -> Setting:
    try:
        rate = fault.rate if match["rate"] is None else float(match["rate"])
        hours = fault.hours or _ALL_DAY
        if match["first"] is not None:
            hours = (float(match["first"]), float(match["last"]))
    except ValueError:
        raise _wrong(f"'{match[0]}' has a number that is none", _GRAMMAR) from None
    if not 0 <= rate <= 1:
        raise _wrong(f"the rate of {fault.name} is {rate:g}", "give a share from 0 to 1")
    if match["first"] is not None and fault.hours is None:
        raise _wrong(f"{fault.name} strikes whole days", "leave its hours out")
    if hours[0] >= hours[1]:
        raise _wrong(f"the hours of {fault.name} end before they begin", _GRAMMAR)
    return Setting(rate, hours)


def _wrong(what: str, remedy: str) -> LocalError:
    return LocalError("usage_wrong", what, remedy)


def describe() -> str:
    """Describe the grammar and each fault, for `--help`."""
    lines = [f"faults: {_GRAMMAR}", "rates are shares, hours count from the day's beginning"]
    for fault in _ALL:
        limited = fault.hours not in (None, _ALL_DAY)
        hours = "@{:g}h-{:g}h".format(*fault.hours or _ALL_DAY) if limited else ""
        default = f"{fault.rate:g}{hours}"
        lines.append(f"  {fault.name:<34}{default:<14}of {fault.strikes}s: {fault.does}")
    return "\n".join(lines)
