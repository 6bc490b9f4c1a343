"""Events by Kafka: a producer that goes on until the brokers have all of them."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from local.emabler.fleet.order import Customer
from local.emabler.fleet.sending import Sender, pauses

# What it says of brokers that are away is said by the fleet that waits for them.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


class KafkaSender:
    """Sends by Kafka, without keys: over all partitions, since nobody promises an order."""

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic

    async def send(self, bodies: Sequence[bytes]) -> None:
        """Send them in their order; what the brokers did not take is sent again."""
        left = list(bodies)
        for pause in pauses():
            sent = [await self._send(body) for body in left]
            taken = await asyncio.gather(*sent, return_exceptions=True)
            left = [
                body
                for body, outcome in zip(left, taken, strict=True)
                if isinstance(outcome, BaseException)
            ]
            if not left:
                return
            await asyncio.sleep(pause)

    async def _send(self, body: bytes) -> asyncio.Future[Any]:
        try:
            sent: asyncio.Future[Any] = await self._producer.send(self._topic, body)
        except KafkaError as error:
            sent = asyncio.get_running_loop().create_future()
            sent.set_exception(error)
        return sent


@contextlib.asynccontextmanager
async def open_kafka_sender(customer: Customer) -> AsyncGenerator[Sender]:
    """Give a sender to the customer's topic, once the brokers are there."""
    security: dict[str, Any] = {}
    if customer.kafka_user:
        security = {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": customer.kafka_user,
            "sasl_plain_password": customer.kafka_password,
        }
    producer = AIOKafkaProducer(
        bootstrap_servers=customer.brokers.split(","), acks="all", linger_ms=5, **security
    )
    try:
        await _start(producer)
        yield KafkaSender(producer, customer.topic)
    finally:
        await producer.stop()


async def _start(producer: AIOKafkaProducer) -> None:
    for pause in pauses():
        try:
            await producer.start()
        except KafkaError:
            await asyncio.sleep(pause)
        else:
            return
