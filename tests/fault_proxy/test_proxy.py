"""Without a rule the proxy cannot be told from the storage; it hands on once, and stops cleanly."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ServiceRequestError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from local.azurite import Azurite
from local.errors import LocalError
from local.fault_proxy.addresses import StorageUrls
from local.fault_proxy.proxy import FaultProxy
from local.ports import LOOPBACK, free_port
from local.processes import until
from tests.fault_proxy.signing import storage_client

ANSWER = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def pretended_storage(answers: list[bytes]) -> AsyncIterator[tuple[StorageUrls, list[bytes]]]:
    """A server that gives each request the next answer, and hangs up at an empty one."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(b"connected")
        while request := await reader.readuntil(b"\r\n\r\n"):
            seen.append(request.split(b" ")[0])
            if not (answer := answers.pop(0)):
                break
            writer.write(answer)
        writer.close()

    async def until_gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(until_gone, LOOPBACK, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield StorageUrls(table_url=f"http://{LOOPBACK}:{port}/devstoreaccount1"), seen


async def test_a_transaction_of_100_rows_passes(app: TableClient, direct: TableClient) -> None:
    """The largest number of operations goes through, with addresses of the proxy inside."""
    written = await app.submit_transaction(
        [("create", {"PartitionKey": "p", "RowKey": f"{n:03}", "n": n}) for n in range(100)]
    )

    assert len(written) == 100
    assert [entity["n"] async for entity in direct.list_entities()] == list(range(100))


# aiohttp, beneath the SDK, warns about bodies beyond 1 MiB that come as bytes.
@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_a_transaction_of_almost_4_mib_passes(app: TableClient, direct: TableClient) -> None:
    """The largest body that the service takes goes through."""
    text = {f"text{n}": "x" * 32_000 for n in range(4)}
    rows = [{"PartitionKey": "p", "RowKey": f"{n:02}", **text} for n in range(31)]

    await app.submit_transaction([("create", row) for row in rows])

    assert [dict(entity) async for entity in direct.list_entities()] == rows


@pytest.mark.parametrize("key", ["it's", "ä ö", "a+b&c=d", "100%", "a:b|c~!", "%2F", "(x,y)"])
async def test_keys_pass_as_they_are(app: TableClient, direct: TableClient, key: str) -> None:
    """Keys with characters that are written with % in addresses keep their signature."""
    await app.upsert_entity({"PartitionKey": key, "RowKey": key, "v": 1})

    assert (await direct.get_entity(key, key))["v"] == (await app.get_entity(key, key))["v"] == 1


async def test_pages_and_conditions_pass(app: TableClient) -> None:
    """A query is continued page by page, and an ETag that was read through the proxy holds."""
    for n in range(5):
        await app.create_entity({"PartitionKey": "p", "RowKey": f"k{n}"})

    pages = app.list_entities(results_per_page=2).by_page()
    assert [len([entity async for entity in page]) async for page in pages] == [2, 2, 1]

    entity = await app.get_entity("p", "k0")
    await app.update_entity(
        {"PartitionKey": "p", "RowKey": "k0", "v": 1},
        mode=UpdateMode.REPLACE,
        etag=entity.metadata["etag"],
        match_condition=MatchConditions.IfNotModified,
    )


async def test_answers_name_the_address_of_the_proxy(proxy: FaultProxy, app: TableClient) -> None:
    """The addresses in what is answered are ones that the caller can use."""
    seen: list[str] = []

    await app.create_entity(
        {"PartitionKey": "p", "RowKey": "k"},
        raw_response_hook=lambda answer: seen.append(answer.http_response.json()["odata.metadata"]),
    )

    assert seen == [f"{proxy.table_url}/$metadata#{app.table_name}/@Element"]


async def test_blobs_go_up_and_come_down(proxy: FaultProxy) -> None:
    """A blob is stored, listed, measured and read through the proxy, byte for byte."""
    container = f"{proxy.blob_url}/c{uuid4().hex}"
    body = bytes(range(256)) * 4096 * 4
    async with storage_client() as http:
        made = await http.put(f"{container}?restype=container")
        headers = {"x-ms-blob-type": "BlockBlob"}
        put = await http.put(f"{container}/a/b%20c", content=body, headers=headers)
        listed = await http.get(f"{container}?restype=container&comp=list")
        measured = await http.head(f"{container}/a/b%20c")
        got = await http.get(f"{container}/a/b%20c")

    assert [made.status_code, put.status_code, listed.status_code] == [201, 201, 200]
    assert "<Name>a/b c</Name>" in listed.text
    assert measured.headers["Content-Length"] == str(len(body))
    assert got.content == body


async def test_queues_pass(proxy: FaultProxy) -> None:
    """The queue service is behind its own address."""
    async with storage_client() as http:
        name = f"q{uuid4().hex}"
        made = await http.put(f"{proxy.queue_url}/{name}")
        listed = await http.get(f"{proxy.queue_url}?comp=list&prefix={name}")

    assert made.status_code == 201
    assert f"<Name>{name}</Name>" in listed.text


async def test_connections_are_kept() -> None:
    """Several calls one after the other use one connection on either side."""
    async with (
        pretended_storage([ANSWER] * 3) as (storage, seen),
        await FaultProxy.start(storage) as proxy,
        storage_client() as http,
    ):
        answers = [await http.put(f"{proxy.table_url}/x") for _ in range(3)]
        streams = [answer.extensions["network_stream"] for answer in answers]
        callers = {stream.get_extra_info("client_addr") for stream in streams}

    assert len(callers) == 1
    assert seen == [b"connected", b"PUT", b"PUT", b"PUT"]


async def test_a_call_is_handed_on_once() -> None:
    """When the storage hangs up instead of answering, the caller is reset and nothing repeated."""
    async with (
        pretended_storage([ANSWER, b"", ANSWER]) as (storage, seen),
        await FaultProxy.start(storage) as proxy,
        storage_client() as http,
    ):
        await http.put(f"{proxy.table_url}/x")
        with pytest.raises(httpx.TransportError):
            await http.put(f"{proxy.table_url}/x")
        await http.put(f"{proxy.table_url}/x")
        counts = proxy.counts()

    assert seen == [b"connected", b"PUT", b"PUT", b"connected", b"PUT"]
    assert (counts.calls, counts.passed, counts.lost) == (3, 2, 1)


async def test_a_storage_that_is_not_there_is_a_reset() -> None:
    """A proxy before nothing listens, and resets what comes; a late write is just lost."""
    storage = StorageUrls(table_url=f"http://{LOOPBACK}:{free_port()}/devstoreaccount1")
    async with (
        await FaultProxy.start(storage) as proxy,
        TableClient.from_connection_string(
            proxy.connection_string, "events", retry_total=0
        ) as client,
    ):
        with pytest.raises(ServiceRequestError):
            await client.create_table()
        proxy.add("late_write")
        with pytest.raises(HttpResponseError):
            await client.create_entity({"PartitionKey": "p", "RowKey": "k"})
        await proxy.settle()

        assert proxy.counts().lost == 1
        assert proxy.decisions()[0].stored is None


async def test_a_caller_that_leaves_amid_its_body_does_no_harm(
    proxy: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    """A half-sent request is dropped without a word, and the next call is served."""
    url = httpx.URL(proxy.table_url or "")
    with caplog.at_level(logging.WARNING):
        _reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(
            b"POST /devstoreaccount1/$batch HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Length: 900\r\n\r\nhalf"
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        async with storage_client() as http:
            assert (await http.get(f"{proxy.blob_url}?comp=list")).status_code == 200

    assert caplog.records == []


async def test_a_seed_reproduces_what_the_sdk_meets(azurite: Azurite, direct: TableClient) -> None:
    """The same plan, seed and calls give the same answers; another seed gives others."""

    async def met(seed: int) -> list[Any]:
        rules = ["busy kind=write rate=0.3", "throttled rate=0.2"]
        async with (
            await FaultProxy.start(azurite, rules=rules, seed=seed) as proxy,
            TableClient.from_connection_string(
                proxy.connection_string, direct.table_name, retry_total=0
            ) as client,
        ):
            for n in range(20):
                await asyncio.gather(
                    client.upsert_entity({"PartitionKey": "p", "RowKey": f"{n}"}),
                    return_exceptions=True,
                )
            return [(d.number, d.rule, d.nth, d.answered) for d in proxy.decisions()]

    assert await met(1) == await met(1)
    assert await met(1) != await met(2)


async def test_settings_that_cannot_be_used_are_said(azurite: Azurite) -> None:
    """Without an address, with a wrong one, or with a wrong rule, nothing is started."""
    for storage in (StorageUrls(), StorageUrls(table_url="https://example.org")):
        with pytest.raises(LocalError, match="usage_wrong"):
            await FaultProxy.start(storage)
    with pytest.raises(LocalError, match="there is no fault"):
        await FaultProxy.start(azurite, rules=["lazy"])


async def test_stopping_drops_what_is_held(proxy: FaultProxy, direct: TableClient) -> None:
    """A proxy with held calls stops at once, and a late write is not done any more."""
    proxy.add("late_write count=1")
    proxy.add("slow")
    async with TableClient.from_connection_string(
        proxy.connection_string, direct.table_name, retry_total=0
    ) as client:
        with pytest.raises(HttpResponseError):
            await client.create_entity({"PartitionKey": "p", "RowKey": "late"})
        waiting = asyncio.ensure_future(
            client.create_entity({"PartitionKey": "p", "RowKey": "held"})
        )

        async def both_held() -> bool:
            return proxy.counts().held == 2

        await until(both_held, within=10, what="both calls", every=0.01)
        async with asyncio.timeout(5):
            await proxy.stop()
        with pytest.raises(ServiceRequestError):
            await waiting

    assert [entity async for entity in direct.list_entities()] == []
