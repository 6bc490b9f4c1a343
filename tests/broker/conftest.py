"""One broker and one client for all tests that need no broker of their own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from local.service_bus import Queue, ServiceBusBroker
from tests.broker.bus import Bus

QUEUES = [
    Queue("main"),
    Queue("sessions", sessions=True, lock_seconds=300),
    Queue("lost-sessions", sessions=True),
    Queue("three-deliveries", max_deliveries=3),
    Queue("one-megabyte", size_megabytes=1),
    Queue("small-messages", max_message_bytes=10_000),
    Queue("drops-expired", ttl_seconds=60),
    Queue("keeps-expired", dead_letter_on_expiry=True),
    Queue("Some/Where.Else"),
    Queue("shared"),
    Queue("prefetched"),
]


@pytest.fixture(scope="session")
def node() -> str:
    """The Node program: the one of the environment variable NODE, or the first on the path."""
    return os.environ.get("NODE", "node")


@pytest.fixture(scope="session")
async def broker(node: str) -> AsyncIterator[ServiceBusBroker]:
    """A broker in memory."""
    async with await ServiceBusBroker.start(QUEUES, node=node) as broker:
        yield broker


@pytest.fixture(scope="session")
async def bus(broker: ServiceBusBroker) -> AsyncIterator[Bus]:
    """The SDK's client to that broker, with the links open that most tests use."""
    bus = Bus(broker)
    await bus.open(
        *("main", "three-deliveries", "keeps-expired"),
        more=[
            bus.taker("main"),
            bus.sender("drops-expired"),
            bus.sender("small-messages"),
            *(bus.sender("one-megabyte"), bus.taker("one-megabyte")),
            *(bus.sender("some/WHERE.else"), bus.taker("SOME/where.Else")),
            *(bus.sender("shared"), bus.sender("prefetched"), bus.sender("sessions")),
        ],
    )
    yield bus
    await bus.close()


@pytest.fixture
async def queue(broker: ServiceBusBroker) -> str:
    """The queue `main`, empty. Leave no message behind in a receiver."""
    await broker.purge("main")
    return "main"


@pytest.fixture
async def session_queue(broker: ServiceBusBroker) -> str:
    """The queue `sessions`, empty."""
    await broker.purge("sessions")
    return "sessions"
