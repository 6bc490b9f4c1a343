"""What in texts and messages is no tag, though its digits may be a tag's: times, ids, values. Pure.

A tag of four digits is met in the minutes of anybody's instants. What is another thing by its form
or by the name of its field is never taken for a tag.
"""

from __future__ import annotations

import re

from shared.instants import parse_instant

_DATE = r"\d{4}-\d\d-\d\d"
_TIME = r"\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:[Zz]|[+-]\d\d(?::?\d\d)?)?"
_HEX = "[0-9A-Fa-f]"
_NO_TAGS = "|".join(
    (
        rf"(?<!\d){_DATE}[Tt ]{_TIME}(?!\d)",
        # What goes on is no day, but may be an id that is written with hyphens.
        rf"(?<!\w)(?<!\w[-:._]){_DATE}(?!\w)(?![-:._]\w)",
        rf"(?<!\w){_HEX}{{8}}-(?:{_HEX}{{4}}-){{3}}{_HEX}{{12}}(?!\w)",
        # Our own faults count so.
        r"(?<!\w)\d+ (?:bytes|characters|days)(?!\w)",
    )
)
_TEXT = re.compile(f"({_NO_TAGS})", re.ASCII)
_BYTES = re.compile(f"({_NO_TAGS})".encode())

_MEASURES = frozenset(
    (
        "value",
        "meterread",
        "meterreadstart",
        "meterreadend",
        "startmeterwh",
        "consumptionwh",
        "fullconsumptionwh",
        "fullconsumptionkwh",
    )
)
_OTHERS = frozenset(
    (
        # Ids of other things.
        *("chargerid", "transactionid", "evsetransactionid", "siteid", "externalsiteid"),
        "sessionid",
        # What a charger is and what it says of its state.
        *("serialnumber", "chargermodel", "manufacturer", "firmwareversion", "iccid", "imsi"),
        *("meterserialnumber", "metertype", "errorcode", "vendorerrorcode"),
        # What is measured.
        *("typeofmeasurement", "phase", "unit"),
    )
)
_OF_TIME = frozenset(("time", "timestamp", "date", "duration"))
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\dA-Z_]+")
_NUMBER = re.compile(r"\s*[+-]?\d+(?:[.,]\d+)?\s*")
_DECIMAL = re.compile(r"\d+\.\d+")
_TIME_ALONE = re.compile(r"[\d\s:.,+\-/TtZz]*")
_DAY = re.compile(_DATE)


def parts_of_text(text: str) -> list[str]:
    """A text in parts, every second of which is an instant, a UUID or a count."""
    return _TEXT.split(text)


def parts_of_bytes(content: bytes) -> list[bytes]:
    """As `parts_of_text`, of bytes."""
    return _BYTES.split(content)


def is_time(text: str) -> bool:
    """Whether it is an instant or a day; no id of a card is written with such hyphens."""
    return _DAY.match(text) is not None and (
        _DAY.fullmatch(text) is not None or parse_instant(text) is not None
    )


def is_decimal(text: str) -> bool:
    """Whether it is a number with a fraction, which separators of a tag's id would hide."""
    return _DECIMAL.fullmatch(text) is not None


def is_of_tags(field: str) -> bool:
    """Whether a field's name says that it holds a tag; a voltage has those letters, too."""
    return any(_is_tag(part.casefold()) for part in _PARTS.findall(field))


def _is_tag(word: str) -> bool:
    return (
        word.startswith("tag") or word.endswith(("tag", "tags")) or "idtag" in word
    ) or "tagid" in word


def is_of_others(field: str, value: str) -> bool:
    """Whether a field with this text is about another thing than a person."""
    name = "".join(filter(str.isalnum, field)).casefold()
    if name in _OTHERS or (name in _MEASURES and _NUMBER.fullmatch(value)):
        return True
    return _TIME_ALONE.fullmatch(value) is not None and any(
        part.casefold() in _OF_TIME for part in _PARTS.findall(field)
    )
