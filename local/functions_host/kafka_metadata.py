"""Kafka messages as the worker gets them: values and trigger metadata of a batch.

Names and types are those of the Kafka extension's binding data after Azure's host turned them into
FunctionRpc values: topics are a `collection_string`, offsets a `collection_sint64`, all else JSON
as .NET writes it (bytes in Base64, instants in UTC with `Z`). A value that is null is no bytes.
"""

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from local.functions_host.rpc import TypedData, protos
from local.functions_host.service_bus_metadata import dotnet_instant


@dataclass(frozen=True, slots=True)
class KafkaMessage:
    """What Kafka tells of one message; `instant` in milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    value: bytes | None
    key: bytes | None = None
    instant: int = 0
    headers: Sequence[tuple[str, bytes | None]] = ()


def values_data(batch: Sequence[KafkaMessage]) -> TypedData:
    """The values of a batch, as bytes."""
    values = [message.value or b"" for message in batch]
    return protos.TypedData(collection_bytes=protos.CollectionBytes(bytes=values))


def batch_metadata(batch: Sequence[KafkaMessage], *, key_is_text: bool) -> dict[str, TypedData]:
    """The trigger metadata of a batch: one array for each name."""
    data = protos.TypedData
    topics = protos.CollectionString(string=[message.topic for message in batch])
    offsets = protos.CollectionSInt64(sint64=[message.offset for message in batch])
    keys = (_text(each.key) if key_is_text else _base64(each.key) for each in batch)
    return {
        "TopicArray": data(collection_string=topics),
        "OffsetArray": data(collection_sint64=offsets),
        "PartitionArray": _json(message.partition for message in batch),
        "TimestampArray": _json(_instant(message.instant) for message in batch),
        "KeyArray": _json(keys),
        "HeadersArray": _json(_headers(message.headers) for message in batch),
        "LeaderEpochArray": _json(None for _ in batch),
        "IsPartitionEOFArray": _json(False for _ in batch),
    }


def _json(values: Iterable[object]) -> TypedData:
    return protos.TypedData(json=json.dumps(list(values), separators=(",", ":")))


def _headers(headers: Iterable[tuple[str, bytes | None]]) -> list[dict[str, str | None]]:
    return [{"Key": name, "Value": _base64(value)} for name, value in headers]


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _text(value: bytes | None) -> str | None:
    # .NET's UTF-8 replaces what is none, and so raises nothing.
    return None if value is None else value.decode("utf-8", "replace")


def _instant(milliseconds: int) -> str:
    return dotnet_instant(datetime.fromtimestamp(milliseconds / 1000, UTC)) + "Z"
