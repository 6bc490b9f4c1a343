"""Looks at a running stack: how much waits in its queue, and which workers run."""

import httpx

from local.processes import until
from local.service_bus import Counts
from local.stack import LocalAzure


async def queue_counts(azure: LocalAzure) -> Counts:
    """Ask the broker about the push queue."""
    return await azure.broker.counts(azure.settings["PUSH_QUEUE_NAME"])


async def until_drained(azure: LocalAzure, *, within: float) -> Counts:
    """Wait until no message waits or is being worked on; give the counts.

    Raises:
        LocalError: `answer_missing`, the queue still held messages after `within` seconds.
    """

    async def drained() -> Counts | None:
        counts = await queue_counts(azure)
        return counts if counts.waiting == 0 else None

    return await until(drained, within=within, what="that the queue was emptied")


async def worker_pids(azure: LocalAzure) -> list[int]:
    """Ask the host for the process ids of its workers."""
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        answer = (await client.get(f"{azure.host.url}/admin/host/status")).raise_for_status()
    pids: list[int] = answer.json()["workerProcessIds"]
    return pids
