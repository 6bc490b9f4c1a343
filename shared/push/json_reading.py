"""Bytes of a message read as one JSON object, as tolerantly as is safe."""

from __future__ import annotations

import json
from typing import Any, Never

import msgspec

from shared.errors import Fault, RejectedMessageError

MAX_BODY_BYTES = 1024 * 1024
MAX_NESTING = 32
_FOUND_CHARACTERS = 80

type _Scalar = str | int | float | bool | None
type _Shallow = dict[str, _Scalar | dict[str, _Scalar] | list[_Scalar | dict[str, _Scalar]]]
_read_shallow = msgspec.json.Decoder(_Shallow).decode
_written = msgspec.json.Encoder().encode


class JsonMessage(msgspec.Struct, frozen=True):
    """A JSON object and what was odd about the way it was written."""

    fields: dict[str, Any]
    duplicate_keys: bool = False


def found(value: object) -> str:
    """A value as an error may show it: cut short, with its JSON type."""
    try:
        text = repr(value)
    except RecursionError:
        text = "nested deeply"
    if len(text) > _FOUND_CHARACTERS:
        text = f"{text[:_FOUND_CHARACTERS]}…"
    return f"{_type_name(value)} {text}"


def _type_name(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list():
            return "list"
        case _:
            return "object"


def read_json_object(body: bytes) -> JsonMessage:
    """Read a message's bytes as a JSON object.

    UTF-8 and UTF-16 are read, with or without a byte-order mark; a JSON string that holds JSON is
    read once more, not twice. Of duplicate keys the last counts.

    msgspec reads what is as it should be: an object, and within it what eMabler's messages nest.
    Anything odd (another encoding, a string around the JSON, a key that may stand twice, deeper
    nesting, whatever msgspec refuses) is read by the standard library, more slowly; it alone
    judges what is flagged or wrong.

    Raises:
        RejectedMessageError: `too_large` (beyond 1 MiB), `not_text` (no Unicode, or a lone
            surrogate), `not_json` (also NaN and infinities, which RFC 8259 does not know),
            `too_deep` (nested beyond 32), `unknown_shape` (JSON, but no object).
    """
    if len(body) > MAX_BODY_BYTES:
        _reject("too_large", f"at most {MAX_BODY_BYTES} bytes", f"{len(body)} bytes")
    try:
        fields = _read_shallow(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _read_carefully(body)
    return JsonMessage(fields) if _each_key_once(fields, body) else _read_carefully(body)


def _each_key_once(fields: dict[str, Any], body: bytes) -> bool:
    """Whether no key stood twice in an object; False also where that cannot be told quickly.

    Of a key that stands twice msgspec keeps the last, like everybody. What it writes as it was
    read, but for the blanks between, has lost none.
    """
    written = _written(fields)
    return written == body or written == msgspec.json.format(body, indent=-1)


def _read_carefully(body: bytes) -> JsonMessage:
    reader = _Reader()
    value = reader.read(_decode_text(body))
    if isinstance(value, str):
        value = reader.read(value.removeprefix("\ufeff"))
    if not isinstance(value, dict):
        _reject("unknown_shape", "a JSON object", found(value))
    if _is_too_deep(value):
        _reject("too_deep", f"nesting of at most {MAX_NESTING}", "deeper nesting")
    if reader.escapes and not _is_unicode(value):
        _reject("not_text", "Unicode text", "a lone surrogate")
    return JsonMessage(value, reader.duplicate_keys)


class _Reader:
    """One reading of JSON that notices duplicate keys and refuses numbers that are none."""

    def __init__(self) -> None:
        self.duplicate_keys = False
        self.escapes = False

    def read(self, text: str) -> Any:  # noqa: ANN401 - JSON is any of its types
        self.escapes |= "\\u" in text
        try:
            return json.loads(
                text,
                object_pairs_hook=self._pairs,
                parse_constant=_refuse_constant,
                parse_float=_finite,
            )
        except RecursionError:
            _reject("too_deep", f"nesting of at most {MAX_NESTING}", "deeper nesting")
        except ValueError as error:
            _reject("not_json", "JSON", f"text that is none ({_why(error)})")

    def _pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) != len(pairs):
            self.duplicate_keys = True
        return fields


def _why(error: ValueError) -> str:
    """What the standard library says, as a part of a sentence: `expecting value: line 1 …`."""
    told = str(error)
    return told[:1].lower() + told[1:] if isinstance(error, json.JSONDecodeError) else told


def _refuse_constant(name: str) -> Never:
    message = f"{name} is no JSON number"
    raise ValueError(message)


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:  # infinity: 1e999 is written as a number and is none
        message = f"{text[:_FOUND_CHARACTERS]} is beyond what a number can hold"
        raise ValueError(message)
    return number


def _decode_text(body: bytes) -> str:
    encoding = json.detect_encoding(body)
    try:
        return body.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        _reject("not_text", f"text in {encoding}", f"byte {error.start}: {error.reason}")


def _is_too_deep(value: object) -> bool:
    level: list[Any] = [value]
    for _ in range(MAX_NESTING):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _is_unicode(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _reject(code: str, expected: str, what: str) -> Never:
    raise RejectedMessageError(code, (Fault("body", expected, what),))
