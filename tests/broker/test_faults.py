"""Faults that tests can ask for, as the Python SDK meets them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import (
    MessageLockLostError,
    ServiceBusError,
    ServiceBusServerBusyError,
)

from local.errors import LocalError
from local.service_bus import Queue, ServiceBusBroker
from tests.broker.bus import Bus, close_forgotten_connections

# azure-servicebus 7.15 forgets to close the transport of a connection that was lost.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(scope="module")
async def bus(node: str) -> AsyncIterator[Bus]:
    """A broker of its own, since its connections are broken."""
    async with await ServiceBusBroker.start([Queue("main"), Queue("other")], node=node) as broker:
        bus = Bus(broker)
        await bus.open("main")
        yield bus
        await bus.close()
        close_forgotten_connections(broker.amqp_port)


@pytest.fixture
async def queue(bus: Bus) -> AsyncIterator[str]:
    """The queue `main`, empty; no fault is left afterwards."""
    await bus.broker.purge("main")
    yield "main"
    await bus.broker.clear_faults()


async def test_a_busy_broker_stores_nothing_and_says_so(bus: Bus, queue: str) -> None:
    """`reject_sends` refuses messages as server-busy, until it is cleared."""
    await bus.broker.set_fault("reject_sends")
    async with bus.new_client(retry_total=0) as client, client.get_queue_sender(queue) as sender:
        with pytest.raises(ServiceBusServerBusyError):
            await sender.send_messages(ServiceBusMessage("x"))
        assert (await bus.broker.counts(queue)).active == 0
        await bus.broker.clear_faults()
        await sender.send_messages(ServiceBusMessage("x"))
    assert (await bus.broker.counts(queue)).active == 1


async def test_a_fault_may_concern_one_queue(bus: Bus, queue: str) -> None:
    """A fault that names a queue leaves the others alone."""
    await bus.broker.set_fault("reject_sends", queue="other")
    await bus.send(queue, "x")
    assert (await bus.broker.counts(queue)).active == 1


async def test_a_lost_answer_makes_the_sender_send_again(bus: Bus, queue: str) -> None:
    """`lose_accepts` stores the message without an answer: the SDK's retry stores it twice."""
    await bus.broker.set_fault("lose_accepts", count=1)
    await bus.send(queue, "x", message_id="same")
    first, second = await bus.receive(queue, 2)
    assert first.message_id == second.message_id == "same"
    assert first.sequence_number != second.sequence_number


async def test_work_goes_on_after_a_lost_connection(bus: Bus, queue: str) -> None:
    """The SDK connects anew by itself to send, to receive, and to settle: locks outlive links."""
    await bus.send(queue, "before")
    message = await bus.receive_one(queue)
    assert await bus.broker.drop_connections() > 0
    await bus.send(queue, "after")
    await bus.receiver(queue).complete_message(message)
    assert str(await bus.receive_one(queue)) == "after"


async def test_refused_connections_fail_until_the_fault_ends(bus: Bus, queue: str) -> None:
    """`refuse_connections` resets new connections and leaves open ones alone."""
    await bus.broker.set_fault("refuse_connections")
    async with bus.new_client(retry_total=0) as client:
        with pytest.raises(ServiceBusError):
            await client.get_queue_sender(queue).send_messages(ServiceBusMessage("new"))
        await bus.send(queue, "open already")
        await bus.broker.clear_faults()
        await client.get_queue_sender(queue).send_messages(ServiceBusMessage("again"))
    assert (await bus.broker.counts(queue)).active == 2


async def test_answers_can_be_delayed(bus: Bus, queue: str) -> None:
    """`delay_dispositions` holds answers back, not messages."""
    await bus.send(queue, "opens the links")
    (message,) = await bus.receive(queue)
    await bus.broker.set_fault("delay_dispositions", milliseconds=400)
    began = time.monotonic()
    sending = asyncio.create_task(bus.send(queue, "x"))
    assert str(await bus.receive_one(queue)) == "x"
    assert not sending.done()
    await sending
    assert 0.4 <= time.monotonic() - began < 3
    began = time.monotonic()
    await bus.receiver(queue).complete_message(message)
    assert 0.4 <= time.monotonic() - began < 3


async def test_deliveries_can_be_duplicated(bus: Bus, queue: str) -> None:
    """`duplicate_deliveries` lets a completed message come once more, counted."""
    await bus.broker.set_fault("duplicate_deliveries", count=1)
    await bus.send(queue, "x")
    counts = []
    for _ in range(2):
        message = await bus.receive_one(queue)
        counts.append(message.delivery_count)
        await bus.receiver(queue).complete_message(message)
    assert counts == [0, 1]
    assert (await bus.broker.counts(queue)).waiting == 0


async def test_locks_can_be_ended_at_once(bus: Bus, queue: str) -> None:
    """Ending locks gives the messages back and refuses their holders."""
    await bus.send(queue, "x")
    message = await bus.receive_one(queue)
    assert await bus.broker.expire_locks("main") == 1
    with pytest.raises(MessageLockLostError):
        await bus.receiver(queue).complete_message(message)
    assert (await bus.broker.counts(queue)).active == 1


async def test_a_paused_broker_answers_when_it_goes_on(bus: Bus, queue: str) -> None:
    """While the process is paused nothing happens; afterwards everything does."""
    await bus.send(queue, "opens the link")
    bus.broker.pause()
    sending = asyncio.create_task(bus.send(queue, "x"))
    done, _ = await asyncio.wait([sending], timeout=0.3)
    assert not done
    bus.broker.resume()
    await sending
    assert (await bus.broker.counts(queue)).active == 2


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"name": "no_such_fault"}, "name must be one of"),
        ({"name": "reject_sends", "count": 0}, "count must be"),
        ({"name": "reject_sends", "queue": "nowhere"}, "no queue 'nowhere'"),
        ({"name": "delay_dispositions", "milliseconds": -1}, "milliseconds must be"),
    ],
)
async def test_a_wrong_fault_is_refused(bus: Bus, fault: dict[str, object], said: str) -> None:
    """The control interface says what is wrong with a fault, and sets none."""
    with pytest.raises(LocalError, match=said):
        await bus.broker.set_fault(**fault)  # type: ignore[arg-type]  # wrong on purpose
    await bus.send("main", "x")
