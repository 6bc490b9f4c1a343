"""Blob Storage through Microsoft's SDK, which is imported at the first blob, never before.

Few messages need a blob, and the import costs a cold start 0.1 s beside that of the tables' SDK. It
is done in a thread: taps are answered meanwhile.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)

from shared.errors import BlobChangedError, RowRejectedError, StoreUnavailableError
from shared.imports import ImportedLater
from shared.spans import System
from shared.storage.blobs import Blob, Listed
from shared.storage.requests import request

if TYPE_CHECKING:
    from azure.storage.blob.aio import BlobClient, BlobServiceClient

_BAD_REQUEST, _TOO_LARGE = 400, 413


class AzureBlobs:
    """The gateway to a Blob Storage account; `connect` opens it when it is first needed."""

    def __init__(self, connect: Callable[[], BlobServiceClient]) -> None:
        self._connect = connect
        self._opened: BlobServiceClient | None = None
        self._sdk = ImportedLater(("azure.storage.blob.aio",))

    def _service(self) -> BlobServiceClient:
        if self._opened is None:
            self._opened = self._connect()
        return self._opened

    def _client(self, container: str, name: str) -> BlobClient:
        return self._service().get_blob_client(container, name)

    async def get(self, container: str, name: str) -> Blob | None:
        """One blob, or None."""
        await self._sdk.ready()
        try:
            with request(container, "get", System.BLOBS), _translated(container):
                stream = await self._client(container, name).download_blob()
                return Blob(name, await stream.readall(), str(stream.properties.etag))
        except _BlobMissingError:
            return None

    async def etag(self, container: str, name: str) -> str | None:
        """The ETag of a blob, or None."""
        await self._sdk.ready()
        try:
            with request(container, "etag", System.BLOBS), _translated(container):
                return str((await self._client(container, name).get_blob_properties()).etag)
        except _BlobMissingError:
            return None

    async def put(self, container: str, name: str, content: bytes) -> str:
        """Write a blob whatever was there before."""
        await self._sdk.ready()
        try:
            with request(container, "write", System.BLOBS), _translated(container):
                done = await self._client(container, name).upload_blob(content, overwrite=True)
        except (BlobChangedError, _BlobMissingError) as error:
            # Nothing was asked of what was there: the container is being made or deleted.
            message = f"container {container}: the store refused a blob for now"
            raise StoreUnavailableError(message, code="store_contended") from error
        return str(done["etag"])

    async def replace(self, container: str, name: str, content: bytes, etag: str | None) -> str:
        """Write over the blob that still has this ETag; None: where there is none."""
        await self._sdk.ready()
        client = self._client(container, name)
        with request(container, "write", System.BLOBS), _translated(container):
            if etag is None:
                done = await client.upload_blob(content)
            else:
                done = await client.upload_blob(
                    content,
                    overwrite=True,
                    etag=etag,
                    match_condition=MatchConditions.IfNotModified,
                )
        return str(done["etag"])

    async def delete(self, container: str, name: str, etag: str | None = None) -> bool:
        """Delete a blob; with an ETag only while it still has that one."""
        await self._sdk.ready()
        client = self._client(container, name)
        try:
            with request(container, "delete", System.BLOBS), _translated(container):
                if etag is None:
                    await client.delete_blob()
                else:
                    await client.delete_blob(
                        etag=etag, match_condition=MatchConditions.IfNotModified
                    )
        except _BlobMissingError:
            return False
        except BlobChangedError as error:
            if etag is not None:
                return False
            message = f"container {container}: the store refused a blob for now"
            raise StoreUnavailableError(message, code="store_contended") from error
        return True

    async def names(self, container: str, prefix: str = "") -> AsyncIterator[str]:
        """The names that begin so, in their order."""
        async for blob in self.listed(container, prefix):
            yield blob.name

    async def listed(self, container: str, prefix: str = "") -> AsyncIterator[Listed]:
        """The blobs whose names begin so, in the order of their names, without their content."""
        await self._sdk.ready()
        client = self._service().get_container_client(container)
        pages = client.list_blobs(name_starts_with=prefix).by_page()
        while True:
            try:
                with request(container, "names", System.BLOBS), _translated(container):
                    page = [
                        Listed(str(blob.name), blob.last_modified, _quoted(str(blob.etag)))
                        async for blob in await anext(pages)
                    ]
            except StopAsyncIteration:
                return
            for blob in page:
                yield blob

    async def create_container(self, container: str) -> bool:
        """Make a private container if there is none of that name."""
        await self._sdk.ready()
        try:
            with request(container, "create", System.BLOBS), _translated(container):
                await self._service().create_container(container)
        except BlobChangedError:
            return False
        return True

    async def close(self) -> None:
        """Close the connections, if there are any."""
        if self._opened is not None:
            await self._opened.close()


def _quoted(etag: str) -> str:
    """A list tells ETags without the quotes that headers have, and that a condition needs."""
    return '"' + etag.strip('"') + '"'


class _BlobMissingError(Exception):
    """There is no blob of that name; each call says what that means."""


@contextmanager
def _translated(container: str) -> Iterator[None]:
    """The SDK's errors as ours. Their texts are left behind: they hold addresses."""
    try:
        yield
    except ResourceNotFoundError as error:
        # A question about a blob's properties is answered without a body: 404 is all it says.
        if str(getattr(error, "error_code", "")) == "ContainerNotFound":
            message = f"there is no container {container}"
            raise StoreUnavailableError(message, code="container_missing") from error
        raise _BlobMissingError from error
    except (ResourceExistsError, ResourceModifiedError) as error:
        raise BlobChangedError(f"container {container}: the blob was changed") from error
    except HttpResponseError as error:
        status = error.status_code
        message = f"container {container}: the store answered {status}"
        if status in (_BAD_REQUEST, _TOO_LARGE):
            raise RowRejectedError(message, code="blob_rejected") from error
        raise StoreUnavailableError(message) from error
    except AzureError as error:
        message = f"container {container}: {type(error).__name__}"
        raise StoreUnavailableError(message, code="store_away") from error
