"""What a request holds: its items, each accepted or refused with the reason that the service gives.

The body is a JSON array of envelopes, or one envelope a line, also gzipped. The answer is 200 when
all items were accepted, 206 when some were, 400 when none was, with the numbers and the errors:
`{"itemsReceived": 3, "itemsAccepted": 2, "errors": [{"index": 1, "statusCode": 400, …}]}`.
"""

import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

MOST_BYTES = 64 * 1024 * 1024
"""Of a body when unpacked."""

OK, PARTIAL, BAD_REQUEST = 200, 206, 400
_OLDEST = timedelta(hours=48)
_NEWEST = timedelta(hours=2)
_GZIP = 16 + zlib.MAX_WBITS
# The SDK for .NET writes seven digits; Python reads six.
_FRACTION = re.compile(r"(\.\d{6})\d+")

type Envelope = dict[str, Any]


class BodyError(Exception):
    """A body that holds no items at all."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one item was refused; `index` counts from 0."""

    index: int
    status: int
    message: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of the items of one request."""

    accepted: Sequence[Envelope]
    refusals: Sequence[Refusal] = ()

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        if not self.refusals:
            return OK
        return PARTIAL if self.accepted else BAD_REQUEST

    def answer(self) -> dict[str, Any]:
        """The JSON of the answer."""
        return {
            "itemsReceived": len(self.accepted) + len(self.refusals),
            "itemsAccepted": len(self.accepted),
            "errors": [
                {"index": each.index, "statusCode": each.status, "message": each.message}
                for each in self.refusals
            ],
        }


def unpacked(body: bytes, encoding: str) -> bytes:
    """The body as it was before it was packed.

    Raises:
        BodyError: It is no gzip, or larger than `MOST_BYTES`.
    """
    if encoding.strip().lower() != "gzip":
        return body
    unpacker = zlib.decompressobj(_GZIP)
    try:
        content = unpacker.decompress(body, MOST_BYTES)
    except zlib.error as error:
        raise BodyError("the body is no gzip") from error
    if unpacker.unconsumed_tail:
        raise BodyError(f"the body has more than {MOST_BYTES} bytes")
    return content


def items_of(content: bytes) -> list[Any]:
    """The items of a body, whatever they are.

    Raises:
        BodyError: It is neither JSON nor JSON lines.
    """
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    if isinstance(document, list):
        return document
    if document is not None:
        return [document]
    try:
        items = [json.loads(line) for line in content.splitlines() if line.strip()]
    except ValueError as error:
        raise BodyError("the body is neither JSON nor JSON lines") from error
    if not items:
        raise BodyError("the body holds no items")
    return items


def take(items: Sequence[Any], instrumentation_key: str, now: datetime) -> Taken:
    """Judge each item as the service does."""
    accepted: list[Envelope] = []
    refusals: list[Refusal] = []
    for index, item in enumerate(items):
        problem = _problem(item, instrumentation_key, now)
        if problem:
            refusals.append(Refusal(index, BAD_REQUEST, problem))
        else:
            accepted.append(item)
    return Taken(accepted, refusals)


def _problem(item: object, instrumentation_key: str, now: datetime) -> str:
    match item:
        case {
            "name": str(name),
            "time": str(time),
            "iKey": str(key),
            "data": {"baseType": str(kind), "baseData": {"ver": 2}},
        } if name and kind:
            pass
        case _:
            return "106: Field 'name', 'time', 'iKey' or 'data' on type 'Envelope' is required"
    if key.lower() != instrumentation_key.lower():
        return "109: Field 'iKey' on type 'Envelope': invalid instrumentation key"
    try:
        instant = datetime.fromisoformat(_FRACTION.sub(r"\1", time))
    except ValueError:
        return "102: Field 'time' on type 'Envelope' is not a valid date"
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    if not now - _OLDEST <= instant <= now + _NEWEST:
        return "106: Field 'time' on type 'Envelope' is outside the allowed range"
    return ""
