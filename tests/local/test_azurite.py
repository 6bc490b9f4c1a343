"""The Azurite launcher: real requests, pauses, crashes, restarts."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from azure.data.tables.aio import TableServiceClient

from local.azurite import Azurite
from local.errors import LocalError, StartError
from local.ports import AzuritePorts


@pytest.fixture(scope="module")
async def own_azurite(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Azurite]:
    """An Azurite that these tests may pause and kill."""
    async with await Azurite.start(tmp_path_factory.mktemp("own")) as azurite:
        yield azurite


async def ask(azurite: Azurite, seconds: float = 10) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=seconds) as client:
        return await client.get(f"{azurite.table_url}/Tables")


async def test_the_services_answer(own_azurite: Azurite) -> None:
    """After the start a table can be made, and the blob and queue services answer."""
    async with TableServiceClient.from_connection_string(own_azurite.connection_string) as tables:
        await tables.create_table("made")
        names = [table.name async for table in tables.list_tables()]
    assert names == ["made"]
    async with httpx.AsyncClient(trust_env=False) as client:
        for url, service in (
            (own_azurite.blob_url, "Azurite-Blob"),
            (own_azurite.queue_url, "Azurite-Queue"),
        ):
            answer = await client.get(f"{url}?comp=list")
            assert answer.headers["server"].startswith(service)


async def test_in_memory_nothing_is_kept(tmp_path: Path) -> None:
    """It serves as on disk, writes no data, and is empty after a restart."""
    async with await Azurite.start(tmp_path, in_memory=True) as azurite:
        for _ in range(2):
            connection = azurite.connection_string
            async with TableServiceClient.from_connection_string(connection) as tables:
                assert [table.name async for table in tables.list_tables()] == []
                await tables.create_table("made")
            await azurite.restart()

    assert os.listdir(tmp_path) == ["azurite.log"]  # noqa: PTH208 - nothing waits for it


async def test_data_outlives_a_stop(own_azurite: Azurite) -> None:
    """After `stop` and `restart` the same ports serve the same rows."""
    row = {"PartitionKey": "p", "RowKey": "r", "value": 7}
    connection = own_azurite.connection_string
    async with TableServiceClient.from_connection_string(connection) as tables:
        table = await tables.create_table_if_not_exists("kept")
        await table.upsert_entity(row)

    await own_azurite.stop()
    await own_azurite.stop()
    assert not own_azurite.running
    await own_azurite.restart()

    assert own_azurite.connection_string == connection
    async with TableServiceClient.from_connection_string(connection) as tables:
        assert (await tables.get_table_client("kept").get_entity("p", "r"))["value"] == 7


async def test_a_killed_azurite_comes_back(own_azurite: Azurite) -> None:
    """After `kill` connections are refused; after `restart` the same port answers."""
    await own_azurite.kill()
    with pytest.raises(httpx.ConnectError):
        await ask(own_azurite)

    await own_azurite.restart()

    assert (await ask(own_azurite)).status_code == 403


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be paused there")
async def test_a_paused_azurite_hangs_and_goes_on(own_azurite: Azurite) -> None:
    """While paused a request gets no answer at all; resumed, the same request is answered."""
    own_azurite.pause()
    request = asyncio.create_task(ask(own_azurite, seconds=30))
    try:
        done, _ = await asyncio.wait([request], timeout=0.3)
        assert not done
    finally:
        own_azurite.resume()

    assert (await request).status_code == 403


async def test_a_taken_port_is_told(tmp_path: Path) -> None:
    """A port that somebody has makes the start fail with Azurite's own words."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        ports = AzuritePorts(blob=listener.getsockname()[1])
        with pytest.raises(StartError, match="EADDRINUSE"):
            await Azurite.start(tmp_path, ports=ports)


async def test_an_azurite_that_was_not_started_says_so(tmp_path: Path) -> None:
    """Asking for its process before the start is an error for people, not an AttributeError."""
    azurite = Azurite(tmp_path, tmp_path / "log", "node")
    with pytest.raises(LocalError, match="was not started"):
        azurite.pause()
