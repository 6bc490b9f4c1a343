"""One contract, two makers: the in-memory blobs obey what the real gateway does on Azurite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from azure.storage.blob.aio import BlobServiceClient

from local.azurite import Azurite
from shared.errors import BlobChangedError, StoreUnavailableError
from shared.settings import read_settings
from shared.storage.azure_blobs import AzureBlobs
from shared.storage.blobs import Blobs
from shared.storage.connect import connect_blobs
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.requests import counted


def azure_blobs(connection: str) -> AzureBlobs:
    return connect_blobs(read_settings({"DataStorageConnection": connection}))


@pytest.fixture(params=["memory", "azurite"])
async def blobs(request: pytest.FixtureRequest, azurite: Azurite) -> AsyncIterator[Blobs]:
    gateway: Blobs = MemoryBlobs()
    if request.param == "azurite":
        gateway = azure_blobs(azurite.connection_string)
    yield gateway
    await gateway.close()


@pytest.fixture
async def container(blobs: Blobs) -> str:
    name = f"c{uuid4().hex}"
    assert await blobs.create_container(name)
    return name


async def test_a_blob_comes_back_as_it_was_written(blobs: Blobs, container: str) -> None:
    """Any bytes, none and a MiB of them round-trip, with the ETag that writing them gave."""
    for content in (bytes(range(256)), b"", b"x" * 1024 * 1024):
        etag = await blobs.put(container, "a/b c=7B.bin", content)

        found = await blobs.get(container, "a/b c=7B.bin")
        assert found is not None
        assert (found.content, found.etag) == (content, etag)
        assert await blobs.etag(container, "a/b c=7B.bin") == etag


async def test_a_missing_blob_is_none(blobs: Blobs, container: str) -> None:
    """Reading and deleting what is not there raises nothing."""
    assert await blobs.get(container, "none") is None
    assert await blobs.etag(container, "none") is None
    assert not await blobs.delete(container, "none")


async def test_a_replace_needs_the_etag_that_was_read(blobs: Blobs, container: str) -> None:
    """Of two who read the same blob only the first writes over it."""
    first = await blobs.put(container, "n", b"1")

    second = await blobs.replace(container, "n", b"2", first)
    with pytest.raises(BlobChangedError):
        await blobs.replace(container, "n", b"3", first)

    found = await blobs.get(container, "n")
    assert found is not None
    assert (found.content, found.etag) == (b"2", second)


async def test_a_replace_of_nothing_needs_nothing_to_be_there(blobs: Blobs, container: str) -> None:
    """Without an ETag the blob must not exist; with one it must."""
    await blobs.replace(container, "n", b"1", None)

    with pytest.raises(BlobChangedError):
        await blobs.replace(container, "n", b"2", None)
    await blobs.delete(container, "n")
    with pytest.raises(BlobChangedError):
        await blobs.replace(container, "n", b"3", '"0x8DEADBEEF"')


async def test_a_deleted_blob_is_gone(blobs: Blobs, container: str) -> None:
    """Deleting tells that there was one."""
    await blobs.put(container, "n", b"1")

    assert await blobs.delete(container, "n")
    assert await blobs.get(container, "n") is None


async def test_a_delete_by_etag_leaves_what_was_written_anew(blobs: Blobs, container: str) -> None:
    """The ETag of the write and of the list both serve; an earlier one deletes nothing."""
    old = await blobs.put(container, "n", b"1")
    (listed,) = [blob async for blob in blobs.listed(container)]
    assert listed.etag == old
    new = await blobs.put(container, "n", b"1")

    assert not await blobs.delete(container, "n", old)
    assert await blobs.get(container, "n") is not None
    assert await blobs.delete(container, "n", new)
    assert await blobs.get(container, "n") is None
    assert not await blobs.delete(container, "n", new)


async def test_names_are_listed_in_order_below_a_prefix(blobs: Blobs, container: str) -> None:
    """Those that begin so, and no others."""
    for name in ("events/b", "parked/x", "events/a", "events/a/c"):
        await blobs.put(container, name, b"")

    assert [n async for n in blobs.names(container, "events/")] == [
        "events/a",
        "events/a/c",
        "events/b",
    ]
    assert len([n async for n in blobs.names(container)]) == 4


async def test_a_listed_blob_tells_when_it_was_written(blobs: Blobs, container: str) -> None:
    """By the store's clock, to the second at least, in the order of names."""
    before = datetime.now(UTC) - timedelta(seconds=1)
    for name in ("b", "a"):
        await blobs.put(container, name, b"x")

    found = [blob async for blob in blobs.listed(container)]

    assert [blob.name for blob in found] == ["a", "b"]
    assert all(before <= blob.modified <= datetime.now(UTC) for blob in found)


async def test_a_container_is_made_once(blobs: Blobs, container: str) -> None:
    """Making it again tells that it was there."""
    assert not await blobs.create_container(container)


async def test_a_missing_container_is_weather(blobs: Blobs) -> None:
    """Whoever deploys makes it; meanwhile every call fails in a way that a retry can help."""
    missing = f"c{uuid4().hex}"
    calls = (
        blobs.get(missing, "n"),
        blobs.put(missing, "n", b""),
        blobs.delete(missing, "n"),
        anext(blobs.names(missing)),
    )
    for call in calls:
        with pytest.raises(StoreUnavailableError) as error:
            await call
        assert error.value.code == "container_missing"


async def test_requests_are_counted_by_container(blobs: Blobs, container: str) -> None:
    """What a blob costs stands in the wide event beside what the tables cost."""
    with counted() as requests:
        await blobs.put(container, "n", b"1")
        await blobs.get(container, "n")

    assert requests.by_purpose == {f"{container}_write": 1, f"{container}_get": 1}


async def test_a_store_that_is_away_is_weather() -> None:
    """Nobody answers: transient, without the address in the error."""
    connection = (
        "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5;"
        "BlobEndpoint=http://127.0.0.1:9/a;TableEndpoint=http://127.0.0.1:9/a;"
    )
    blobs = AzureBlobs(lambda: BlobServiceClient.from_connection_string(connection, retry_total=0))

    with pytest.raises(StoreUnavailableError) as error:
        await blobs.get("bodies", "n")
    await blobs.close()

    assert error.value.code == "store_away"
    assert "127.0.0.1" not in str(error.value)
