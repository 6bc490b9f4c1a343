"""Taking a tag's id out of texts and messages: every spelling goes, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.tags.redaction import TagText
from tests import payloads

TAG = TagText("04:a2-B1")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("04A2B1", "(erased)"),
        ("tag 04-a2.b1 was read", "tag (erased) was read"),
        ("x04A2B1", "x04A2B1"),
        ("04A2B12", "04A2B12"),
        ("104A2B1", "104A2B1"),
        ("", ""),
        ("(04A2B1)", "((erased))"),
    ],
)
def test_a_text_loses_the_tag_only(text: str, left: str) -> None:
    """In any spelling, where it stands by itself."""
    assert TAG.without(text) == left
    assert TAG.is_in(text) == (text != left)


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ({"authorizedIdTag": "04a2b1", "x": 1}, {"authorizedIdTag": None, "x": 1}),
        ({"info": {"list": ["a", "04:A2:B1"]}}, {"info": {"list": ["a", None]}}),
        ({"message": "card 04A2B1 refused"}, {"message": None}),
        ({"transactionId": "04A2B1"}, {"transactionId": "04A2B1"}),
        ({"04A2B1": 1}, {"(erased)": 1}),
    ],
)
def test_a_message_loses_the_fields_that_name_it(value: Any, left: Any) -> None:
    """Wherever the tag stands in JSON its field becomes null; other things' ids stay."""
    body = json.dumps(value).encode()

    assert json.loads(TAG.without_in_body(body)) == left
    assert json.loads(TAG.without_in_body(json.dumps(body.decode()).encode())) == (
        left if left != value else body.decode()
    )


def test_a_short_id_is_looked_for_in_fields_of_tags() -> None:
    """The tag 1 takes no socket 1 with it."""
    body = payloads.start_v2(authorizedIdTag="1", message="socket 1")

    left = json.loads(TagText("1").without_in_body(body))

    assert (left["authorizedIdTag"], left["socketId"], left["message"]) == (None, 1, "socket 1")


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-02T10:11:32Z",
        "2026-11-02T10:12:34.1132Z",
        "2026-11-02t10:11:32,1132+11:32",
        "since 2026-11-02 10:11:32.5 it waits",
        "2026-11-02T00:00:00-1132, 2026-11-02",
        "(00001132-0000-2026-1102-000000001132)",
        "at most 1132 characters, found 1102 bytes",
        "11.32 kW",
    ],
)
@pytest.mark.parametrize("tag", ["1132", "1102", "0000", "2026", "101132", "20261102101132"])
def test_times_and_values_in_a_text_stay(text: str, tag: str) -> None:
    """A tag's digits are met in instants, ids and numbers: none of these names it."""
    for raw in (text.encode(), text.encode("utf-16-le"), json.dumps({"message": text}).encode()):
        assert TagText(tag).without_in_body(raw) == raw
    assert TagText(tag).without(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("2026-11-02T10:11:32Z 1132", "2026-11-02T10:11:32Z (erased)"),
        ("1132 at 2026-11-02 11:32", "(erased) at 2026-11-02 11:32"),
        ("11:32", "(erased)"),
        ("1132", "(erased)"),
        ("card 11-32, 2026-11-02-1132", "card (erased), 2026-11-02-(erased)"),
    ],
)
def test_a_tag_beside_a_time_goes(text: str, left: str) -> None:
    """What stands by itself is the tag, in whatever company."""
    assert TagText("1132").without(text) == left


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ({"deviceTimeStamp": "20261102T101234.1132Z"}, None),
        ({"meterRead": "1132", "value": "11.32", "chargerId": "1132"}, None),
        ({"firmwareVersion": "1.1.32", "errorCode": "1132", "time": "11:32"}, None),
        ({"voltage": 1132, "percentage": 1132}, None),
        ({"rfid_tag_id": 1132, "parentIdTag": "1132"}, {"rfid_tag_id": None, "parentIdTag": None}),
        ({"authorizedTagId": "11-32"}, {"authorizedTagId": None}),
        ({"card": "1132"}, {"card": None}),
    ],
)
def test_fields_tell_what_is_a_tag(value: Any, left: Any) -> None:
    """Other things' ids, times and measured values stay, also in a message that is cut off."""
    tag, body = TagText("1132"), json.dumps(value).encode()

    assert json.loads(tag.without_in_body(body)) == (left or value)
    assert (tag.without_in_body(body[:-1]) == body[:-1]) == (left is None)


def test_a_tag_that_is_written_as_a_uuid_goes() -> None:
    """Where the whole of it is the tag."""
    uuid = "00001132-0000-2026-1102-000000001132"

    assert TagText(uuid).without(f"card {uuid}") == "card (erased)"


def test_a_column_that_is_json_stays_json() -> None:
    """Numbers that are no tags stay; what names it is told as a text."""
    text = json.dumps({"attempt": 1132, "card": "1132", "tag": 1132, "note": "of 1132"})

    left = json.loads(TagText("1132").without_in_column("properties", text))

    assert left == {"attempt": 1132, "card": "(erased)", "tag": "(erased)", "note": "of (erased)"}


@pytest.mark.parametrize("told", [12345678, 12345678.0])
def test_a_number_in_a_field_of_tags_goes(told: float) -> None:
    """Ids are text to us, and may be numbers on the wire, with a decimal point as well."""
    body = payloads.start_v2(authorizedIdTag=told, meterRead=12345678)

    left = json.loads(TagText("12345678").without_in_body(body))

    assert (left["authorizedIdTag"], left["meterRead"]) == (None, 12345678)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-16"])
def test_bytes_that_are_no_json_lose_it_too(encoding: str) -> None:
    """Cut off or garbled: each byte of the tag becomes an asterisk, the length stays."""
    body = '{"authorizedIdTag": "04:A2b1", "met'.encode(encoding)

    left = TAG.without_in_body(body)

    assert len(left) == len(body)
    assert b"A2" not in left.replace(b"\x00", b"")
    assert "authorizedIdTag".encode(encoding)[2:] in left


def test_a_field_that_is_named_twice_hides_nothing() -> None:
    """JSON shows the last of two; the first, which names the tag, is dropped."""
    assert TAG.without_in_body(b'{"a": "04A2B1", "a": "x"}') == b'{"a":"x"}'


def test_a_message_that_does_not_name_it_stays_as_it_came() -> None:
    """Not even its blanks change."""
    for make in payloads.ALL_SHAPES.values():
        assert TAG.without_in_body(make()) == make()


@given(st.binary(max_size=60))
def test_no_bytes_are_too_odd(body: bytes) -> None:
    """Whatever the bytes are, they come back, and a second time changes nothing."""
    once = TAG.without_in_body(body)

    assert TAG.without_in_body(once) == once
