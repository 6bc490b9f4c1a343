"""What a tap is on the wire, and how it is answered; who may call."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.authorization.access import is_authorized
from shared.authorization.rules import RULES
from shared.authorization.taps import (
    REASONS,
    Cause,
    Decision,
    Reason,
    answer_body,
    read_tap,
    tap_fields,
    told_charger,
)
from tests import payloads


def test_unknown_is_said_of_unknown_tags_alone() -> None:
    """After UNKNOWN_RFID_TAG_ID an OCPI partner may be asked: no other cause has that reason."""
    assert [cause for cause, reason in REASONS.items() if reason is Reason.UNKNOWN_RFID_TAG_ID] == [
        Cause.UNKNOWN_TAG
    ]


def test_each_denial_has_one_of_the_four_reasons() -> None:
    """Every cause that can deny is told on the wire; the others only ever allow."""
    allowing = {rule.cause for rule in RULES if rule.allows} | {Cause.LAST_KNOWN_TAG}

    assert set(Cause) - REASONS.keys() == allowing
    assert {str(reason) for reason in Reason} == {
        "UNKNOWN_CHARGER_ID",
        "UNKNOWN_RFID_TAG_ID",
        "EXPIRED_RFID_TAG_ID",
        "UNAUTHORIZED_RFID_TAG_ID",
    }


@pytest.mark.parametrize(
    ("decision", "answer"),
    [
        (Decision(allowed=True, cause=Cause.KNOWN_TAG), {"charging_allowed": True}),
        (
            Decision(allowed=True, cause=Cause.KNOWN_TAG, tag_kind="VIN"),
            {"charging_allowed": True, "rfid_tag_type": "VIN"},
        ),
        (
            Decision(allowed=False, cause=Cause.EXPIRED, tag_kind="TAG"),
            {
                "charging_allowed": False,
                "rfid_tag_type": "TAG",
                "reason": "EXPIRED_RFID_TAG_ID",
            },
        ),
    ],
)
def test_an_answer_has_the_documented_fields(decision: Decision, answer: dict[str, Any]) -> None:
    """`charging_allowed`, `rfid_tag_type` where it is known, `reason` where it is denied."""
    assert json.loads(answer_body(decision)) == answer


def test_a_deferred_tap_has_no_reason() -> None:
    """Deferring denies nothing: there is no reason to tell, and the words are three."""
    causes = [Cause.STORE_UNAVAILABLE, Cause.BUDGET_USED_UP, Cause.UNEXPECTED]

    assert [Decision(allowed=None, cause=cause).reason for cause in causes] == [None] * 3
    assert [Decision(allowed, Cause.STORE_UNAVAILABLE).word for allowed in (True, False, None)] == [
        "allowed",
        "denied",
        "deferred",
    ]


@pytest.mark.parametrize("shape", payloads.ALL_SHAPES)
def test_no_event_is_taken_for_a_tap(shape: str) -> None:
    """No documented push message has a field of a tap."""
    assert tap_fields(payloads.ALL_SHAPES[shape]()) is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_tap_is_read_in_any_encoding_of_json(encoding: str) -> None:
    """What is a tap in UTF-8 is one in UTF-16 too, with or without a byte-order mark."""
    body = json.dumps({"charger_id": "Säule", "rfid_tag_id": "T"}).encode(encoding)

    fields = tap_fields(body)

    assert fields is not None
    assert read_tap(fields) is not None


@pytest.mark.parametrize("bad", [None, "", " ", 7, ["A"], "x" * 256, "\ud800", "a\udfffb"])
def test_what_is_no_id_makes_no_tap(bad: object) -> None:
    """Missing, blank, no text, too long, or half of a surrogate pair; a right charger is told."""
    assert read_tap({"charger_id": "CH", "rfid_tag_id": bad}) is None
    assert read_tap({"charger_id": bad, "rfid_tag_id": "T"}) is None
    assert told_charger({"charger_id": bad}) == ""
    assert told_charger({"charger_id": "CH", "rfid_tag_id": bad}) == "CH"


@pytest.mark.parametrize(
    ("value", "accepted", "may"),
    [
        ("a", ["a"], True),
        ("b", ["a", "b"], True),
        ("a", [], False),
        ("", ["a"], False),
        ("é", ["é"], True),
        ("A", ["a"], False),
        ("a ", ["a"], False),
    ],
)
def test_only_an_accepted_value_may_call(
    value: str,
    accepted: list[str],
    may: bool,  # noqa: FBT001 - the expectation
) -> None:
    """Values are compared whole, case and blanks included."""
    assert is_authorized(value, accepted) is may


@given(st.text(), st.lists(st.text(min_size=1).filter(str.isascii)))
def test_no_value_raises(value: str, accepted: list[str]) -> None:
    """Whatever a header holds, it is accepted or not."""
    assert is_authorized(value, accepted) == (value in accepted)
