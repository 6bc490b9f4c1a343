"""Looks at a running stack: how much waits in its queue, and which workers run."""

import httpx

from local.processes import until
from local.service_bus import Counts
from local.stack import LocalAzure, Part


async def queue_counts(azure: LocalAzure) -> Counts:
    """Ask the broker about the push queue."""
    return await azure.broker.counts(azure.settings["PUSH_QUEUE_NAME"])


async def until_drained(azure: LocalAzure, *, within: float) -> Counts:
    """Wait until no message waits, in Kafka too, or is being worked on; give the counts.

    Raises:
        LocalError: `answer_missing`, the queue still held messages after `within` seconds.
    """

    async def drained() -> Counts | None:
        # Kafka first: what was there a moment ago may be on the queue by now.
        behind = kafka_behind(azure)
        counts = await queue_counts(azure)
        return counts if behind == counts.waiting == 0 else None

    return await until(drained, within=within, what="that the queue was emptied")


def kafka_behind(azure: LocalAzure) -> int:
    """How many messages of the topic the app has not committed; 0 where there is no Kafka."""
    topic = azure.settings.get("KAFKA_TOPIC")
    if Part.KAFKA not in azure.started_in or not topic:
        return 0
    group = azure.settings["KAFKA_CONSUMER_GROUP"]
    return azure.kafka.held(topic) - azure.kafka.committed(group, topic)


async def worker_pids(azure: LocalAzure) -> list[int]:
    """Ask the host for the process ids of its workers."""
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        answer = (await client.get(f"{azure.host.url}/admin/host/status")).raise_for_status()
    pids: list[int] = answer.json()["workerProcessIds"]
    return pids
