"""Looking for tags by their hashes: whatever may be an id is met, in any spelling."""

from __future__ import annotations

import json

import pytest

from shared.identifiers import hash_tag
from shared.privacy.by_hash import HashedTags
from shared.storage.rows import Value

KEY = b"correct horse battery staple 0123456789"


def found(tag: str, columns: dict[str, Value]) -> list[str]:
    tags = HashedTags({hash_tag(tag, KEY)}, [b"another", KEY])
    tags.look_at_row({"schema": 1, "at": "2026-11-02T09:11:32Z", **columns})
    return list(tags.found.values())


@pytest.mark.parametrize(
    "columns",
    [
        {"tag": "04:A2:B1:C3"},
        {"detail": "the tag 04a2b1c3 was refused."},
        {"detail": "the tag (04 a2-b1_c3)"},
        {"properties": '{"id":"04A2B1C3"}'},
        {"body_00": '{"n":1,"idTag":"04A2B', "body_01": '1C3"}'},
        {"body": '{"tag":"04.A2', "body_01": '.B1.C3"}'},
        {"body_00": b'{"idTag": "04A2B1C3'},
        {"body_00": '{"idTag":"04A2B1C3"}'.encode("utf-16")},
        {"body_00": b'\xff\xfe{"idTag":"04A2B1C3"}'},
        {"body_00": '{"idTag":"\\u00304A2B1C3"}'},
        {"body_00": json.dumps(json.dumps({"note": "a\n04A2B1C3"}))},
        {"body_00": '{"idTag":"2026-11-02T09:11:32Z 04A2B1C3"}'},
    ],
)
def test_an_id_is_met_in_any_spelling(columns: dict[str, Value]) -> None:
    """In a column, a sentence, a message in pieces, cut off, escaped, as UTF-16."""
    assert found("04A2B1C3", columns) == ["04A2B1C3"]


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("4711", '{"idTag":4711}'),
        ("12", '{"idTag":"12"}'),
        ("DE*ABC*C12345", '{"idTag":"de*abc*c12345"}'),
        ("DE*ABC*C12345", "refused DE*ABC*C12345, twice"),
        ("Jane Doe/7", '{"name":"jane doe/7"}'),
        ("ÄÖÜ-ß", '{"name":"äöü-SS"}'),
        ("01020304050607080910", "01:02:03:04:05:06:07:08:09:10"),
        ("::", '{"idTag":"::"}'),
    ],
)
def test_unusual_ids_are_met(tag: str, text: str) -> None:
    """Numbers, short ones, contract ids with stars, names, other letters, only separators."""
    assert len(found(tag, {"body_00": text})) == 1


def test_other_ids_are_none() -> None:
    """A part of a longer word, and another id."""
    assert found("04A2B1C3", {"detail": "x04A2B1C3 04A2B1C3x 04A2B1C4"}) == []
