"""The fleet's messages have the fields of the documented examples, generation by generation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.emabler.examples import NOON, load
from local.emabler.fleet.network import Generation
from tests.fleet.plays import Played

EXAMPLES = load(NOON).messages
# The documented examples leave these out where they have no value.
OPTIONAL = {"iccid", "imsi", "meterSerialNumber", "transactionId"}


def shape(fields: dict[str, Any]) -> tuple[str, ...]:
    """Names and kinds of a message's fields, but for the optional ones."""
    kinds = {name: type(value).__name__ for name, value in fields.items() if name not in OPTIONAL}
    first = fields.get("measurements", [{}])[0]
    kinds |= {f"measurement {name}": "" for name in first}
    return tuple(sorted(f"{name} {kind}" for name, kind in kinds.items()))


@pytest.mark.parametrize("generation", list(Generation))
def test_messages_are_shaped_as_documented(generation: Generation) -> None:
    """Each shape of the examples is met, each field of the same kind, and no other shape."""
    played = Played(1, chargers=6, generation=generation)
    sent = {shape(json.loads(body)) for body in played.bodies}
    documented = {
        shape(json.loads(body))
        for name, body in EXAMPLES.items()
        if name.startswith(f"{generation}/")
    }

    assert sent == documented


def test_transaction_ids_are_numbers_and_texts_as_documented() -> None:
    """2022 writes a number, April 2025 both or the text alone, the current revision a text."""
    kinds: dict[str, set[str]] = {}
    for generation in Generation:
        for body in Played(1, chargers=3, generation=generation).bodies:
            fields = json.loads(body)
            for name in ("transactionId", "evseTransactionId"):
                if name in fields:
                    kind = type(fields[name]).__name__
                    kinds.setdefault(f"{generation} {name}", set()).add(kind)

    assert kinds == {
        "v1 transactionId": {"int"},
        "v2-2025-04 transactionId": {"int", "str"},
        "v2-2025-04 evseTransactionId": {"str"},
        "v2 transactionId": {"str"},
    }


def test_one_start_is_told_in_two_ways() -> None:
    """The start message tells more digits of a second than the full one, as in the samples."""
    starts: dict[str, set[str]] = {}
    for body in Played(1, chargers=3, generation=Generation.V2).bodies:
        fields = json.loads(body)
        start = fields.get("deviceTimeStampStart")
        if fields.get("action") == "transaction_start":
            start = fields["deviceTimeStamp"]
        if start:
            starts.setdefault(fields["transactionId"], set()).add(start)
    told_twice = [times for times in starts.values() if len(times) == 2]

    assert len(told_twice) > 5
    assert all(len({time[:21] for time in times}) == 1 for times in told_twice)
