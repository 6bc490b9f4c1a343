"""A broker with a data folder: what it has accepted outlives it, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import ServiceBusError

from local.errors import LocalError
from local.service_bus import Queue, ServiceBusBroker
from tests.broker.bus import Bus, close_forgotten_connections, until

# azure-servicebus 7.15 forgets to close the transport of a connection that was lost.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

QUEUE = Queue("kept", max_deliveries=3)


@pytest.fixture
async def bus(node: str, tmp_path: Path) -> AsyncIterator[Bus]:
    """A broker that keeps its messages, and a client."""
    async with await ServiceBusBroker.start([QUEUE], data=tmp_path / "data", node=node) as broker:
        bus = Bus(broker)
        yield bus
        await bus.close()
    close_forgotten_connections(broker.amqp_port)


async def test_messages_outlive_the_broker_in_their_states(bus: Bus) -> None:
    """After a kill, and after a stop, what was completed is gone and all else is there."""
    await bus.open("kept")
    receiver = bus.receiver("kept")
    await bus.send("kept", "done", "locked", "abandoned", "deferred", "dead", "untouched")
    done, _locked, abandoned, deferred, dead = await bus.receive(receiver, 5)
    await receiver.complete_message(done)
    await receiver.abandon_message(abandoned)
    await receiver.defer_message(deferred)
    await receiver.dead_letter_message(dead, reason="bad")

    await bus.broker.kill()
    await bus.broker.restart()
    killed = await bus.broker.counts("kept")
    await bus.broker.stop()
    await bus.broker.restart()
    stopped = await bus.broker.counts("kept")

    for counts in (killed, stopped):
        assert (counts.active, counts.locked, counts.deferred, counts.dead_lettered) == (3, 0, 1, 1)
    # Side by side: each link takes its time to connect anew.
    messages, dead_letter, _ = await asyncio.gather(
        bus.receive(receiver, 4),
        bus.receive_one(bus.dead_letters("kept")),
        bus.send("kept", "new"),
    )
    assert [(str(m), m.delivery_count) for m in messages] == [
        ("locked", 1),
        ("abandoned", 1),
        ("untouched", 0),
        ("new", 0),
    ]
    assert messages[-1].sequence_number == 7
    assert (str(dead_letter), dead_letter.dead_letter_reason) == ("dead", "bad")
    number = deferred.sequence_number
    assert number is not None
    assert [str(m) for m in await receiver.receive_deferred_messages(number)] == ["deferred"]


class Traffic:
    """One client that sends, and one that receives and completes, until the broker is killed."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.sent: set[str] = set()
        self.accepted: set[str] = set()
        self.begun_to_complete: set[str] = set()
        self.completed: set[str] = set()

    async def flow(self, life: int) -> None:
        """Send and receive until both connections are lost."""
        await asyncio.gather(self._until_lost(self._send(life)), self._until_lost(self._receive()))

    async def _send(self, life: int) -> None:
        new = self.bus.new_client(retry_total=0)
        async with new as client, client.get_queue_sender("kept") as sender:
            for number in range(10_000):
                bodies = {f"{life}-{number}-{part}" for part in range(3)}
                self.sent |= bodies
                await sender.send_messages([ServiceBusMessage(body) for body in bodies])
                self.accepted |= bodies

    async def _receive(self) -> None:
        new = self.bus.new_client(retry_total=0)
        async with new as client, client.get_queue_receiver("kept") as receiver:
            while True:
                for message in await receiver.receive_messages(5, max_wait_time=5):
                    assert str(message) not in self.completed
                    self.begun_to_complete.add(str(message))
                    await receiver.complete_message(message)
                    self.completed.add(str(message))

    @staticmethod
    async def _until_lost(work: Awaitable[None]) -> None:
        with contextlib.suppress(ServiceBusError, ConnectionError):
            await work


async def test_nothing_accepted_is_lost_and_nothing_completed_comes_back(bus: Bus) -> None:
    """Killed amid sends and completions, twice, the broker keeps its word."""
    traffic = Traffic(bus)
    for life, target in enumerate((20, 60)):
        flowing = asyncio.create_task(traffic.flow(life))

        async def enough(target: int = target, flowing: asyncio.Task[None] = flowing) -> bool:
            assert not flowing.done()
            return len(traffic.completed) >= target

        await until(enough, f"{target} messages are completed")
        await bus.broker.kill()
        await flowing
        await bus.broker.restart()

    counts = await bus.broker.counts("kept")
    assert counts.dead_lettered == 0
    rest = {str(message) for message in await bus.receive("kept", counts.waiting)}
    assert not rest & traffic.completed
    assert traffic.accepted <= rest | traffic.begun_to_complete
    assert rest | traffic.completed <= traffic.sent


async def test_two_brokers_cannot_share_a_folder(node: str, tmp_path: Path) -> None:
    """A second broker on the same data ends with `data_in_use`, with fsync or without."""
    start = functools.partial(ServiceBusBroker.start, [QUEUE], data=tmp_path, fsync=True, node=node)
    async with await start() as first:
        with pytest.raises(LocalError, match="data_in_use") as caught:
            await start()
        assert caught.value.code == "data_in_use"
        assert (await first.counts("kept")).waiting == 0
