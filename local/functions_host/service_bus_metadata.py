"""Service Bus messages as the worker gets them: bodies and trigger metadata.

Names, types and their absence are those of the Service Bus extension 5.x (its binding data) after
Azure's host turned them into FunctionRpc values for a worker that takes typed collections:

* arrays of strings become `collection_string`, *without their empty entries* unless the worker
  asks for them (IncludeEmptyEntriesInMessagePayload; Microsoft's Python runtime does not). So when
  only some messages of a batch have, say, a correlation id, the worker cannot tell which;
* sequence numbers become `collection_sint64`; everything else is JSON;
* `EnqueuedTimeUtc` and `ExpiresAtUtc` are written without an offset, so the Python library reads
  naive datetimes; the delivery count counts from 1;
* there is no LockedUntil, State, TimeToLive, EnqueuedSequenceNumber, ScheduledEnqueueTimeUtc or
  DeadLetterReason, although the Python library would read them. (Reason and description of a dead
  letter are among the application properties.)

Left out: the serialised .NET objects that the extension adds (`MessageReceiver`, `Client`, …).
"""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.amqp import AmqpMessageBodyType

from local.functions_host.rpc import TypedData, protos

_NO_EXPIRY = "9999-12-31T23:59:59.9999999"
_UTC_OFFSET = "+00:00"
_VIA_PARTITION_KEY = b"x-opt-via-partition-key"
_DEAD_LETTER_SOURCE = b"x-opt-deadletter-source"
_STRINGS = (
    "DeadLetterSource",
    "LockToken",
    "MessageId",
    "ContentType",
    "ReplyTo",
    "To",
    "Subject",
    "Label",
    "CorrelationId",
    "SessionId",
    "ReplyToSessionId",
    "PartitionKey",
    "TransactionPartitionKey",
)


class BodyError(Exception):
    """A body cannot be bound to the function's parameter; in Azure the invocation fails too."""


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """What the extension tells about one message; texts are None where absent."""

    strings: tuple[str | None, ...]
    sequence_number: int
    delivery_count: int
    enqueued: str
    expires: str
    properties: str


def facts_of(message: ServiceBusReceivedMessage) -> MessageFacts:
    """The facts of a received message."""
    raw = message.raw_amqp_message
    annotations: Mapping[Any, Any] = raw.annotations or {}
    subject = message.subject
    return MessageFacts(
        strings=(
            _string(annotations.get(_DEAD_LETTER_SOURCE)),
            _string(message.lock_token),
            _string(message.message_id),
            message.content_type,
            message.reply_to,
            message.to,
            subject,
            subject,
            _string(message.correlation_id),
            message.session_id,
            message.reply_to_session_id,
            message.partition_key,
            _string(annotations.get(_VIA_PARTITION_KEY)),
        ),
        sequence_number=message.sequence_number or 0,
        # The SDK for Python counts finished deliveries, the one for .NET this one too.
        delivery_count=(message.delivery_count or 0) + 1,
        enqueued=dotnet_instant(message.enqueued_time_utc),
        expires=_expiry(message),
        properties=properties_json(message.application_properties),
    )


def one_message_metadata(facts: MessageFacts) -> dict[str, TypedData]:
    """The trigger metadata of a function that takes single messages; absent values are left out."""
    data = protos.TypedData
    metadata = {
        name: data(string=value)
        for name, value in zip(_STRINGS, facts.strings, strict=True)
        if value is not None
    }
    properties = data(json=facts.properties)
    metadata["DeliveryCount"] = data(json=str(facts.delivery_count))
    metadata["SequenceNumber"] = data(json=str(facts.sequence_number))
    metadata["ApplicationProperties"] = metadata["UserProperties"] = properties
    metadata["EnqueuedTimeUtc"] = data(json=f'"{facts.enqueued}"')
    metadata["EnqueuedTime"] = data(json=f'"{facts.enqueued}{_UTC_OFFSET}"')
    metadata["ExpiresAtUtc"] = data(json=f'"{facts.expires}"')
    metadata["ExpiresAt"] = data(json=f'"{facts.expires}{_UTC_OFFSET}"')
    return metadata


def batch_metadata(batch: Sequence[MessageFacts]) -> dict[str, TypedData]:
    """The trigger metadata of a function that takes batches: one array for each name."""
    data = protos.TypedData
    columns = zip(*(facts.strings for facts in batch), strict=True)
    metadata = {
        f"{name}Array": data(collection_string=protos.CollectionString(string=filter(None, column)))
        for name, column in zip(_STRINGS, columns, strict=True)
    }
    metadata["SequenceNumberArray"] = data(
        collection_sint64=protos.CollectionSInt64(sint64=[f.sequence_number for f in batch])
    )
    metadata["DeliveryCountArray"] = _array(str(facts.delivery_count) for facts in batch)
    properties = _array(facts.properties for facts in batch)
    metadata["ApplicationPropertiesArray"] = metadata["UserPropertiesArray"] = properties
    metadata["EnqueuedTimeUtcArray"] = _array(f'"{facts.enqueued}"' for facts in batch)
    metadata["EnqueuedTimeArray"] = _array(f'"{facts.enqueued}{_UTC_OFFSET}"' for facts in batch)
    metadata["ExpiresAtUtcArray"] = _array(f'"{facts.expires}"' for facts in batch)
    metadata["ExpiresAtArray"] = _array(f'"{facts.expires}{_UTC_OFFSET}"' for facts in batch)
    return metadata


def with_body_members(metadata: dict[str, TypedData], body: str) -> dict[str, TypedData]:
    """The metadata of a single message bound as a string, with the members of its JSON body.

    Azure's host adds the members of a JSON object to the binding data, case ignored, and there
    they win: a body with a `messageId` decides what the function reads as the message's id.
    """
    if not body.lstrip().startswith("{"):
        return metadata
    try:
        members = json.loads(body)
    except ValueError:
        return metadata
    names = {name.lower(): name for name in metadata}
    for name, value in members.items():
        if value is not None and not isinstance(value, list):
            metadata[names.setdefault(name.lower(), name)] = _member(value)
    return metadata


def bodies_data(bodies: Sequence[bytes], data_type: str) -> TypedData:
    """The `TypedData` of a batch: bytes for dataType `binary`, else strings.

    Raises:
        BodyError: A body is to be a string and is not UTF-8.
    """
    data = protos.TypedData
    if data_type == "binary":
        return data(collection_bytes=protos.CollectionBytes(bytes=bodies))
    texts = [body_text(body) for body in bodies]
    return data(collection_string=protos.CollectionString(string=filter(None, texts)))


def body_text(body: bytes) -> str:
    """A body as a string.

    Raises:
        BodyError: It is not UTF-8.
    """
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BodyError(
            "a message body is not UTF-8 and cannot be bound as a string; bind it with"
            " data_type=BINARY"
        ) from error


def body_of(message: ServiceBusReceivedMessage) -> bytes:
    """The bytes of a message's data section.

    Raises:
        BodyError: The body is an AMQP value or sequence, which the extension cannot read either.
    """
    if message.body_type is not AmqpMessageBodyType.DATA:
        raise BodyError("a message has an AMQP value or sequence as its body, not data")
    return b"".join(message.body)


def dotnet_instant(instant: datetime | None) -> str:
    """An instant in UTC as .NET writes one without an offset: no trailing zeros in the fraction."""
    if instant is None:
        return "0001-01-01T00:00:00"
    text = instant.replace(tzinfo=None).isoformat()
    return text.rstrip("0") if instant.microsecond else text


def properties_json(properties: Mapping[Any, Any] | None) -> str:
    """Application properties as one JSON object; AMQP strings arrive as bytes."""
    if not properties:
        return "{}"
    return json.dumps({_string(k): _plain(v) for k, v in properties.items()}, default=str)


def _plain(value: object) -> object:
    match value:
        case bytes():
            try:
                return value.decode("utf-8")
            except UnicodeDecodeError:
                return base64.b64encode(value).decode()
        case datetime():
            return dotnet_instant(value.astimezone(UTC)) + "Z"
        case timedelta() | UUID():
            return str(value)
    return value


def _string(value: object) -> str | None:
    if value is None:
        return None
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _expiry(message: ServiceBusReceivedMessage) -> str:
    try:
        instant = message.expires_at_utc
    except OverflowError:
        instant = None
    return _NO_EXPIRY if instant is None else dotnet_instant(instant)


def _array(items: Iterable[str]) -> TypedData:
    return protos.TypedData(json=f"[{','.join(items)}]")


def _member(value: object) -> TypedData:
    if isinstance(value, dict):
        return protos.TypedData(json=json.dumps(value))
    return protos.TypedData(string=str(value))
