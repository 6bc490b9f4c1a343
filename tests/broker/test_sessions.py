"""Sessions, as the Python SDK uses them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import (
    OperationTimeoutError,
    ServiceBusError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)

from tests.broker.bus import PATIENCE, Bus


@pytest.fixture(scope="module")
async def hasty(bus: Bus) -> AsyncIterator[ServiceBusClient]:
    """A client that tries once, for what is to fail."""
    async with bus.new_client(retry_total=0) as client:
        yield client


@pytest.fixture(scope="module", autouse=True)
async def _accept_side_by_side(bus: Bus) -> None:
    """Accept the sessions that tests use, side by side: each takes half a second."""
    names = ["B", "with a state", "with a kept state", "held", "mine"]
    await asyncio.gather(*(accept(bus, name).__aenter__() for name in names))


def accept(bus: Bus, session: str) -> ServiceBusReceiver:
    """The receiver of a session, which holds it until all links are closed at the end."""
    return bus.receiver("sessions", session_id=session)


@pytest.fixture(scope="module")
async def refused(hasty: ServiceBusClient, _accept_side_by_side: None) -> dict[str, BaseException]:
    """What came of receivers that are to be refused, all opened at once."""
    receivers = {
        "held": hasty.get_queue_receiver("sessions", session_id="mine"),
        "without a session": hasty.get_queue_receiver("sessions"),
        "with a session": hasty.get_queue_receiver("main", session_id="A"),
        "waiting": hasty.get_queue_receiver(
            "lost-sessions", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=0.3
        ),
    }
    opening = asyncio.gather(
        *(receiver.__aenter__() for receiver in receivers.values()), return_exceptions=True
    )
    found = await asyncio.wait_for(opening, PATIENCE)
    assert all(isinstance(error, BaseException) for error in found)
    return dict(zip(receivers, found, strict=True))  # type: ignore[arg-type]  # see the assertion


async def fill(bus: Bus, queue: str, *pairs: tuple[str, str]) -> None:
    """Send messages, given as session id and body."""
    messages = [ServiceBusMessage(body, session_id=session) for session, body in pairs]
    await bus.sender(queue).send_messages(messages)


async def test_a_session_gives_its_own_messages_in_order(bus: Bus, session_queue: str) -> None:
    """A receiver of one session gets that session's messages only, and can settle them."""
    await fill(bus, session_queue, ("A", "1"), ("B", "2"), ("A", "3"), ("B", "4"))
    receiver = accept(bus, "B")
    messages = await bus.receive(receiver, 2)
    assert [(m.session_id, str(m)) for m in messages] == [("B", "2"), ("B", "4")]
    for message in messages:
        await receiver.complete_message(message)
    assert (await bus.broker.counts(session_queue)).active == 2


async def test_a_session_keeps_a_state_and_can_be_renewed(bus: Bus) -> None:
    """Application state is kept in the session, and its lock can be renewed."""
    session = accept(bus, "with a state").session
    assert await session.get_state() is None
    await session.set_state(b"half done")
    assert await session.get_state() == b"half done"
    await bus.broker.advance(100)
    assert session.locked_until_utc is not None
    assert session.locked_until_utc - await bus.now() < timedelta(seconds=200)
    until = await session.renew_lock()
    assert until - await bus.now() > timedelta(seconds=290)
    await session.set_state(None)
    assert await session.get_state() is None


async def test_any_free_session_can_be_asked_for(bus: Bus, session_queue: str) -> None:
    """The next available session is the free one with the oldest message; a held one is not."""
    await fill(bus, session_queue, ("held", "0"), ("first", "1"), ("second", "2"))
    receivers = [
        bus.receiver(session_queue, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=wait)
        for wait in (5, 6)
    ]
    await asyncio.gather(*(receiver.__aenter__() for receiver in receivers))
    assert {receiver.session.session_id for receiver in receivers} == {"first", "second"}


async def test_a_receiver_can_wait_for_any_session(bus: Bus, session_queue: str) -> None:
    """A receiver that waits for a session gets the first one that has a message."""
    receiver = bus.receiver(session_queue, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=8)
    async with asyncio.TaskGroup() as group:
        opening = group.create_task(receiver.__aenter__())
        group.create_task(fill(bus, session_queue, ("comes later", "1")))
    assert opening.result().session.session_id == "comes later"


def test_waiting_for_a_session_ends_in_time(refused: dict[str, BaseException]) -> None:
    """With no session to give, the wait ends with OperationTimeoutError after the asked time."""
    assert isinstance(refused["waiting"], OperationTimeoutError)


def test_a_session_that_is_held_cannot_be_locked(refused: dict[str, BaseException]) -> None:
    """A second receiver of the same session is refused."""
    assert isinstance(refused["held"], SessionCannotBeLockedError)


async def test_a_session_whose_lock_expires_is_lost(bus: Bus, hasty: ServiceBusClient) -> None:
    """After the lock's end settling fails, and the messages count as delivered."""
    name = "lost-sessions"
    await fill(bus, name, ("A", "1"))
    receiver = hasty.get_queue_receiver(name, session_id="A")
    await receiver.__aenter__()
    message = await bus.receive_one(receiver)
    await bus.broker.expire_locks(name)
    with pytest.raises(SessionLockLostError):
        await receiver.complete_message(message)
    second = bus.receiver(name, session_id="A")
    assert (await bus.receive_one(second)).delivery_count == 1


async def test_a_session_that_is_closed_gives_its_messages_back_uncounted(
    bus: Bus, hasty: ServiceBusClient, session_queue: str
) -> None:
    """Closing a session's receiver frees it at once; unsettled messages do not count."""
    await fill(bus, session_queue, ("closed", "1"))
    async with hasty.get_queue_receiver(session_queue, session_id="closed") as receiver:
        await bus.receive_one(receiver)
    second = accept(bus, "closed")
    assert (await bus.receive_one(second)).delivery_count == 0


async def test_sessions_can_be_listed(bus: Bus, session_queue: str) -> None:
    """Sessions with messages or with a state are listed."""
    await fill(bus, session_queue, ("with a message", "1"))
    receiver = accept(bus, "with a kept state")
    await receiver.session.set_state(b"x")
    listed = [name async for name in bus.client.list_queue_sessions(session_queue)]
    await receiver.session.set_state(None)
    assert sorted(listed) == ["with a kept state", "with a message"]


async def test_messages_of_a_queue_with_sessions_need_one(bus: Bus, session_queue: str) -> None:
    """A message without a session id is refused."""
    with pytest.raises(ServiceBusError, match="SessionId was not set"):
        await bus.send(session_queue, "x")


def test_sessions_are_asked_for_where_they_are_only(refused: dict[str, BaseException]) -> None:
    """A plain receiver on a queue with sessions is refused, and the other way round."""
    for wish, said in {
        "without a session": "requires sessions",
        "with a session": "has no sessions",
    }.items():
        assert isinstance(refused[wish], ServiceBusError)
        assert said in str(refused[wish])
