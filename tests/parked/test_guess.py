"""Guessing what a message is about: as far as it goes, and never a failure."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.parked.guess import Guess, guess
from tests import payloads


@pytest.mark.parametrize(
    ("body", "guessed"),
    [
        (payloads.start_v2(socketId="left"), Guess("ChargingTransaction", "CH-0042")),
        (payloads.full_v1(chargerId=42), Guess("FullChargingTransaction", "42")),
        (payloads.state_v2(chargerId=None), Guess("ChargerState", None)),
        (payloads.boot_v1(), Guess("ChargerBoot", "CH-0042")),
        (payloads.measurements(measurements=7), Guess("Measurements", "CH-0042")),
        (payloads.measurements()[:90], Guess(None, "CH-0042")),
        (payloads.state_v2()[:-1], Guess("ChargerState", "CH-0042")),
        (json.dumps(payloads.state_v2().decode()).encode(), Guess("ChargerState", "CH-0042")),
        ("\ufeff".encode() + payloads.state_v1(), Guess("ChargerState", "CH-0042")),
        (payloads.state_v1().decode().encode("utf-16"), Guess("ChargerState", "CH-0042")),
        (payloads.state_v2() + b"\xff\xfe", Guess("ChargerState", "CH-0042")),
        (b"not json", Guess()),
        (b"", Guess()),
        (b"[]", Guess()),
        (b"[" * 5000, Guess()),
    ],
)
def test_what_can_be_read_is_told(body: bytes, guessed: Guess) -> None:
    """Whole, cut off, encoded twice, in UTF-16, followed by rubbish: names of fields decide."""
    assert guess(body) == guessed


def test_a_declared_type_fills_in() -> None:
    """Where no field tells, the property of the message does."""
    assert guess(b"\x00", "charger_state").type == "ChargerState"
    assert guess(b"{}", "something new").type is None


@given(st.binary(max_size=200))
def test_no_bytes_are_too_odd(body: bytes) -> None:
    """Whatever the bytes are, guessing answers."""
    assert isinstance(guess(body), Guess)
