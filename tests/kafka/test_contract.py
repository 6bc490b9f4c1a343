"""What a Kafka client relies on: the same on our broker and, where it is, on Apache Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    KafkaError,
    MessageSizeTooLargeError,
    OffsetOutOfRangeError,
)

from local.processes import until
from tests.kafka.brokers import MOST_BYTES, Kafka, Ours, apache, as_user

_numbers = count()


@pytest.fixture(scope="module", params=["ours", "apache"])
async def kafka(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Kafka]:
    if request.param == "ours":
        broker: Kafka = Ours()
    else:
        broker = apache(tmp_path_factory.mktemp("apache"))
    await broker.start()
    yield broker
    await broker.stop()


@pytest.fixture
def topic() -> str:
    """A topic that no other test uses; its group is named like it."""
    return f"topic-{next(_numbers)}"


@asynccontextmanager
async def producing(address: str, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=address, **options)
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()


@asynccontextmanager
async def consuming(address: str, topic: str, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """A member of the topic's group that begins with the oldest message and commits by hand."""
    ours = {"auto_offset_reset": "earliest", "heartbeat_interval_ms": 100, "group_id": topic}
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=address, enable_auto_commit=False, **(ours | options)
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def send(address: str, topic: str, *values: bytes | None, partition: int = 0) -> None:
    async with producing(address) as producer:
        for value in values:
            await producer.send_and_wait(topic, value, partition=partition)


async def receive(consumer: AIOKafkaConsumer, number: int) -> list[Any]:
    async with asyncio.timeout(20):
        return [await consumer.getone() for _ in range(number)]


async def test_messages_come_as_they_were_sent(kafka: Kafka, topic: str) -> None:
    """Any bytes, none and null, key and headers, in the order of their partition."""
    values = [b"\x00\xff\xfe", b"", None, b"x" * 50_000, b'{"a": 1}']
    async with producing(kafka.open) as producer:
        for value in values:
            await producer.send_and_wait(
                topic, value, key=b"\xff", headers=[("h", b"\xfe")], partition=1
            )
    async with consuming(kafka.open, topic) as consumer:
        found = await receive(consumer, len(values))

    assert [each.value for each in found] == values
    assert [each.offset for each in found] == list(range(len(values)))
    assert {(each.topic, each.partition, each.key) for each in found} == {(topic, 1, b"\xff")}
    assert {each.headers for each in found} == {(("h", b"\xfe"),)}


async def test_batches_come_whole_also_compressed(kafka: Kafka, topic: str) -> None:
    """Many messages in few batches, over all partitions: each once, in its partition's order."""
    async with producing(kafka.open, linger_ms=20, compression_type="gzip") as producer:
        sent = [await producer.send(topic, b"%d" % n, partition=n % 4) for n in range(400)]
        await asyncio.gather(*sent)
    async with consuming(kafka.open, topic) as consumer:
        found = await receive(consumer, 400)

    for partition in range(4):
        numbers = [int(each.value) for each in found if each.partition == partition]
        assert numbers == list(range(partition, 400, 4))


async def test_a_group_goes_on_behind_what_it_committed(kafka: Kafka, topic: str) -> None:
    """What was received and not committed comes again, to whoever is in the group then."""
    await send(kafka.open, topic, b"0", b"1", b"2")
    where = TopicPartition(topic, 0)
    async with consuming(kafka.open, topic) as consumer:
        await receive(consumer, 3)
        await consumer.commit({where: 1})
    async with consuming(kafka.open, topic) as consumer:
        assert await consumer.committed(where) == 1
        assert await consumer.committed(TopicPartition(topic, 1)) is None
        found = await receive(consumer, 2)
    async with consuming(kafka.open, topic, group_id=f"{topic}-other") as consumer:
        others = await receive(consumer, 3)

    assert [each.value for each in found] == [b"1", b"2"]
    assert [each.value for each in others] == [b"0", b"1", b"2"]


async def test_the_latest_is_where_a_new_group_may_begin(kafka: Kafka, topic: str) -> None:
    """With `latest` the messages from before the group do not come."""
    await send(kafka.open, topic, b"before")
    async with consuming(kafka.open, topic, auto_offset_reset="latest") as consumer:
        end = await consumer.end_offsets([TopicPartition(topic, 0)])
        await consumer.seek_to_end()
        await send(kafka.open, topic, b"after")
        (found,) = await receive(consumer, 1)

    assert list(end.values()) == [1]
    assert found.value == b"after"


async def test_members_share_the_partitions(kafka: Kafka, topic: str) -> None:
    """A second member takes some; when it leaves, the first has all of them again."""
    await send(kafka.open, topic, b"0")
    async with consuming(kafka.open, topic) as first:
        async with consuming(kafka.open, topic) as second:
            await shared(first, second)
        await owns(first, 4)


async def test_a_member_that_falls_silent_is_left_out(kafka: Kafka, topic: str) -> None:
    """After the time of its session its partitions go to another, and its commits are refused."""
    await send(kafka.open, topic, b"0")
    where = TopicPartition(topic, 0)
    # The first one's heartbeats are further apart than its session lasts.
    rare = {"session_timeout_ms": 1000, "heartbeat_interval_ms": 30_000}
    async with consuming(kafka.open, topic, **rare) as silent:
        await receive(silent, 1)
        async with consuming(kafka.open, topic) as other:
            await owns(other, 4)
            with pytest.raises(CommitFailedError):
                await silent.commit({where: 1})
            assert await other.committed(where) is None


async def test_a_message_beyond_the_limit_is_refused(kafka: Kafka, topic: str) -> None:
    """The producer hears of it, and the topic does not hold it."""
    async with producing(kafka.open, max_request_size=2 * MOST_BYTES) as producer:
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send_and_wait(topic, b"x" * (MOST_BYTES + 1), partition=0)
        assert (await producer.send_and_wait(topic, b"small", partition=0)).offset == 0


async def test_an_offset_that_is_not_there_is_an_error(kafka: Kafka, topic: str) -> None:
    """A consumer that is to reset nothing hears of it."""
    await send(kafka.open, topic, b"0")
    where = TopicPartition(topic, 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.open, auto_offset_reset="none")
    await consumer.start()
    try:
        consumer.assign([where])
        consumer.seek(where, 7)
        async with asyncio.timeout(20):
            with pytest.raises(OffsetOutOfRangeError):
                await consumer.getone()
    finally:
        await consumer.stop()


async def test_name_and_password_are_asked_for(kafka: Kafka, topic: str) -> None:
    """SASL with PLAIN: the right password works, a wrong one and none at all do not."""
    async with producing(kafka.guarded, **as_user()) as producer:
        assert (await producer.send_and_wait(topic, b"in", partition=0)).offset == 0
    async with consuming(kafka.guarded, topic, **as_user()) as consumer:
        (found,) = await receive(consumer, 1)

    assert found.value == b"in"
    for options in (as_user("wrong"), {}):
        with pytest.raises(KafkaError):
            async with producing(kafka.guarded, request_timeout_ms=2000, **options):
                pass


async def test_a_restart_loses_nothing(kafka: Kafka, topic: str) -> None:
    """Messages and offsets are there again, and clients that stayed go on by themselves."""
    await send(kafka.open, topic, b"0", b"1")
    where = TopicPartition(topic, 0)
    async with consuming(kafka.open, topic, retry_backoff_ms=50) as consumer:
        await receive(consumer, 1)
        await consumer.commit({where: 1})
        await kafka.stop()
        await kafka.start()
        await send(kafka.open, topic, b"2")
        found = [each.value for each in await receive(consumer, 2)]

        # Apache Kafka may still be reading its offsets, and tells of none meanwhile.
        async def is_known() -> bool:
            return bool(await consumer.committed(where) == 1)

        await until(is_known, within=20, what="the offset to be known again", every=0.1)

    # It joins the group anew after the restart, and may begin with what is committed.
    assert found == [b"1", b"2"]


async def shared(first: AIOKafkaConsumer, second: AIOKafkaConsumer) -> None:
    """Wait until two members have the four partitions between them, each some."""

    async def are_shared() -> bool:
        mine, yours = first.assignment(), second.assignment()
        return bool(mine and yours) and len(mine | yours) == len(mine) + len(yours) == 4

    await until(are_shared, within=20, what="partitions to be shared", every=0.02)


async def owns(consumer: AIOKafkaConsumer, number: int) -> None:
    """Wait until a member has so many partitions."""

    async def has_them() -> bool:
        return len(consumer.assignment()) == number

    await until(has_them, within=20, what=f"a member of {number} partitions", every=0.02)
