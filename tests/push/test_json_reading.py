"""Bytes become one JSON object, or a rejection; the quick way and the careful one agree."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.errors import RejectedMessageError
from shared.push import json_reading
from shared.push.json_reading import JsonMessage, read_json_object

NAMES = st.sampled_from(["a", "b", "chargerId", "ä", "\u2028", '"', "\\", ":", " ", ""])
SCALARS: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
    | st.sampled_from(["\ud800", "\udfff\ud800", "x\udc00", '{"a":1}', ":", '":', "\\u00e4"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
STYLES = st.fixed_dictionaries(
    {
        "ensure_ascii": st.booleans(),
        "separators": st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: ")]),
    }
)


class Pairs(dict[str, Any]):
    """An object that is written with one key twice."""

    def items(self) -> Any:
        once = list(super().items())
        return [*once, *once[:1]]


def outcome(read: Any, body: bytes) -> Any:
    try:
        return read(body)
    except RejectedMessageError as rejection:
        return rejection.code, rejection.faults


def both_ways(body: bytes) -> tuple[Any, Any]:
    """What the quick way leads to, and what the careful way alone does; told apart by repr."""
    quick = outcome(read_json_object, body)
    careful = outcome(json_reading._read_carefully, body)
    return repr(quick), repr(careful)


@given(st.dictionaries(NAMES, VALUES, max_size=5), STYLES, st.data())
def test_the_quick_way_reads_what_the_careful_one_reads(
    value: dict[str, Any], style: dict[str, Any], data: st.DataObject
) -> None:
    """However JSON is written, and wherever it is damaged, both ways say the same of it."""
    text = json.dumps(data.draw(st.sampled_from([value, Pairs(value)])), **style)
    body = text.encode("utf-8", "surrogatepass")
    quick, careful = both_ways(body)
    assert quick == careful

    at = data.draw(st.integers(0, len(body)))
    damage = data.draw(st.binary(max_size=2) | st.sampled_from([b"[", b"}", b'"', b"\\", b"1e999"]))
    damaged = body[:at] + damage + body[at + data.draw(st.integers(0, 2)) :]
    quick, careful = both_ways(damaged)
    assert quick == careful


@given(st.binary(max_size=40))
@example(b'{"a":-0}')
@example(b'{"a":1E400}')
@example(b'{"a":0.1e-400}')
@example(b'{"a":9007199254740993.0}')
@example(b'{"a":12345678901234567890123.5}')
@example(b'{"a":"\xed\xa0\x80"}')
@example(b'{"a":"\xc0\xaf"}')
@example(b'{"\xff":1}')
@example(b'{"a":"\x7f"}')
@example(b'{"a":"\t"}')
@example(b'{"a":1}\x00')
@example(b'{"a":"\\ud83d\\ude97","b":"\\/"}')
@example(b'{"a":01}')
def test_no_bytes_are_read_in_two_ways(body: bytes) -> None:
    """Numbers at the edge, broken encodings and odd escapes included."""
    quick, careful = both_ways(b'{"a":' + body + b"}")
    assert quick == careful
    quick, careful = both_ways(body)
    assert quick == careful


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":2}',
        b'{"a":2,"a":2}',
        b'{"a": 1, "a": 2}',
        b'{"a" : 1 , "a" : 2}',
        b'{\n  "a": 1,\n  "a": 2\n}',
        b'{"a":1,"\\u0061":2}',
        b'{"a":0,"n":[{"b":1,"b":2}],"a":2}',
        b'{"n":{"a":"\xc3\xa4","a":":"},"a":2}',
        b'{"a":1e2,"a":2}',
        b'"{\\"a\\":1,\\"a\\":2}"',
    ],
)
def test_a_key_that_stands_twice_is_noticed(body: bytes) -> None:
    """At any depth, in any spelling, in unknown fields too; the last counts."""
    read = read_json_object(body)

    assert read.duplicate_keys
    assert read.fields.get("a") == 2


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":":","b":"\\":","c":" : "}',
        b'{"a":1.50,"b":1E2,"c":"\\u00e4"}',
        b'{ "a" : { "a" : [ { "a" : 1 } , { "a" : 1 } ] } }',
        b'{"a":"a","b":"a"}',
    ],
)
def test_what_looks_like_a_second_key_is_none(body: bytes) -> None:
    """Texts that hold quotes and colons, numbers written oddly, one name at several depths."""
    assert not read_json_object(body).duplicate_keys


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    return '{"a":' + opening * (depth - 1) + "1" + closing * (depth - 1) + "}"


@pytest.mark.parametrize(
    "text",
    [
        nested(32),
        nested(32, '{"b":', "}"),
        '{"a":[' + ",".join(["[]"] * 400) + "]}",
        '{"a":"' + "[{" * 400 + '"}',
        json.dumps(nested(32)),
    ],
)
def test_nesting_to_32_is_read(text: str) -> None:
    """Depth counts, not the number of lists, nor brackets within texts."""
    assert read_json_object(text.encode()).fields.keys() == {"a"}


@pytest.mark.parametrize(
    "text",
    [
        nested(33),
        nested(33, '{"b":', "}"),
        nested(33, '[{"b":', "}]"),
        json.dumps(nested(33)),
        json.dumps(nested(33)).replace("[", "\\u005b").replace("]", "\\u005d"),
        nested(100_000),
    ],
)
def test_nesting_beyond_32_is_too_deep(text: str) -> None:
    """In whatever brackets, also where a string around the JSON hides them behind escapes."""
    with pytest.raises(RejectedMessageError) as rejection:
        read_json_object(text.encode())

    assert rejection.value.code == "too_deep"


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":"\\ud800"}',
        b'{"a":{"b":["\\udc00x"]}}',
        b'{"\\ud800":1}',
        b'{"a":"\\ude97\\ud83d"}',
        b'"{\\"a\\":\\"\\ud800\\"}"',
        b'"{\\"a\\":\\"\\\\ud800\\"}"',
        '{"a":"x"}'.encode("utf-16-le").replace(b"x\0", b"\x00\xd8"),
    ],
)
def test_half_a_surrogate_pair_is_no_text(body: bytes) -> None:
    """In a value, a key, a string around the JSON, escaped or not."""
    with pytest.raises(RejectedMessageError) as rejection:
        read_json_object(body)

    assert rejection.value.code == "not_text"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_unicode_is_read_in_any_encoding(encoding: str) -> None:
    """With and without a byte-order mark, whole surrogate pairs included, in a string too."""
    plain = '{"a":"\u00e4\U0001f697"}'

    expected = JsonMessage({"a": "\u00e4\U0001f697"})
    assert read_json_object(plain.encode(encoding)) == expected
    assert read_json_object(json.dumps(plain).encode(encoding)) == expected
    assert read_json_object(json.dumps("\ufeff" + plain).encode(encoding)) == expected


def test_a_string_in_json_is_read_once_more_and_not_twice() -> None:
    """JSON in a string in a string is no message."""
    once = json.dumps('{"a":1}')

    assert read_json_object(once.encode()).fields == {"a": 1}
    with pytest.raises(RejectedMessageError) as rejection:
        read_json_object(json.dumps(once).encode())
    assert rejection.value.code == "unknown_shape"


def test_whole_numbers_keep_all_their_digits() -> None:
    """An id that is a long number is no rounded one."""
    assert read_json_object(b'{"a":123456789012345678901234567890}').fields == {
        "a": 123456789012345678901234567890
    }
