"""A broker with a data folder: what it has accepted outlives it, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Awaitable
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import ServiceBusError

from local.errors import LocalError
from local.service_bus import Queue, ServiceBusBroker
from tests.broker.bus import Bus, close_forgotten_connections

# azure-servicebus 7.15 forgets to close the transport of a connection that was lost.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

QUEUE = Queue("kept", max_deliveries=3)


@pytest.fixture
async def bus(node: str, tmp_path: Path) -> AsyncIterator[Bus]:
    """A broker that keeps its messages, and a client."""
    broker = await ServiceBusBroker.start([QUEUE], data=tmp_path / "data", node=node)
    bus = Bus(broker)
    yield bus
    await bus.close()
    await broker.stop()
    close_forgotten_connections(broker.amqp_port)


End = Callable[[ServiceBusBroker], Awaitable[None]]


@pytest.mark.parametrize("end", [ServiceBusBroker.stop, ServiceBusBroker.kill], ids=["stop", "kill"])
async def test_messages_outlive_the_broker_in_their_states(bus: Bus, end: End) -> None:
    """After a restart completed messages are gone and all others are there, locks counted."""
    receiver = bus.receiver("kept")
    await bus.send("kept", "done", "locked", "abandoned", "deferred", "dead", "untouched")
    done, _locked, abandoned, deferred, dead = await bus.receive(receiver, 5)
    await receiver.complete_message(done)
    await receiver.abandon_message(abandoned)
    await receiver.defer_message(deferred)
    await receiver.dead_letter_message(dead, reason="bad")

    await end(bus.broker)
    await bus.broker.restart()

    counts = await bus.broker.counts("kept")
    assert (counts.active, counts.locked, counts.deferred, counts.dead_lettered) == (3, 0, 1, 1)
    messages = await bus.receive(receiver, 3)
    assert [(str(m), m.delivery_count) for m in messages] == [
        ("locked", 1),
        ("abandoned", 1),
        ("untouched", 0),
    ]
    number = deferred.sequence_number
    assert number is not None
    assert [str(m) for m in await receiver.receive_deferred_messages(number)] == ["deferred"]
    dead_letter = await bus.receive_one(bus.dead_letters("kept"))
    assert (str(dead_letter), dead_letter.dead_letter_reason) == ("dead", "bad")


async def test_numbers_are_not_given_twice(bus: Bus) -> None:
    """Sequence numbers go on after a restart, also when no message is left."""
    await bus.send("kept", "a", "b")
    numbers = []
    for message in await bus.receive("kept", 2):
        numbers.append(message.sequence_number)
        await bus.receiver("kept").complete_message(message)
    await bus.broker.kill()
    await bus.broker.restart()
    await bus.send("kept", "c")
    assert (await bus.receive_one("kept")).sequence_number == (numbers[-1] or 0) + 1


async def test_nothing_accepted_is_lost_and_nothing_completed_comes_back(bus: Bus) -> None:
    """Killed at any time amid sends and completions, the broker keeps its word, several times."""
    accepted: set[str] = set()
    sent: set[str] = set()
    completed: set[str] = set()
    received: list[str] = []

    async def send(life: int) -> None:
        async with bus.new_client(retry_total=0) as client, client.get_queue_sender("kept") as to:
            for number in range(10_000):
                bodies = [f"{life}-{number}-{part}" for part in range(3)]
                sent.update(bodies)
                await to.send_messages([ServiceBusMessage(body) for body in bodies])
                accepted.update(bodies)

    async def receive() -> None:
        async with bus.new_client(retry_total=0) as client, client.get_queue_receiver("kept") as of:
            while True:
                for message in await of.receive_messages(5, max_wait_time=5):
                    received.append(str(message))
                    assert str(message) not in completed
                    await of.complete_message(message)
                    completed.add(str(message))

    async def until_killed(work: Awaitable[None]) -> None:
        with contextlib.suppress(ServiceBusError, ConnectionError):
            await work

    for life, target in enumerate((30, 80, 150)):
        working = [asyncio.create_task(until_killed(work)) for work in (send(life), receive())]
        while len(completed) < target:
            await asyncio.sleep(0.005)
        await bus.broker.kill()
        await asyncio.gather(*working)
        await bus.broker.restart()

    left = (await bus.broker.counts("kept")).waiting
    rest = {str(message) for message in await bus.receive("kept", left)}
    assert not rest & completed
    assert accepted <= rest | completed
    assert rest | completed <= sent


async def test_two_brokers_cannot_share_a_folder(bus: Bus, tmp_path: Path, node: str) -> None:
    """A second broker on the same data ends with `data_in_use`."""
    with pytest.raises(LocalError, match="data_in_use") as caught:
        await ServiceBusBroker.start([QUEUE], data=tmp_path / "data", node=node)
    assert caught.value.code == "data_in_use"
    await bus.send("kept", "the first one goes on")


async def test_the_data_folder_can_be_kept_on_disk(node: str, tmp_path: Path) -> None:
    """With fsync the broker works as without."""
    broker = await ServiceBusBroker.start([QUEUE], data=tmp_path, fsync=True, node=node)
    bus = Bus(broker)
    await bus.send("kept", "x")
    assert await bus.take_away("kept", 1) == ["x"]
    await bus.close()
    await broker.stop()
