"""One event has one digest, whatever generation and spelling it is written in. As properties."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.push.decode import decode
from shared.push.digest import digest_of

type Fields = dict[str, Any]

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(
    lambda text: bool(text.strip())
)
IDS = TEXTS | st.integers(1, 10**12).map(str)
INSTANTS = st.datetimes(
    datetime(2026, 11, 1),  # noqa: DTZ001 - the zone is given beside it
    datetime(2026, 11, 2),  # noqa: DTZ001
    timezones=st.just(UTC),
)
NUMBERS = st.integers(0, 10**9) | st.floats(0, 1e9)
OPTIONAL = st.none() | TEXTS

EVENTS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["state", "boot", "start", "full", "measurements"]),
        "charger": IDS,
        "socket": st.integers(0, 2**31 - 1),
        "instant": INSTANTS,
        "length": st.timedeltas(timedelta(0), timedelta(days=3)),
        "transaction": IDS,
        "tag": IDS,
        "status": st.sampled_from(["Available", "SuspendedCHARGER"]) | TEXTS,
        "error": st.sampled_from(["No Error", None]) | TEXTS,
        "texts": st.lists(OPTIONAL, min_size=8, max_size=8),
        "numbers": st.lists(NUMBERS, min_size=3, max_size=3),
        "samples": st.lists(
            st.tuples(INSTANTS, OPTIONAL, OPTIONAL, OPTIONAL, NUMBERS), min_size=1, max_size=4
        ),
    }
)


class Writer:
    """Writes one event in a generation and in a spelling that chance decides."""

    def __init__(self, event: Fields, random: Random) -> None:
        self.event = event
        self.random = random

    def body(self) -> bytes:
        kind = self.event["kind"]
        writers: dict[str, tuple[Callable[[], Fields], ...]] = {
            "state": (self.state_v2, self.state_2025, self.state_v1),
            "boot": (self.boot_v2, self.boot_older),
            "start": (self.start_v2, self.start_2025, self.start_v1),
            "full": (self.full_v2, self.full_2025, self.full_v1),
            "measurements": (self.measurements_v2, self.measurements_2025),
        }
        fields = self.random.choice(writers[kind])()
        pairs = list(present(fields).items())
        self.random.shuffle(pairs)
        text = json.dumps(
            dict(pairs),
            ensure_ascii=self.random.random() < 0.5,
            separators=self.random.choice([(",", ":"), (", ", ": ")]),
        )
        wrap = self.random.choice(WRAPS)
        return wrap(text)

    def text(self, text: str | None) -> Any:
        if text is None:
            return self.random.choice([None, "", "  ", ABSENT])
        if text.isascii() and text.isdecimal() and text == str(int(text)):
            return self.random.choice([text, int(text)])
        return text

    def word(self, text: str | None) -> Any:
        if text is None or not text.isascii():
            return self.text(text)
        return self.random.choice([text, text.upper(), text.lower(), text.replace(" ", "")])

    def tag(self, text: str) -> Any:
        if not text.isascii() or not text.isalnum():
            return self.text(text)
        return self.random.choice([text, text.lower(), text.upper(), "-".join(text), f" {text}"])

    def number(self, number: float) -> Any:
        spellings = [number, repr(number), f" {number!r} ", float(number)]
        return self.random.choice(spellings)

    def socket(self) -> Any:
        return self.number(self.event["socket"])

    def time(self, instant: datetime) -> str:
        zone = timezone(timedelta(minutes=self.random.randrange(-720, 720, 15)))
        local = instant.astimezone(zone)
        fraction = f"{local.microsecond:06d}" + "".join(
            self.random.choices("0123456789", k=self.random.randint(0, 3))
        )
        if not local.microsecond and self.random.random() < 0.5:
            fraction = ""
        text = local.strftime("%Y-%m-%dT%H:%M:%S") + (f".{fraction}" if fraction else "")
        if zone.utcoffset(None) == timedelta(0):
            return text + self.random.choice(["Z", "+00:00", "", "z"])
        offset = local.strftime("%z")
        return text + self.random.choice([offset, f"{offset[:3]}:{offset[3:]}"])

    def received(self) -> str:
        return self.time(self.event["instant"] + timedelta(seconds=self.random.randint(0, 3600)))

    def common(self, received: str, when: str | None = None) -> Fields:
        return {
            "chargerId": self.text(self.event["charger"]),
            received: when or self.received(),
            "unknownField": self.random.choice([ABSENT, {"of": ["tomorrow"]}, 7]),
        }

    def own_time(self) -> str:
        return self.time(self.event["instant"])

    def state(self) -> Fields:
        return {
            "socketId": self.socket(),
            "status": self.word(self.event["status"]),
            "errorCode": self.word(self.event["error"]),
            "message": self.text(self.event["texts"][0]),
        }

    def state_v2(self) -> Fields:
        return (
            self.common("receivedTimestamp") | self.state() | {"deviceTimeStamp": self.own_time()}
        )

    def state_2025(self) -> Fields:
        return self.common("timeStamp") | self.state() | {"deviceTimeStamp": self.own_time()}

    def state_v1(self) -> Fields:
        return self.common("timeStamp", self.own_time()) | self.state()

    def boot(self) -> Fields:
        names = (
            "serialNumber",
            "chargerModel",
            "manufacturer",
            "firmwareVersion",
            "iccid",
            "imsi",
            "meterSerialNumber",
            "meterType",
        )
        return {
            name: self.text(text) for name, text in zip(names, self.event["texts"], strict=True)
        } | {"meterType": "S0"}

    def boot_v2(self) -> Fields:
        return self.common("receivedTimestamp", self.own_time()) | self.boot()

    def boot_older(self) -> Fields:
        return self.common("timeStamp", self.own_time()) | self.boot()

    def start(self) -> Fields:
        return {
            "socketId": self.socket(),
            "action": "transaction_start",
            "authorizedIdTag": self.tag(self.event["tag"]),
            "meterRead": self.number(self.event["numbers"][0]),
        }

    def start_v2(self) -> Fields:
        own = {"deviceTimeStamp": self.own_time(), "transactionId": self.transaction()}
        return self.common("receivedTimestamp") | self.start() | own

    def start_2025(self) -> Fields:
        own = {"deviceTimeStamp": self.own_time(), "evseTransactionId": self.transaction()}
        return self.common("timeStamp") | self.start() | own

    def start_v1(self) -> Fields:
        own = {"transactionId": self.transaction()}
        return self.common("timeStamp", self.own_time()) | self.start() | own

    def transaction(self) -> Any:
        return self.text(self.event["transaction"])

    def full(self, prefix: str) -> Fields:
        begin, end = self.event["instant"] - self.event["length"], self.event["instant"]
        numbers = self.event["numbers"]
        return {
            "socketId": self.socket(),
            "authorizedIdTag": self.tag(self.event["tag"]),
            f"{prefix}Start": self.time(begin),
            f"{prefix}End": self.time(end),
            "meterReadStart": self.number(numbers[0]),
            "meterReadEnd": self.number(numbers[1]),
            "consumptionWh": self.number(numbers[2]),
            "transactionId": self.transaction(),
        }

    def full_v2(self) -> Fields:
        own = {"action": "transaction_stop"}
        return self.common("receivedTimestamp") | self.full("deviceTimeStamp") | own

    def full_2025(self) -> Fields:
        own = {
            "transactionId": self.random.choice([self.transaction(), 0, -1, None, ""]),
            "evseTransactionId": self.transaction(),
        }
        return self.common("eventReceivedTimestamp") | self.full("deviceTimeStamp") | own

    def full_v1(self) -> Fields:
        return {"chargerId": self.text(self.event["charger"])} | self.full("timeStamp")

    def measurements(self) -> Fields:
        samples = [
            {
                "deviceTimeStamp": self.time(instant),
                "value": self.number(value),
                "typeOfMeasurement": self.text(kind),
                "phase": self.text(phase),
                "unit": self.text(unit),
            }
            for instant, kind, phase, unit, value in self.event["samples"]
        ]
        self.random.shuffle(samples)
        return {"measurements": [present(sample) for sample in samples]}

    def measurements_v2(self) -> Fields:
        own = {"socketId": self.socket(), "transactionId": self.transaction()}
        return self.common("receivedTimestamp", FIXED) | self.measurements() | own

    def measurements_2025(self) -> Fields:
        own = {"socketId": self.socket(), "transactionId": self.transaction()}
        return self.common("timeStamp", FIXED) | self.measurements() | own


ABSENT = object()
FIXED = "2026-11-02T09:00:00Z"
WRAPS: tuple[Callable[[str], bytes], ...] = (
    str.encode,
    lambda text: text.encode("utf-8-sig"),
    lambda text: text.encode("utf-16"),
    lambda text: text.encode("utf-16-be"),
    lambda text: json.dumps(text).encode(),
)
"""The ways to put a text into bytes."""


def present(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if value is not ABSENT}


@given(EVENTS, st.randoms(use_true_random=False))
def test_one_event_has_one_digest_however_it_is_written(event: Fields, random: Random) -> None:
    """Generation, order of fields, offsets, digits, numbers as text, blanks: no content."""
    digests = {digest_of(decode(Writer(event, random).body())) for _ in range(6)}

    assert len(digests) == 1
