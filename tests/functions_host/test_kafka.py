"""Kafka functions end to end: what they get, and that nothing is committed before they succeed."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from local.functions_host.process import FunctionsHost
from local.kafka.broker import KafkaBroker
from tests.functions_host.support import copy_app, logged, until

USER, PASSWORD = "app", "a password"


class Ground:
    """A host on the app `topics` with a topic of its own, and a producer."""

    def __init__(
        self, broker: KafkaBroker, producer: AIOKafkaProducer, folder: Path, topic: str
    ) -> None:
        self.broker = broker
        self._producer = producer
        self._folder = folder
        self.topic = topic

    def fails(self, *, now: bool) -> None:
        """Let the function fail, or succeed again."""
        file = self._folder / "fails"
        if now:
            file.touch()
        else:
            file.unlink()

    async def send(self, *values: bytes | None, **options: Any) -> None:
        for value in values:
            await self._producer.send_and_wait(self.topic, value, **options)

    @property
    def committed(self) -> int:
        return self.broker.committed("app", self.topic)

    async def is_committed(self, number: int) -> None:
        """Wait until so many messages are committed."""
        await until(f"{number} messages are committed", lambda: self.committed == number)

    async def host(self, **settings: str) -> FunctionsHost:
        app = self._folder / "topics"
        if not app.exists():
            copy_app("topics", self._folder)
        needed = {
            "Topic": self.topic,
            "Brokers": self.broker.bootstrap,
            "User": USER,
            "Password": PASSWORD,
            "PROTOCOL": "SASLPLAINTEXT",
            "GATE": str(self._folder),
        }
        return await FunctionsHost.start(app=app, settings=needed | settings)


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    async with KafkaBroker(users={USER: PASSWORD}) as broker:
        producer = AIOKafkaProducer(
            bootstrap_servers=broker.bootstrap,
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="PLAIN",
            sasl_plain_username=USER,
            sasl_plain_password=PASSWORD,
        )
        await producer.start()
        try:
            yield Ground(broker, producer, tmp_path, "push")
        finally:
            await producer.stop()


def got(console: str) -> list[dict[str, Any]]:
    """What the function told of the messages that it got."""
    return [json.loads(each) for each in re.findall(r"got (\{.*\})", console)]


async def test_a_batch_brings_bytes_and_what_kafka_says_of_them(ground: Ground) -> None:
    """Any bytes, none and null; key and headers in Base64; offsets are committed behind them."""
    await ground.send(b"\x00\xff", b"", None, partition=1, key=b"\xfe", headers=[("h", b"\x01")])
    await ground.send(b"last", partition=2)
    async with await ground.host() as host:
        await ground.is_committed(4)
        console = await logged(host, "got", times=4)

    assert "topic: kafkaTrigger on topic %Topic%, in batches" in console
    messages = sorted(got(console), key=lambda each: (each["partition"], each["offset"]))
    assert [(each["partition"], each["offset"], each["body"]) for each in messages] == [
        (1, 0, "00ff"),
        (1, 1, ""),
        (1, 2, ""),
        (2, 0, b"last".hex()),
    ]
    assert {each["topic"] for each in messages} == {"push"}
    assert messages[0]["key"] == "/g=="
    assert messages[0]["headers"] == [{"Key": "h", "Value": "AQ=="}]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT[\d:.]+Z", messages[0]["timestamp"])
    assert (messages[3]["key"], messages[3]["headers"]) == (None, [])


async def test_nothing_is_committed_until_the_function_succeeds(ground: Ground) -> None:
    """The same batch again and again, by the retry policy and beyond it; then all of it at once."""
    ground.fails(now=True)
    async with await ground.host() as host:
        await ground.send(b"1", b"2", partition=0)
        await logged(host, "failing, retry 1", times=3)
        assert ground.committed == 0
        ground.fails(now=False)
        await ground.is_committed(2)

        assert [each["offset"] for each in got(await logged(host, "got", times=2))] == [0, 1]


async def test_a_host_that_stops_while_the_function_fails_commits_nothing(ground: Ground) -> None:
    """The next host gets the batch."""
    ground.fails(now=True)
    async with await ground.host() as host:
        await ground.send(b"1", partition=0)
        await logged(host, "failing, retry 0")
    assert ground.committed == 0
    ground.fails(now=False)

    async with await ground.host() as host:
        await ground.is_committed(1)


async def test_brokers_that_are_away_are_told_once_and_waited_for(ground: Ground) -> None:
    """The host starts without them; when they are there, the function listens."""
    await ground.send(b"1", partition=0)
    await ground.broker.stop()
    async with await ground.host() as host:
        console = await logged(host, "topic cannot receive from topic %Topic%")
        assert "its brokers (%Brokers%) cannot be reached" in console
        await ground.broker.start()
        await ground.is_committed(1)

        assert host.log_text().count("cannot receive from") == 1
        assert "topic listens to topic %Topic% again." in host.log_text()


async def test_a_wrong_password_is_told_without_it(ground: Ground) -> None:
    """What to correct, and no setting's value."""
    async with await ground.host(Password="not the password") as host:
        console = await logged(
            host, "or refuse the user name or the password. Start them, or correct"
        )

    assert "not the password" not in console


async def test_a_function_can_be_run_by_its_name(ground: Ground) -> None:
    """With a message that no topic holds."""
    async with await ground.host() as host:
        await host.run_function("topic", "by hand")

        (message,) = got(await logged(host, "got"))
        assert bytes.fromhex(message["body"]) == b"by hand"
        assert ground.committed == 0
