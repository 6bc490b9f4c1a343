"""`absent`: a service that goes away at a call, and comes back on the same address."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from azure.core.exceptions import ServiceRequestError
from azure.data.tables.aio import TableClient

from local.azurite import Azurite
from local.fault_proxy.proxy import FaultProxy
from tests.fault_proxy.rows import eventually, inserts, row, stored
from tests.fault_proxy.signing import storage_client


@pytest.mark.parametrize("how", ["refuse", "reset"])
async def test_absent_from_a_call_until_cleared(
    proxy: FaultProxy, bare: TableClient, direct: TableClient, how: str
) -> None:
    """The n-th write is cut off, all calls after it too; cleared, the same address serves."""
    await bare.create_entity(row(0, "k0"))
    proxy.add(f"absent kind=write nth=2 how={how}")
    await bare.create_entity(row(1, "k1"))

    for _ in range(3):
        with pytest.raises(ServiceRequestError):
            await bare.create_entity(row(2, "k2"))
    with pytest.raises(ServiceRequestError):
        await bare.get_entity("p", "k0")
    assert await stored(direct) == [0, 1]
    assert [decision.nth for decision in proxy.decisions()] == [2]

    proxy.clear()
    await bare.create_entity(row(2, "k2"))
    assert await stored(direct) == [0, 1, 2]


@pytest.mark.parametrize("how", ["refuse", "reset"])
async def test_absent_for_a_while(proxy: FaultProxy, bare: TableClient, how: str) -> None:
    """The service comes back by itself, and may go away again."""
    proxy.add(f"absent count=2 seconds=0.1 how={how}")

    async def served() -> bool:
        try:
            await bare.upsert_entity(row())
        except ServiceRequestError:
            return False
        return True

    assert not await served()
    await eventually(served, "the end of both outages")
    assert proxy.counts().faults == {"absent": 2}


async def test_absent_cuts_off_calls_under_way(
    proxy: FaultProxy, app: TableClient, direct: TableClient
) -> None:
    """A call that waits for its answer loses its connection when the service goes away."""
    proxy.add("slow before=answering count=1")
    waiting = asyncio.ensure_future(app.submit_transaction(inserts()))

    async def held() -> bool:
        return proxy.counts().held == 1 and len(await stored(direct)) == 2

    await eventually(held, "the transaction")
    proxy.add("absent")
    with pytest.raises(ServiceRequestError):
        await app.create_entity(row())
    with pytest.raises(ServiceRequestError):
        await waiting


async def test_an_outage_of_one_service_leaves_the_others(proxy: FaultProxy) -> None:
    """A rule that names a service takes that one away; one that names none takes all."""

    async def served() -> list[bool]:
        answers = []
        async with storage_client() as http:
            for url in (proxy.table_url, proxy.blob_url, proxy.queue_url):
                try:
                    await http.get(f"{url}?comp=list")
                    answers.append(True)
                except httpx.TransportError:
                    answers.append(False)
        return answers

    first = proxy.add("absent service=table")
    assert await served() == [False, True, True]
    second = proxy.add("absent")
    await served()
    assert await served() == [False, False, False]

    proxy.remove(second)
    assert await served() == [False, True, True]
    proxy.remove(first)
    assert await served() == [True, True, True]


async def test_a_proxy_can_follow_one_that_was_stopped_while_away(azurite: Azurite) -> None:
    """Stopping during an outage leaves nothing behind that the next listener could trip over."""
    for _ in range(3):
        async with httpx.AsyncClient(timeout=5, trust_env=False) as http:
            async with await FaultProxy.start(azurite, rules=["absent"]) as away:
                with pytest.raises(httpx.TransportError):
                    await http.get(f"{away.blob_url}?comp=list")
            async with await FaultProxy.start(azurite) as following:
                for url in (following.table_url, following.blob_url, following.queue_url):
                    answer = await http.get(f"{url}?comp=list")
                    assert answer.headers["Server"].startswith("Azurite-")
