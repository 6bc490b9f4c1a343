"""Kept first, acknowledged then: Service Bus goes away while events come by webhook and Kafka."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

import httpx

from local.commands.claims.claim import Claim, Ground, Verdict
from local.commands.claims.messages import states, tally
from local.commands.playing.fleet import customer_of
from local.commands.playing.sender import OK, WEBHOOK
from local.commands.playing.watching import queue_counts, until_drained
from local.emabler.fleet.order import Transport
from local.emabler.fleet.sending import open_sender
from local.processes import until
from local.stack import EVERYDAY, KAFKA_GROUP, KAFKA_TOPIC, LocalAzure, Part

DRAINED_WITHIN_SECONDS: Final = 240
_AT_ONCE: Final = 4
_PAUSE_SECONDS: Final = 0.2
_AWAY: Final = 503


class Caller:
    """Calls the webhook as eMabler does: again, until a call is answered 200. Keeps the answers."""

    def __init__(self, azure: LocalAzure) -> None:
        self.answers: Counter[int] = Counter()
        self._http = httpx.AsyncClient(
            base_url=azure.host.url,
            headers={"Authorization": azure.settings["WEBHOOK_AUTHORIZATION"]},
            timeout=60,
            trust_env=False,
        )

    async def call(self, bodies: Sequence[bytes]) -> None:
        """Call once for each message, some side by side, and again where it was not taken."""
        turn = asyncio.Semaphore(_AT_ONCE)

        async def one(body: bytes) -> None:
            async with turn:
                while True:
                    answer = await self._http.post(WEBHOOK, content=body)
                    self.answers[answer.status_code] += 1
                    if answer.status_code == OK:
                        return
                    await asyncio.sleep(_PAUSE_SECONDS)

        await asyncio.gather(*map(one, bodies))

    async def close(self) -> None:
        """Give back the connections."""
        await self._http.aclose()


async def check(ground: Ground) -> Verdict:
    """Take Service Bus away in the middle; count what is acknowledged against what it has."""
    azure, broker = ground.azure, ground.azure.broker
    count = 300 if ground.short else 2000
    called, told = states("CALLED", count), states("TOLD", 5 * count)
    caller = Caller(azure)
    try:
        async with (
            open_sender(customer_of(azure, Transport.KAFKA)) as kafka,
            asyncio.TaskGroup() as sending,
        ):
            sending.create_task(caller.call(called))
            sending.create_task(kafka.send(told))

            async def in_the_middle() -> bool:
                return caller.answers[OK] > count // 10 and _committed(azure) > count // 10

            async def refusals() -> bool:
                return caller.answers[_AWAY] >= _AT_ONCE

            await until(in_the_middle, within=60, what="that both ways were in use", every=0.005)
            await broker.set_fault("refuse_connections")
            await broker.drop_connections()
            at_first = await _early(azure, caller)
            committed = _committed(azure)
            await until(refusals, within=120, what="that calls were refused")
            in_the_end = await _early(azure, caller)
            waited, refused = len(told) - committed, caller.answers[_AWAY]
            await broker.clear_faults()
            # What was delivered when the connections broke would else be locked for minutes.
            await broker.expire_locks()
    finally:
        await caller.close()
    counts = await until_drained(azure, within=DRAINED_WITHIN_SECONDS)
    rows = await ground.operator.rows("events", "list")
    missing, doubled, unasked = tally([*called, *told], rows)
    early = max(at_first, in_the_end)
    return Verdict(
        how=f"{len(called)} events by webhook and {len(told)} by Kafka; Service Bus away in the "
        "middle",
        figure=f"{refused} calls answered 503, {waited} messages waiting in Kafka; {early} "
        f"acknowledged that the queue had not; then {len(rows)} in the journal, {missing} lost",
        # Without a refusal and a message that waited, the outage hit nothing and proved nothing.
        passed=(missing, doubled, unasked, counts.dead_lettered, early) == (0, 0, 0, 0, 0)
        and refused > 0
        and waited > 0,
    )


async def _early(azure: LocalAzure, caller: Caller) -> int:
    """How many messages more were acknowledged than the queue took; none should be.

    What is acknowledged is counted first: what comes between may only be taken.
    """
    acknowledged = caller.answers[OK] + _committed(azure)
    return max(acknowledged - (await queue_counts(azure)).totals.enqueued, 0)


def _committed(azure: LocalAzure) -> int:
    return azure.kafka.committed(KAFKA_GROUP, KAFKA_TOPIC)


CLAIM = Claim(
    "kept_first",
    "A webhook call is acknowledged, and an offset of Kafka committed, only after the queue has "
    "the message.",
    check,
    parts=(*EVERYDAY, Part.KAFKA),
)
