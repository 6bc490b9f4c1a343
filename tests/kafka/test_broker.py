"""What our broker does beyond the contract: what it refuses, and what it tells of itself."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from local.errors import LocalError
from local.kafka.broker import KafkaBroker
from local.kafka.groups import Group, Joined, State, Subscription
from local.kafka.partition import Partition
from local.kafka.wire import Code, WireError

PATIENT = Subscription({"range": b"topics"}, session_seconds=60, rebalance_seconds=60)


async def test_it_tells_what_it_holds_and_what_is_committed() -> None:
    """A test, or a demo, sees how far a group is behind."""
    async with KafkaBroker(partitions=2) as broker:
        producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
        consumer = AIOKafkaConsumer(
            "t", bootstrap_servers=broker.bootstrap, group_id="g", enable_auto_commit=False
        )
        try:
            await producer.start()
            await consumer.start()
            for partition in (0, 0, 1):
                await producer.send_and_wait("t", b"m", partition=partition)
            await consumer.commit({TopicPartition("t", 0): 2})
        finally:
            await producer.stop()
            await consumer.stop()

        assert (broker.held("t"), broker.committed("g", "t")) == (3, 2)
        assert (broker.held("other"), broker.committed("other", "t")) == (0, 0)


async def test_a_port_that_is_taken_is_told() -> None:
    """One line with what to do."""
    async with KafkaBroker() as broker:
        port = int(broker.bootstrap.rsplit(":", 1)[1])

        with pytest.raises(LocalError, match="cannot_listen"):
            await KafkaBroker(port=port).start()


@pytest.mark.parametrize(
    "frame",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00\x00\x00\x0a\x00\x03\x00\x63\x00\x00\x00\x01\xff\xff",
        b"\x00\x00\x00\x0c\x00\x12\x00\x00\x00\x00\x00\x01\xff\xff\x00\x00"[:9],
        b"\x00\x00\x00\x0b\x00\x09\x00\x02\x00\x00\x00\x01\xff\xff\x7f",
    ],
    ids=["no frame", "a version not offered", "half a frame", "half a request"],
)
async def test_what_is_not_understood_ends_the_connection_only(frame: bytes) -> None:
    """Whoever sends it is hung up on; the others go on."""
    async with KafkaBroker() as broker:
        host, port = broker.bootstrap.rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(frame)
        writer.write_eof()
        with suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()

        producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
        try:
            await producer.start()
            assert (await producer.send_and_wait("t", b"m", partition=0)).offset == 0
        finally:
            await producer.stop()


def test_records_of_an_old_kind_are_kept_out() -> None:
    """No batch of a request is kept where one of them cannot be read."""
    partition = Partition()

    for records in (b"\x00" * 40, b"short", (b"\x00" * 11 + b"\x20" + b"\x00" * 4 + b"\x02")):
        with pytest.raises(WireError):
            partition.append(records)
    assert partition.end == 0


async def joined(group: Group, *members: str) -> list[Joined]:
    return await asyncio.gather(*(group.join(member, "test", PATIENT) for member in members))


async def test_who_joins_late_is_waited_for_as_long_as_the_members_allow() -> None:
    """Then the generation begins without it, and it is not known any more."""
    group = Group()
    hasty = Subscription({"range": b""}, session_seconds=60, rebalance_seconds=0.05)
    first = await group.join("", "test", hasty)
    await group.sync(first.member, first.generation, [(first.member, b"all")])

    second = await group.join("", "test", hasty)

    assert (second.code, second.leader) == (Code.NONE, second.member)
    assert group.heartbeat(first.member, first.generation) == Code.UNKNOWN_MEMBER


async def test_members_hear_that_they_have_to_join_anew() -> None:
    """A heartbeat, a commit and a pending sync of the old generation are refused meanwhile."""
    group = Group()
    (leader,) = await joined(group, "")
    await group.sync(leader.member, leader.generation, [(leader.member, b"all")])
    coming = asyncio.create_task(group.join("", "test", PATIENT))
    await asyncio.sleep(0)

    assert group.state is State.JOINING
    assert group.heartbeat(leader.member, leader.generation) == Code.REBALANCING
    assert group.commit(leader.member, leader.generation, {("t", 0): (5, "")}) == Code.REBALANCING
    (again,) = await joined(group, leader.member)
    follower = await coming
    assert again.generation == follower.generation == leader.generation + 1
    assert {member for member, _ in again.members} == {leader.member, follower.member}
    assert group.commit(again.member, leader.generation, {}) == Code.ILLEGAL_GENERATION
    waiting = asyncio.create_task(group.sync(follower.member, follower.generation, []))
    await asyncio.sleep(0)
    shares = [(leader.member, b"half"), (follower.member, b"other half")]
    assert await group.sync(again.member, again.generation, shares) == (Code.NONE, b"half")
    assert await waiting == (Code.NONE, b"other half")
    assert group.offsets == {}
    group.close()


async def test_a_group_needs_one_way_of_assigning_that_all_know() -> None:
    """A member that shares none is refused; the group goes on."""
    group = Group()
    (leader,) = await joined(group, "")
    stranger = Subscription({"sticky": b""}, session_seconds=60, rebalance_seconds=60)

    refused = await group.join("", "test", stranger)

    assert refused.code == Code.INCONSISTENT_PROTOCOL
    assert (await group.join("nobody", "test", PATIENT)).code == Code.UNKNOWN_MEMBER
    assert group.leave(leader.member) == Code.NONE
    assert group.leave(leader.member) == Code.UNKNOWN_MEMBER
    assert group.state is State.EMPTY
