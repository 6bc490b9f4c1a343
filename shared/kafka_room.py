"""Push events by Kafka: onto the queue, and what is too large for it straight into the store.

Nothing here can hold up a partition for ever: a message is on the queue, stored or parked, or the
call fails for weather and Kafka keeps its offset (docs/decisions/0033-kafka.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from shared.errors import FunctionDisabledError, SettingError
from shared.ingestion.ingest import Ingested
from shared.ingestion.messages import IncomingMessage
from shared.ingestion.weather import Outlasted
from shared.settings_checked import Settings
from shared.settings_of_kafka import KAFKA, is_wanted, proves_itself
from shared.telemetry import WideEvent
from shared.webhook import MAX_EVENT_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.ingestion.deliver import Delivery
    from shared.instants import Clock
    from shared.messaging.queue import PacketQueue

RETRY_FIRST, RETRY_LONGEST = "00:00:02", "00:01:00"
"""How long the host waits before it calls again with the same messages: doubling up to the last."""


@dataclass(frozen=True, slots=True)
class KafkaBinding:
    """What the trigger is bound to; texts in per cent signs are names of settings.

    Protocol and mode are values: the host resolves no names where it expects one of a few words.
    """

    topic: str
    broker_list: str
    consumer_group: str
    protocol: str
    authentication_mode: str | None
    username: str | None
    password: str | None


def kafka_binding(settings: Settings) -> KafkaBinding | None:
    """The trigger's binding; None where Kafka is not wanted, or something of it is wrong.

    A function whose settings are missing would be an error of the host at each of its starts;
    what is wrong is in the log, and `manage.py doctor` tells it.
    """
    if not is_wanted(settings.values) or settings.problems_of(KAFKA):
        return None
    sasl = proves_itself(settings.values)
    return KafkaBinding(
        topic="%KAFKA_TOPIC%",
        broker_list="%KAFKA_BROKER_LIST%",
        consumer_group="%KAFKA_CONSUMER_GROUP%",
        protocol=str(settings["KAFKA_PROTOCOL"]),
        authentication_mode=str(settings["KAFKA_AUTHENTICATION_MODE"]) if sasl else None,
        username="%KAFKA_USERNAME%" if sasl else None,
        password="%KAFKA_PASSWORD%" if sasl else None,
    )


class KafkaRoom:
    """Takes batches of Kafka messages. Queue and delivery are made when they are first needed."""

    def __init__(
        self,
        *,
        queue: Callable[[], PacketQueue],
        delivery: Callable[[], Delivery],
        clock: Clock,
    ) -> None:
        self._queue = queue
        self._delivery = delivery
        self._clock = clock

    async def take(self, bodies: Sequence[bytes], wide: WideEvent) -> None:
        """Return once each message is on the queue, stored or parked; note it in the wide event.

        A message beyond what the queue takes goes into the store at once, where ingestion would
        have put it. An empty one goes onto the queue like any other, and ingestion parks it.

        Raises:
            TransientError: The queue or the store is away, or a setting is wrong: all of them have
                to come again, which does no harm.
        """
        wide.add(transport="kafka", received=len(bodies))
        small = [body for body in bodies if len(body) <= MAX_EVENT_BYTES]
        large = [body for body in bodies if len(body) > MAX_EVENT_BYTES]
        # First: while the store is away, the others are not put on the queue at each attempt.
        past = await self._past_the_queue(large)
        refused = await self._send(small) if small else []
        past += await self._past_the_queue(refused)
        if small:
            wide.add(queued_bytes=sum(map(len, small)) - sum(map(len, refused)))
        if past:
            whole = reduce(Ingested.__add__, past)
            wide.add(
                past_the_queue=len(past),
                stored=whole.journal.stored,
                repeated=whole.journal.repeated,
                parked=whole.parked or None,
            )

    async def _past_the_queue(self, bodies: Sequence[bytes]) -> list[Ingested]:
        return [
            await self._delivery().take_alone(
                IncomingMessage(body=body, enqueued=self._clock()), Outlasted()
            )
            for body in bodies
        ]

    async def _send(self, bodies: Sequence[bytes]) -> list[bytes]:
        try:
            queue = self._queue()
        except SettingError as error:
            raise FunctionDisabledError(str(error), code=error.code) from error
        return await queue.send_all(bodies)
