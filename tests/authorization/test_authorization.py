"""A tap decided: what is known of a tag, and now, into an answer that eMabler understands."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.authorization.access import is_authorized
from shared.authorization.authorize import Authorization
from shared.authorization.rules import decide
from shared.authorization.taps import (
    REASONS,
    Cause,
    Decision,
    Reason,
    answer_body,
    read_tap,
    tap_fields,
)
from shared.errors import StoreUnavailableError
from shared.identifiers import hash_tag
from shared.storage.memory import MemoryTables
from shared.storage.requests import counted
from shared.storage.rows import Insert, Row
from shared.storage.tables import ALL_TABLES, TAGS
from shared.tags.importing import write_tags
from shared.tags.records import Tag
from tests import payloads

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
HASH_KEY = b"k" * 32

INSTANTS = st.none() | st.sampled_from([NOW - MOMENT, NOW, NOW + MOMENT])


@given(blocked=st.booleans(), valid_from=INSTANTS, valid_until=INSTANTS)
def test_a_tag_is_allowed_exactly_within_its_validity(
    *, blocked: bool, valid_from: datetime | None, valid_until: datetime | None
) -> None:
    """Allowed means: not blocked, from `valid_from` on, before `valid_until`."""
    tag = Tag(tag="T", blocked=blocked, valid_from=valid_from, valid_until=valid_until)

    begun = valid_from is None or valid_from <= NOW
    over = valid_until is not None and valid_until <= NOW

    decision = decide(tag, NOW)

    assert decision.allowed == (begun and not over and not blocked)
    assert (decision.reason is None) == decision.allowed


def test_an_unknown_tag_has_a_reason_of_its_own() -> None:
    """After UNKNOWN_RFID_TAG_ID an OCPI partner may be asked: no other cause has that reason."""
    assert decide(None, NOW).reason is Reason.UNKNOWN_RFID_TAG_ID
    assert [cause for cause, reason in REASONS.items() if reason is Reason.UNKNOWN_RFID_TAG_ID] == [
        Cause.UNKNOWN_TAG
    ]


def test_each_denial_has_one_of_the_four_reasons() -> None:
    """Every cause of a denial is told on the wire; the others are no denials of ours."""
    assert set(Cause) - REASONS.keys() == {Cause.KNOWN_TAG, Cause.STORE_UNAVAILABLE}
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


async def test_a_tap_is_one_point_read_under_the_tag_s_hash() -> None:
    """The store is asked once, by both keys, and neither holds the tag."""
    tables = MemoryTables(*ALL_TABLES)
    await write_tags(tables, [Tag(tag="04 A2")], HASH_KEY, lambda _more: None)
    hashed = hash_tag("04A2", HASH_KEY)
    authorization = Authorization(tables, tag_hash_key=HASH_KEY, clock=lambda: NOW)

    with counted() as requests:
        decision = await authorization.authorize({"charger_id": "CH", "rfid_tag_id": "04:a2"})

    assert decision.allowed
    assert requests.by_purpose == {"tags_get": 1}
    assert [(row.partition, row.key) for row in tables.rows(TAGS)] == [
        (hashed, f"tag|{hashed[:8]}")
    ]


async def test_sessions_of_an_unknown_tag_make_it_no_known_one() -> None:
    """A tag that eMabler let charge has rows under its hash; that is not the operator's word."""
    tables = MemoryTables(*ALL_TABLES)
    hashed = hash_tag("T", HASH_KEY)
    await tables.write(TAGS, [Insert(Row(hashed, "session|2026|CH|7|start|d", {"schema": 1}))])
    authorization = Authorization(tables, tag_hash_key=HASH_KEY, clock=lambda: NOW)

    decision = await authorization.authorize({"charger_id": "CH", "rfid_tag_id": "T"})

    assert decision.cause is Cause.UNKNOWN_TAG


async def test_another_hash_key_knows_no_tag() -> None:
    """A tag that was written under another key is not found: the key belongs to the store."""
    tables = MemoryTables(*ALL_TABLES)
    await write_tags(tables, [Tag(tag="T")], HASH_KEY, lambda _more: None)
    authorization = Authorization(tables, tag_hash_key=b"K" * 32, clock=lambda: NOW)

    decision = await authorization.authorize({"charger_id": "CH", "rfid_tag_id": "T"})

    assert decision.cause is Cause.UNKNOWN_TAG


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


async def test_a_store_that_never_answers_uses_up_the_budget_and_no_more() -> None:
    """A tap whose tag cannot be read in time is told so: the answer does not wait for the store."""

    async def never(_table: str, _moment: str) -> None:
        await asyncio.Event().wait()

    tables = MemoryTables(*ALL_TABLES, pause=never)
    impatient = Authorization(tables, tag_hash_key=HASH_KEY, clock=lambda: NOW, budget=0.01)

    with pytest.raises(StoreUnavailableError) as refusal:
        await impatient.authorize({"charger_id": "CH", "rfid_tag_id": "T"})

    assert refusal.value.code == "budget_used_up"
