"""A fleet over the network: ordered, begun and watched from outside, its customer near or away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from local.emabler.books import Books
from local.emabler.faults.faults import Faults
from local.emabler.fleet.control import FleetControl
from local.emabler.fleet.expected import Expected
from local.emabler.fleet.order import Customer, Fallback, Order, Transport
from local.emabler.server import make_app
from local.kafka.broker import KafkaBroker
from local.processes import until

AUTHORIZATION = "the value that the customer configured"


class Webhook:
    """A customer that takes events and taps, and can be told to do otherwise."""

    def __init__(self) -> None:
        self.events: list[bytes] = []
        self.taps: list[dict[str, Any]] = []
        self.answer: object = {"charging_allowed": True}
        self.failing = 0

    async def take(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == AUTHORIZATION
        body = await request.read()
        if b"rfid_tag_id" in body:
            self.taps.append(msgspec.json.decode(body))
            return web.json_response(self.answer)
        if self.failing:
            self.failing -= 1
            return web.Response(status=503)
        self.events.append(body)
        return web.Response()


@pytest.fixture
async def webhook() -> AsyncIterator[tuple[Webhook, str]]:
    """The customer, and its address."""
    customer = Webhook()
    app = web.Application()
    app.router.add_post("/push", customer.take)
    async with TestServer(app) as server:
        yield customer, str(server.make_url("/push"))


@pytest.fixture
async def emabler() -> AsyncIterator[tuple[TestClient[Any, Any], Books]]:
    """EMabler's server with its control of a fleet, and its books."""
    books = Books()
    faults = Faults()
    control = FleetControl(books, faults)
    app = make_app(books, "key", faults=faults)
    app.add_routes(control.routes())
    async with TestClient(TestServer(app)) as client:
        yield client, books
        await control.stop()


def order(address: str, **changes: Any) -> bytes:
    customer = Customer(
        webhook=address,
        authorization=AUTHORIZATION,
        transport=Transport.WEBHOOK,
        tap_seconds=1,
        fallback=changes.pop("fallback", Fallback.DENY),
    )
    plain = {"seed": 5, "chargers": 2, "speed": None, "faults": "off", "meter_minutes": 60}
    begins = datetime.now(UTC) - timedelta(days=1)
    return msgspec.json.encode(Order(begins=begins, customer=customer, **(plain | changes)))


async def play(client: TestClient[Any, Any], body: bytes) -> Expected:
    """Order a fleet, let it play to its end, and give what a right store holds."""
    answer = await client.put("/_fleet", data=body)
    assert answer.status == 200, await answer.text()
    assert (await client.post("/_fleet/begin")).status == 204

    async def over() -> bool:
        return bool((await (await client.get("/_fleet")).json())["stage"] == "over")

    await until(over, within=60, what="that the fleet came to its end")
    return msgspec.json.decode(await (await client.get("/_fleet/expected")).read(), type=Expected)


async def test_faults_of_rest_live_by_the_fleet_s_time() -> None:
    """An hour of a fleet is an hour of REST's late sessions, and afterwards the clock goes on."""
    faults = Faults()
    control = FleetControl(Books(), faults)
    begins = datetime.now(UTC) - timedelta(days=1)

    fleet = await control.prepare(msgspec.json.decode(order("http://none", days=1), type=Order))

    assert abs(faults.clock() - begins) < timedelta(minutes=1)
    await fleet.stop()
    assert abs(faults.clock() - begins - timedelta(days=1)) < timedelta(minutes=1)


async def test_what_the_customer_takes_is_what_was_told(
    webhook: tuple[Webhook, str], emabler: tuple[TestClient[Any, Any], Books]
) -> None:
    """Each message arrives once, also after refusals; the books hold the finished sessions."""
    customer, address = webhook
    client, books = emabler
    customer.failing = 5

    expected = await play(client, order(address))

    assert len(customer.events) == len(expected.events) == len(set(customer.events))
    assert len(customer.taps) == sum(tap.by == "customer" for tap in expected.taps) > 0
    ended = [session for session in expected.sessions if session.state == "ended"]
    assert len(books.shelves.sessions) == len(ended) > 0
    (configuration,) = books.shelves.push_configurations
    assert [endpoint.endpoint_type for endpoint in configuration.endpoints] == ["Webhook"]
    assert "RealTimeAuth" in {message.message_type for message in configuration.messages}
    assert len(books.shelves.ongoing) == len(expected.sessions) - len(ended)


async def test_by_kafka_the_topic_holds_what_was_told(
    webhook: tuple[Webhook, str], emabler: tuple[TestClient[Any, Any], Books]
) -> None:
    """Each message once, whole, although the brokers are there only later; taps by the webhook."""
    customer, address = webhook
    client, books = emabler
    broker = await KafkaBroker(users={"emabler": "a password"}).start()
    await broker.stop()
    plain = msgspec.json.decode(order(address), type=Order)
    by_kafka = msgspec.structs.replace(
        plain.customer,
        transport=Transport.KAFKA,
        brokers=broker.bootstrap,
        topic="push",
        kafka_user="emabler",
        kafka_password="a password",
    )
    asyncio.get_running_loop().call_later(0.3, lambda: asyncio.ensure_future(broker.start()))

    body = msgspec.json.encode(msgspec.structs.replace(plain, customer=by_kafka))
    expected = await play(client, body)

    assert broker.held("push") == len(expected.events) > 0
    assert customer.events == []
    assert len(customer.taps) > 0
    (configuration,) = books.shelves.push_configurations
    types = [endpoint.endpoint_type for endpoint in configuration.endpoints]
    assert types == ["Kafka", "Webhook"]
    await broker.stop()


@pytest.mark.parametrize("fallback", list(Fallback))
async def test_without_an_answer_the_fallback_decides(
    fallback: Fallback, webhook: tuple[Webhook, str], emabler: tuple[TestClient[Any, Any], Books]
) -> None:
    """What is no answer as documented is none: eMabler's own setting lets charge, or not."""
    customer, address = webhook
    customer.answer = {"charging_allowed": "yes"}

    expected = await play(emabler[0], order(address, fallback=fallback))
    asked = [tap for tap in expected.taps if tap.by == "fallback"]

    assert len(asked) == len(customer.taps) > 0
    assert {tap.allowed for tap in asked} == {fallback is Fallback.ALLOW}


async def test_a_denied_driver_leaves_no_session(
    webhook: tuple[Webhook, str], emabler: tuple[TestClient[Any, Any], Books]
) -> None:
    """Who is denied does not charge; a reason that is not the tag's own is told as wrong."""
    customer, address = webhook
    customer.answer = {"charging_allowed": False, "reason": "UNKNOWN_RFID_TAG_ID"}

    expected = await play(emabler[0], order(address))

    charging = sum(tap.allowed for tap in expected.taps)
    assert len(expected.sessions) == charging == sum(tap.by == "registry" for tap in expected.taps)
    assert any(not tap.right for tap in expected.taps)


async def test_faults_change_while_it_plays(
    webhook: tuple[Webhook, str], emabler: tuple[TestClient[Any, Any], Books]
) -> None:
    """Faults are listed and changed by name; a mistake is told and changes nothing."""
    client = emabler[0]
    await client.put("/_fleet", data=order(webhook[1], days=None, speed=1.0))

    changed = await client.patch("/_fleet/faults", json={"faults": "lost=0.5@1h-2h"})
    refused = await client.patch("/_fleet/faults", json={"faults": "lots"})
    shown = await (await client.get("/_fleet/faults")).json()

    assert (changed.status, refused.status) == (200, 400)
    assert "'lots' is no fault" in await refused.text()
    assert shown["lost"] == {"rate": 0.5, "hours": [1, 2]}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"chargers": 0}, "a fleet of 0 chargers"),
        ({"days": None}, "cannot run ahead of the clock"),
        ({"faults": "late@6h"}, "is no fault"),
        ({"speed": -1.0}, "the speed is -1"),
    ],
)
async def test_an_order_that_cannot_be_is_refused(
    changes: dict[str, Any],
    told: str,
    webhook: tuple[Webhook, str],
    emabler: tuple[TestClient[Any, Any], Books],
) -> None:
    """What cannot be played is answered 400 with what is wrong and what to do."""
    answer = await emabler[0].put("/_fleet", data=order(webhook[1], **changes))

    assert answer.status == 400
    assert told in await answer.text()
    assert "What to do" in await answer.text()


async def test_without_a_fleet_there_is_nothing_to_watch(
    emabler: tuple[TestClient[Any, Any], Books],
) -> None:
    """Each call but the order itself says that there is no fleet, and what to do."""
    for method, path in (("GET", ""), ("POST", "/begin"), ("GET", "/expected"), ("GET", "/faults")):
        answer = await emabler[0].request(method, f"/_fleet{path}")
        assert answer.status == 400
        assert "prepare one with PUT /_fleet" in await answer.text()
