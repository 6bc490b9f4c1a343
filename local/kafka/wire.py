"""Kafka's frames: requests as they are read, responses as they are written.

Requests and responses are the structures of aiokafka, which reads and writes them both ways. Of
each request one version is offered, so that one shape of each is to be answered.
"""

import asyncio
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from aiokafka.protocol.admin import (
    ApiVersionRequest_v0,
    SaslAuthenticateRequest_v0,
    SaslHandShakeRequest_v1,
)
from aiokafka.protocol.commit import OffsetCommitRequest_v2, OffsetFetchRequest_v2
from aiokafka.protocol.coordination import FindCoordinatorRequest_v0
from aiokafka.protocol.fetch import FetchRequest_v4
from aiokafka.protocol.group import (
    HeartbeatRequest_v0,
    JoinGroupRequest_v1,
    LeaveGroupRequest_v0,
    SyncGroupRequest_v0,
)
from aiokafka.protocol.metadata import MetadataRequest_v1
from aiokafka.protocol.offset import OffsetRequest_v1
from aiokafka.protocol.produce import ProduceRequest_v3

REQUESTS: dict[int, Any] = {
    request.API_KEY: request
    for request in (
        ApiVersionRequest_v0,
        FetchRequest_v4,
        FindCoordinatorRequest_v0,
        HeartbeatRequest_v0,
        JoinGroupRequest_v1,
        LeaveGroupRequest_v0,
        MetadataRequest_v1,
        OffsetCommitRequest_v2,
        OffsetFetchRequest_v2,
        OffsetRequest_v1,
        ProduceRequest_v3,
        SaslAuthenticateRequest_v0,
        SaslHandShakeRequest_v1,
        SyncGroupRequest_v0,
    )
}
"""The requests that are understood, by their key."""

VERSIONS = [(key, request.API_VERSION, request.API_VERSION) for key, request in REQUESTS.items()]
"""What `ApiVersions` answers: each key with its least and its greatest version."""

_MOST_BYTES = 100 * 1024 * 1024


class Code:
    """Kafka's error codes that are answered here."""

    NONE = 0
    OFFSET_OUT_OF_RANGE = 1
    CORRUPT_MESSAGE = 2
    UNKNOWN_TOPIC = 3
    MESSAGE_TOO_LARGE = 10
    INVALID_TOPIC = 17
    ILLEGAL_GENERATION = 22
    INCONSISTENT_PROTOCOL = 23
    UNKNOWN_MEMBER = 25
    REBALANCING = 27
    UNSUPPORTED_MECHANISM = 33
    AUTHENTICATION_FAILED = 58


class WireError(Exception):
    """A frame that is none of Kafka's, or of another version than is offered."""


@dataclass(frozen=True, slots=True)
class Framed:
    """A request and what its response has to carry; `body` is one of aiokafka's structures."""

    key: int
    correlation: int
    client: str
    body: Any

    def response(self, *values: object) -> bytes:
        """The frame of the response with these fields, in the order of its schema."""
        body = self.body.RESPONSE_TYPE(*values).encode()
        payload = self.correlation.to_bytes(4, "big", signed=True) + body
        return len(payload).to_bytes(4, "big") + bytes(payload)


async def read_request(reader: asyncio.StreamReader) -> Framed | None:
    """The next request; None where the client is gone.

    Raises:
        WireError: It cannot be read; nothing after it can, either.
    """
    try:
        size = int.from_bytes(await reader.readexactly(4), "big")
        if size > _MOST_BYTES:
            raise WireError(f"a frame of {size} bytes")
        payload = BytesIO(await reader.readexactly(size))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    key, version = _whole(payload, 2), _whole(payload, 2)
    correlation = _whole(payload, 4)
    length = _whole(payload, 2)
    client = payload.read(max(length, 0)).decode("utf-8", "replace")
    request = REQUESTS.get(key)
    if request is None or version != request.API_VERSION:
        raise WireError(f"request {key} of version {version}, which is not offered")
    try:
        return Framed(key, correlation, client, request.decode(payload))
    except (ValueError, UnicodeDecodeError) as error:
        raise WireError(f"request {key} cannot be read: {error}") from error


def _whole(payload: BytesIO, size: int) -> int:
    return int.from_bytes(payload.read(size), "big", signed=True)
