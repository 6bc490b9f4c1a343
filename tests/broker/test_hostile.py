"""Clients that mean harm, or are broken: the broker neither ends nor grows, and serves others."""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
from collections.abc import AsyncIterator

import pytest

from local.ports import LOOPBACK
from local.service_bus import Queue, ServiceBusBroker
from tests.broker.bus import Bus, until

AMQP = b"AMQP\x00\x01\x00\x00"
SASL = b"AMQP\x03\x01\x00\x00"
OPEN = bytes.fromhex("00 53 10 c0 04 01 a1 01 78")  # a container id alone
# What a peer may make the process keep beyond what it had: garbage that waits for collection.
SLACK_BYTES = 60_000_000


def frame(body: bytes, *, channel: int = 0, kind: int = 0) -> bytes:
    """An AMQP frame around an encoded performative and its payload."""
    return struct.pack(">IBBH", 8 + len(body), 2, kind, channel) + body


@pytest.fixture(scope="module")
async def bus(node: str) -> AsyncIterator[Bus]:
    """A broker of its own, and a client that means well."""
    async with await ServiceBusBroker.start([Queue("main")], node=node) as broker:
        bus = Bus(broker)
        await bus.open("main")
        yield bus
        await bus.close()


async def speak(bus: Bus, *parts: bytes) -> bytes:
    """Send bytes over a connection of its own; give what came back until the broker closed it."""
    reader, writer = await asyncio.open_connection(LOOPBACK, bus.broker.amqp_port)
    answer = b""
    with contextlib.suppress(ConnectionError):
        for part in parts:
            writer.write(part)
            await writer.drain()
        with contextlib.suppress(TimeoutError):
            answer = await asyncio.wait_for(reader.read(), 0.2)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return answer


async def assert_serves(bus: Bus, before: dict[str, float]) -> None:
    """The broker is the same process as before, has not grown, and serves the good client."""
    assert bus.broker.running
    await bus.send("main", "still here")
    message = await bus.receive_one("main")
    await bus.receiver("main").complete_message(message)
    good = before["connections"]

    async def only_good_ones() -> bool:
        return bool((await bus.broker.status())["connections"] == good)

    await until(only_good_ones, "the hostile connections are gone")
    after = await bus.broker.status()
    for kind in ("heapBytes", "bufferBytes"):
        assert after[kind] - before[kind] < SLACK_BYTES, kind


@pytest.mark.parametrize("prefix", [b"", AMQP, SASL, AMQP + frame(OPEN)], ids=range(4))
async def test_garbage_harms_nobody(bus: Bus, prefix: bytes) -> None:
    """Random bytes at any stage of a connection end that connection and nothing else."""
    before = await bus.broker.status()
    random_ = random.Random(len(prefix))
    for _ in range(12):
        garbage = [prefix + random_.randbytes(random_.randrange(1, 3000)) for _ in range(10)]
        await asyncio.gather(*(speak(bus, part) for part in garbage))
    await assert_serves(bus, before)


async def test_mutilated_frames_harm_nobody(bus: Bus) -> None:
    """Frames of the right size with wrong contents end their connection and nothing else."""
    before = await bus.broker.status()
    random_ = random.Random(7)
    codes = [0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x40, 0x41, 0x44]
    for _ in range(12):
        talks = []
        for _ in range(10):
            bodies = (
                bytes([0, 0x53, random_.choice(codes), random_.choice([0xC0, 0xD0, 0x45])])
                + random_.randbytes(random_.randrange(60))
                for _ in range(5)
            )
            talks.append(speak(bus, AMQP + frame(OPEN), *(frame(body) for body in bodies)))
        await asyncio.gather(*talks)
    await assert_serves(bus, before)


async def test_a_frame_that_claims_gigabytes_is_refused(bus: Bus) -> None:
    """A frame size beyond the announced maximum ends the connection with an error at once."""
    before = await bus.broker.status()
    huge = struct.pack(">IBBH", 0x7FFFFFFF, 2, 0, 0)
    answer = await speak(bus, AMQP + frame(OPEN), huge, b"x" * 1_000_000)
    assert b"amqp:connection:framing-error" in answer
    await assert_serves(bus, before)


async def test_connections_that_say_nothing_cost_next_to_nothing(bus: Bus) -> None:
    """Three hundred silent connections are kept, and a good client is served beside them."""
    before = await bus.broker.status()
    silent = [await asyncio.open_connection(LOOPBACK, bus.broker.amqp_port) for _ in range(300)]
    await bus.send("main", "x")
    await bus.receiver("main").complete_message(await bus.receive_one("main"))
    for _, writer in silent:
        writer.close()
    for _, writer in silent:
        await writer.wait_closed()
    await assert_serves(bus, before)


async def test_a_message_that_never_ends_is_not_kept(bus: Bus) -> None:
    """Eighty megabytes in the transfers of one message leave nothing behind in the broker."""
    before = await bus.broker.status()
    attach = _attach("main")
    part = frame(_transfer(more=True) + b"x" * 60_000)
    reader, writer = await asyncio.open_connection(LOOPBACK, bus.broker.amqp_port)
    writer.write(AMQP + frame(OPEN) + frame(_begin()) + frame(attach))
    for _ in range(1_400):
        writer.write(part)
        await writer.drain()
    during = await bus.broker.status()
    assert during["bufferBytes"] - before["bufferBytes"] < SLACK_BYTES
    assert during["connections"] == before["connections"] + 1
    writer.write(frame(_transfer(more=False) + b"x"))
    answer = b""
    while b"amqp:link:message-size-exceeded" not in answer:
        more = await asyncio.wait_for(reader.read(65536), 10)
        assert more, "the broker closed the connection instead of refusing the message"
        answer += more
    writer.close()
    await writer.wait_closed()
    await assert_serves(bus, before)


def _list8(code: int, *values: bytes) -> bytes:
    """A performative with these encoded fields."""
    fields = b"".join(values)
    return bytes([0, 0x53, code, 0xC0, len(fields) + 1, len(values)]) + fields


def _text(value: str) -> bytes:
    return bytes([0xA1, len(value)]) + value.encode()


def _begin() -> bytes:
    window = b"\x70\x00\x00\xff\xff"
    return _list8(0x11, b"\x40", b"\x43", window, window)


def _attach(queue: str) -> bytes:
    null, false = b"\x40", b"\x42"
    source = _list8(0x28, _text("client"))
    target = _list8(0x29, _text(queue))
    return _list8(
        0x12, _text("link"), b"\x43", false, null, null, source, target, null, null, b"\x43"
    )


def _transfer(*, more: bool) -> bytes:
    settled, flag = b"\x42", b"\x41" if more else b"\x42"
    return _list8(0x14, b"\x43", b"\x43", b"\xa0\x01\x00", b"\x43", settled, flag)
