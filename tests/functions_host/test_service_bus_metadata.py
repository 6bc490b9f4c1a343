from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from azure.functions.servicebus import ServiceBusMessageInConverter as Decoder
from azure_functions_runtime.bindings.datumdef import Datum

from local.functions_host.service_bus_metadata import (
    BodyError,
    MessageFacts,
    batch_metadata,
    bodies_data,
    dotnet_instant,
    one_message_metadata,
    properties_json,
    with_body_members,
)

# What the extension 5.x adds for a batch, as its source has it (GetBindingContract), without the
# .NET objects. No LockedUntil, State, TimeToLive, EnqueuedSequenceNumber, DeadLetterReason.
BATCH_NAMES = {
    "DeliveryCountArray",
    "DeadLetterSourceArray",
    "LockTokenArray",
    "ExpiresAtUtcArray",
    "ExpiresAtArray",
    "EnqueuedTimeUtcArray",
    "EnqueuedTimeArray",
    "MessageIdArray",
    "ContentTypeArray",
    "ReplyToArray",
    "SequenceNumberArray",
    "ToArray",
    "SubjectArray",
    "LabelArray",
    "CorrelationIdArray",
    "ApplicationPropertiesArray",
    "UserPropertiesArray",
    "SessionIdArray",
    "ReplyToSessionIdArray",
    "PartitionKeyArray",
    "TransactionPartitionKeyArray",
}


def _facts(number: int, **strings: str) -> MessageFacts:
    names = ["DeadLetterSource", "LockToken", "MessageId", "ContentType", "ReplyTo", "To"]
    names += ["Subject", "Label", "CorrelationId", "SessionId", "ReplyToSessionId"]
    names += ["PartitionKey", "TransactionPartitionKey"]
    given = {"LockToken": f"token-{number}", "MessageId": f"id-{number}", **strings}
    return MessageFacts(
        strings=tuple(given.get(name) for name in names),
        sequence_number=number,
        delivery_count=number,
        enqueued="2026-11-22T12:00:00.25",
        expires="9999-12-31T23:59:59.9999999",
        properties='{"n": 1}' if number == 1 else "{}",
    )


def _decode(data: Any, metadata: dict[str, Any]) -> Any:
    return Decoder.decode(
        Datum.from_typed_data(data),
        trigger_metadata={name: Datum.from_typed_data(value) for name, value in metadata.items()},
    )


def test_a_batch_is_read_by_microsofts_library() -> None:
    """Bodies, ids, counts and properties arrive message by message."""
    facts = [_facts(1, Subject="a", Label="a"), _facts(2, Subject="b", Label="b")]
    messages = _decode(bodies_data([b"\xff\x00", b""], "binary"), batch_metadata(facts))
    assert [m.get_body() for m in messages] == [b"\xff\x00", b""]
    assert [m.message_id for m in messages] == ["id-1", "id-2"]
    assert [m.delivery_count for m in messages] == [1, 2]
    assert [m.sequence_number for m in messages] == [1, 2]
    assert [m.lock_token for m in messages] == ["token-1", "token-2"]
    assert [m.subject for m in messages] == [m.label for m in messages] == ["a", "b"]
    assert messages[0].application_properties == messages[0].user_properties == {"n": 1}


def test_instants_arrive_without_an_offset() -> None:
    """As in Azure with extension 5.x, the library reads naive datetimes, in UTC."""
    message = _decode(bodies_data([b""], "binary"), batch_metadata([_facts(1)]))[0]
    assert message.enqueued_time_utc == datetime(2026, 11, 22, 12, 0, 0, 250_000)  # noqa: DTZ001
    assert message.expires_at_utc.year == 9999


def test_a_batch_has_the_extensions_names_and_no_others() -> None:
    """What the extension does not tell in Azure is not told here either."""
    assert set(batch_metadata([_facts(1)])) == BATCH_NAMES


def test_one_message_has_the_same_names_without_array_and_only_what_it_has() -> None:
    """Absent values are left out, as the host of Azure does."""
    metadata = one_message_metadata(_facts(1, CorrelationId="c"))
    assert {f"{name}Array" for name in metadata} < BATCH_NAMES
    assert "ReplyTo" not in metadata
    message = _decode(bodies_data([b"x"], "string"), batch_metadata([_facts(1)]))[0]
    assert message.reply_to is None


def test_absent_texts_shift_those_of_the_others_as_in_azure() -> None:
    """Azure's host drops empty entries of string arrays: the second's id reads as the first's."""
    facts = [_facts(1), _facts(2, CorrelationId="second's")]
    messages = _decode(bodies_data([b"", b""], "binary"), batch_metadata(facts))
    assert [m.correlation_id for m in messages] == ["second's", None]


def test_a_single_message_is_read_by_microsofts_library() -> None:
    """The same facts, one by one."""
    facts = _facts(1, ContentType="text/plain", SessionId="s")
    data = bodies_data([b"x"], "string")
    message = _decode(_one(data), one_message_metadata(facts))
    assert message.get_body() == b"x"
    assert (message.message_id, message.delivery_count, message.sequence_number) == ("id-1", 1, 1)
    assert (message.content_type, message.session_id) == ("text/plain", "s")
    assert message.application_properties == {"n": 1}


def _one(batch: Any) -> Any:
    return type(batch)(string=batch.collection_string.string[0])


def test_members_of_a_single_json_body_win_as_in_azure() -> None:
    """Case is ignored; arrays and nulls are left out; what is no JSON object changes nothing."""
    metadata = one_message_metadata(_facts(1))
    body = '{"messageId": "mine", "n": 5, "deep": {"a": 1}, "list": [1], "ReplyTo": null}'
    message = _decode(_one(bodies_data([b"x"], "string")), with_body_members(metadata, body))
    assert message.message_id == "mine"
    assert message.metadata["n"] == "5"
    assert message.metadata["deep"] == {"a": 1}
    assert "list" not in message.metadata
    assert with_body_members({}, "[1]") == with_body_members({}, "{oops") == {}


def test_a_body_that_is_no_text_cannot_be_bound_as_text() -> None:
    """The message that says so names data_type=BINARY."""
    with pytest.raises(BodyError, match="BINARY"):
        bodies_data([b"\xff"], "string")


def test_empty_texts_of_a_batch_are_dropped_as_in_azure() -> None:
    """Bound as strings, an empty body is missing in the collection; as bytes it is there."""
    assert list(bodies_data([b"", b"a"], "string").collection_string.string) == ["a"]
    assert list(bodies_data([b"", b"a"], "binary").collection_bytes.bytes) == [b"", b"a"]


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05"),
        (datetime(2026, 1, 2, 3, 4, 5, 120_000, tzinfo=UTC), "2026-01-02T03:04:05.12"),
        (None, "0001-01-01T00:00:00"),
    ],
)
def test_instants_are_written_as_dotnet_writes_them(instant: datetime | None, text: str) -> None:
    """No offset, no trailing zeros."""
    assert dotnet_instant(instant) == text


def test_application_properties_become_json() -> None:
    """AMQP strings arrive as bytes; what JSON lacks becomes text."""
    properties = {
        b"text": b"\xc3\xa9",
        b"bytes": b"\xff",
        b"number": 5,
        b"at": datetime(2026, 1, 2, tzinfo=UTC),
        b"id": UUID(int=1),
        b"span": timedelta(seconds=1),
        b"yes": True,
    }
    assert json.loads(properties_json(properties)) == {
        "text": "é",
        "bytes": "/w==",
        "number": 5,
        "at": "2026-01-02T00:00:00Z",
        "id": "00000000-0000-0000-0000-000000000001",
        "span": "0:00:01",
        "yes": True,
    }
    assert properties_json(None) == "{}"
