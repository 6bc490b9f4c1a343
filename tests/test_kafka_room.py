"""Push events by Kafka: each message is on the queue, stored or parked, or all come again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.errors import (
    FunctionDisabledError,
    QueueUnavailableError,
    SettingError,
    StoreUnavailableError,
)
from shared.ingestion.deliver import Delivery
from shared.ingestion.ingest import Ingestion
from shared.kafka_room import KafkaRoom, kafka_binding
from shared.messaging.queue import PacketQueue
from shared.sessions.writer import SessionWriter
from shared.settings import read_settings
from shared.storage.bodies import read_body
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.tables import ALL_TABLES, EVENTS, PARKED
from shared.telemetry import WideEvent
from shared.webhook import MAX_EVENT_BYTES
from tests import payloads
from tests.test_settings import KAFKA_TOGETHER, RIGHT, UNRESOLVED

CHECKOUT = Path(__file__).resolve().parent.parent
NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
LARGE = payloads.state_v2(other="x" * MAX_EVENT_BYTES)
"""An event that can be read, and that no queue of the Standard tier takes."""


class FakeQueue:
    """Keeps what it is sent; `away`: takes nothing. It takes no message beyond `most` bytes."""

    def __init__(self, most: int = 256 * 1024) -> None:
        self.sent: list[bytes] = []
        self.away = False
        self._most = most

    async def send_all(self, bodies: Sequence[bytes]) -> list[bytes]:
        if self.away:
            raise QueueUnavailableError("queue push-events: TimeoutError")
        self.sent += [body for body in bodies if len(body) <= self._most]
        return [body for body in bodies if len(body) > self._most]


class Ground:
    """A room on a queue and a store in memory."""

    def __init__(self, queue: FakeQueue | None = None) -> None:
        self.tables = MemoryTables(*ALL_TABLES)
        self.blobs = MemoryBlobs(*ALL_CONTAINERS)
        self.queue = queue or FakeQueue()
        self.wide = WideEvent("push_kafka")
        writer = SessionWriter(self.tables, buckets=4, tag_hash_key=b"k" * 32)
        self.ingestion = Ingestion(
            self.tables, self.blobs, buckets=4, sessions=writer, clock=lambda: NOW
        )
        delivery = Delivery(self.ingestion, guard=_welcome, longest_wait=0, clock=lambda: NOW)
        self.room = KafkaRoom(
            queue=lambda: self.queue, delivery=lambda: delivery, clock=lambda: NOW
        )

    async def take(self, *bodies: bytes) -> dict[str, Any]:
        """Take a batch; give what the wide event says of it."""
        self.wide = WideEvent("push_kafka")
        await self.room.take(bodies, self.wide)
        return self.wide.fields

    async def count(self, table: str) -> int:
        """How many rows a table has."""
        return len([row async for row in self.tables.scan(table)])


async def _welcome() -> None:
    return


async def test_messages_go_onto_the_queue_as_the_bytes_they_were() -> None:
    """Whatever they hold, in their order: what cannot be read is for ingestion to park."""
    ground, bodies = Ground(), [payloads.state_v2(), b"\xff\xfe", b"", payloads.start_v2()]

    told = await ground.take(*bodies)

    assert ground.queue.sent == bodies
    assert (told["transport"], told["received"]) == ("kafka", 4)
    assert told["queued_bytes"] == sum(map(len, bodies))
    assert "past_the_queue" not in told


async def test_without_the_queue_nothing_is_acknowledged() -> None:
    """The call fails, so that Kafka keeps the offset; nothing went another way."""
    ground = Ground()
    ground.queue.away = True

    with pytest.raises(QueueUnavailableError):
        await ground.take(payloads.state_v2(), b"poison")

    assert await ground.count(EVENTS) == await ground.count(PARKED) == 0


async def test_an_event_too_large_for_the_queue_goes_into_the_store_at_once() -> None:
    """It is in the journal, whole; the others of its batch take the queue."""
    ground = Ground()

    told = await ground.take(LARGE, payloads.start_v2())

    (row,) = [row async for row in ground.tables.scan(EVENTS)]
    assert await read_body(ground.blobs, row.columns) == LARGE
    assert ground.queue.sent == [payloads.start_v2()]
    assert (told["past_the_queue"], told["stored"]) == (1, 1)


async def test_a_large_event_that_comes_again_is_there_once() -> None:
    """A batch that failed comes again as a whole."""
    ground = Ground()
    await ground.take(LARGE)

    told = await ground.take(LARGE)

    assert await ground.count(EVENTS) == 1
    assert (told["stored"], told["repeated"]) == (0, 1)


async def test_what_a_queue_with_a_lower_limit_refuses_goes_the_same_way() -> None:
    """The queue decides what it takes; a message below our own bound does not block either."""
    ground = Ground(FakeQueue(most=1000))
    body = payloads.state_v2(other="x" * 2000)

    told = await ground.take(body, b"small")

    assert ground.queue.sent == [b"small"]
    assert (told["stored"], told["queued_bytes"]) == (1, 5)


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"x" * (MAX_EVENT_BYTES + 1), "not_json"), (b"x" * (1024 * 1024 + 1), "too_large")],
)
async def test_poison_too_large_for_the_queue_is_parked_with_its_bytes(
    body: bytes, reason: str
) -> None:
    """No retry helps and no dead-letter queue stands behind: it is parked, what follows goes on."""
    ground = Ground()

    told = await ground.take(body)

    (row,) = [row async for row in ground.tables.scan(PARKED)]
    assert (row.columns["reason"], told["parked"]) == (reason, {reason: 1})
    assert await read_body(ground.blobs, row.columns) == body


async def test_a_large_message_that_meets_a_mistake_of_ours_is_parked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What fails for no known reason is kept with its error; it never comes again for ever."""
    ground = Ground()

    def broken(*_args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("shared.ingestion.ingest.decode", broken)

    assert (await ground.take(LARGE))["parked"] == {"unexpected": 1}


async def test_a_store_that_is_away_keeps_a_large_message_in_kafka() -> None:
    """Weather parks nothing, and no attempt puts the others of its batch on the queue again."""
    ground = Ground()

    async def away(_table: str, _moment: str) -> None:
        raise StoreUnavailableError("busy")

    ground.tables.pause = away

    with pytest.raises(StoreUnavailableError):
        await ground.take(payloads.start_v2(), LARGE)
    assert ground.queue.sent == []


async def test_without_settings_of_the_queue_messages_wait() -> None:
    """A setting that is wrong is mended some time: the messages are not at fault."""

    def none() -> PacketQueue:
        raise SettingError("PUSH_QUEUE_NAME is not set", code="setting_missing")

    def no_delivery() -> Delivery:
        raise AssertionError

    room = KafkaRoom(queue=none, delivery=no_delivery, clock=lambda: NOW)

    with pytest.raises(FunctionDisabledError, match="PUSH_QUEUE_NAME") as error:
        await room.take([b"{}"], WideEvent("push_kafka"))
    assert error.value.code == "setting_missing"


def test_there_is_a_binding_only_with_all_of_the_settings() -> None:
    """Nothing set, or something wrong: no function; the values themselves stay in the settings."""
    binding = kafka_binding(read_settings(RIGHT | KAFKA_TOGETHER))

    assert binding is not None
    assert (binding.topic, binding.password) == ("%KAFKA_TOPIC%", "%KAFKA_PASSWORD%")
    assert (binding.protocol, binding.authentication_mode) == ("SaslSsl", "Plain")
    assert kafka_binding(read_settings(RIGHT)) is None
    assert kafka_binding(read_settings(RIGHT | {"KAFKA_TOPIC": "push"})) is None
    broken = RIGHT | KAFKA_TOGETHER | {"KAFKA_PASSWORD": UNRESOLVED}
    assert kafka_binding(read_settings(broken)) is None


def test_without_sasl_no_name_is_bound() -> None:
    """A user name that is set all the same would make the extension try to use it."""
    settings = read_settings(RIGHT | KAFKA_TOGETHER | {"KAFKA_PROTOCOL": "Ssl"})
    binding = kafka_binding(settings)

    assert binding is not None
    assert (binding.authentication_mode, binding.username, binding.password) == (None, None, None)


INDEX = """
import json, function_app
print(json.dumps({
    each.get_function_name(): [
        each.get_dict_repr()["bindings"], each.get_settings_dict("retry_policy"),
    ]
    for each in function_app.app.get_functions()
}, default=str))
"""


def index(settings: Mapping[str, str]) -> dict[str, Any]:
    """The app's functions with these settings, as Microsoft's library indexes them."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("KAFKA_")}
    done = subprocess.run(
        [sys.executable, "-c", INDEX],
        cwd=CHECKOUT,
        env=others | dict(settings),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_there_is_a_function_only_where_kafka_is_wanted() -> None:
    """`push_kafka` is bound to the settings' names, and called again until it succeeds."""
    (binding,), retry = index(RIGHT | KAFKA_TOGETHER)["push_kafka"]

    assert "push_kafka" not in index(RIGHT)
    assert (binding["type"], binding["cardinality"], binding["dataType"]) == (
        "kafkaTrigger",
        "MANY",
        "BINARY",
    )
    assert binding["brokerList"] == "%KAFKA_BROKER_LIST%"
    assert (binding["protocol"], binding["authenticationMode"]) == ("SASLSSL", "PLAIN")
    assert (binding["username"], binding["password"]) == ("%KAFKA_USERNAME%", "%KAFKA_PASSWORD%")
    assert retry["strategy"] == "exponential_backoff"
    assert retry["max_retry_count"] == "-1"


def test_the_host_commits_nothing_that_failed() -> None:
    """host.json turns off what the extension does by default: commit, or skip after five tries."""
    host = json.loads((CHECKOUT / "host.json").read_text(encoding="utf-8"))
    kafka = host["extensions"]["kafka"]

    assert (kafka["commitOnFailure"], kafka["maxRetries"]) == (False, -1)
