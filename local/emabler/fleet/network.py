"""The fleet's lasting parts, made from a seed: sites, chargers, sockets, drivers, tags."""

from enum import StrEnum
from typing import Final

import msgspec

from local.emabler.fleet.chance import Chance

MOST_CHARGERS: Final = 9_999
"""Transaction ids keep four digits for the charger."""


class Generation(StrEnum):
    """In which documented generation of the Push API a charger's messages are written."""

    V1 = "v1"
    V2_2025_04 = "v2-2025-04"
    V2 = "v2"


class Standing(StrEnum):
    """What becomes of a driver's tag: who knows it, and what is said of it."""

    REGISTERED = "registered"  # with eMabler, which then asks nobody
    VALID = "valid"
    BLOCKED = "blocked"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    UNKNOWN = "unknown"


REASONS: Final[dict[Standing, str]] = {
    Standing.BLOCKED: "UNAUTHORIZED_RFID_TAG_ID",
    Standing.EXPIRED: "EXPIRED_RFID_TAG_ID",
    Standing.NOT_YET_VALID: "UNAUTHORIZED_RFID_TAG_ID",
    Standing.UNKNOWN: "UNKNOWN_RFID_TAG_ID",
}
"""Which of eMabler's documented reasons a denial of such a tag must give."""


class Site(msgspec.Struct, frozen=True):
    """Where chargers stand."""

    number: int
    name: str
    external: str


class Model(msgspec.Struct, frozen=True):
    """What a charger is: its makers' words, its sockets and their power in W."""

    manufacturer: str
    name: str
    firmware: str
    meter: str
    sockets: int
    powers: tuple[int, ...]
    direct_current: bool = False


class Charger(msgspec.Struct, frozen=True):
    """One charger. `number` counts from 1; `by_full` says how one of 2022 tells its stops."""

    number: int
    id: str
    site: Site
    model: Model
    generation: Generation
    by_full: bool
    serial: str

    @property
    def sockets(self) -> range:
        """The numbers of its sockets; 0 is the main controller and not among them."""
        return range(1, self.model.sockets + 1)


class Tag(msgspec.Struct, frozen=True):
    """One tag of a driver."""

    id: str
    driver: int
    standing: Standing


class Network(msgspec.Struct, frozen=True):
    """All of it."""

    sites: tuple[Site, ...]
    chargers: tuple[Charger, ...]
    tags: tuple[Tag, ...]


_PLACES: Final = (
    ("Asemakatu", "ASEMA"),
    ("Satamaranta", "SATAMA"),
    ("Kauppatori", "TORI"),
    ("Yliopisto", "YLIOP"),
    ("Mäntyhaka", "MANTY"),
    ("Teollisuustie", "TEOLL"),
    ("Uimahalli", "UIMA"),
    ("Lentoasema P3", "LENTO"),
)
_MODELS: Final = (
    Model("Savon Lataus", "Wallbox Duo", "2.8.1", "EM340", 2, (3680, 7360, 11040)),
    Model("Satamalataus", "Alfen Twin", "7.0.4", "S0 Meter", 2, (7360, 11040, 22080)),
    Model("Pohjan Virta", "Pilari One", "1.19.0", "MID 3ph", 1, (11040, 22080)),
    Model("Pirkan Sähkö", "Terra 54", "6.1.20", "MID DC", 1, (45_000, 50_000), direct_current=True),
    Model(
        "Pirkan Sähkö", "Terra 184", "6.3.2", "MID DC", 2, (75_000, 150_000), direct_current=True
    ),
)
_CHARGERS_AT_A_SITE: Final = 6
_DRIVERS_FOR_A_CHARGER: Final = 4
_FIRST_SITE, _FIRST_DRIVER = 101, 5001
_STANDINGS: Final = (
    (Standing.REGISTERED, 0.45),
    (Standing.VALID, 0.4),
    (Standing.BLOCKED, 0.04),
    (Standing.EXPIRED, 0.04),
    (Standing.NOT_YET_VALID, 0.03),
    (Standing.UNKNOWN, 0.04),
)


def make_network(seed: int, chargers: int, generation: Generation | None = None) -> Network:
    """Make a network of so many chargers; all of one generation where one is given."""
    sites = [_site(number) for number in range((chargers - 1) // _CHARGERS_AT_A_SITE + 1)]
    drivers = range(_FIRST_DRIVER, _FIRST_DRIVER + chargers * _DRIVERS_FOR_A_CHARGER)
    return Network(
        sites=tuple(sites),
        chargers=tuple(
            _charger(seed, number, sites[(number - 1) // _CHARGERS_AT_A_SITE], generation)
            for number in range(1, chargers + 1)
        ),
        tags=tuple(tag for driver in drivers for tag in _tags(seed, driver)),
    )


def _site(number: int) -> Site:
    name, short = _PLACES[number % len(_PLACES)]
    again = number // len(_PLACES)
    mark = f" {again + 1}" if again else ""
    return Site(_FIRST_SITE + number, f"{name}{mark}", f"{short}{mark.replace(' ', '-')}")


def _charger(seed: int, number: int, site: Site, generation: Generation | None) -> Charger:
    chance = Chance(seed, "charger", number)
    drawn = chance.one_of(tuple(Generation))
    return Charger(
        number=number,
        id=f"{site.external}-{number:04}",
        site=site,
        model=chance.one_of(_MODELS),
        generation=generation or drawn,
        by_full=chance.happens(0.5),
        serial=f"SN{chance.whole(100_000, 999_999)}",
    )


def _tags(seed: int, driver: int) -> list[Tag]:
    """One to three tags; the driver's standing is that of the first, the others have their own."""
    chance = Chance(seed, "driver", driver)
    # Seven bytes, as cards have: eleven hex digits of chance behind the maker's own.
    return [
        Tag(
            id=f"04{chance.whole(0, 16**11 - 1):011X}0",
            driver=driver,
            standing=chance.weighted(_STANDINGS) or Standing.VALID,
        )
        for _ in range(chance.one_of((1, 1, 1, 2, 3)))
    ]
