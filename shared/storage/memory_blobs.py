"""Blobs in memory, by the same contract as the service's: for tests and simulations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from itertools import count

from shared.errors import BlobChangedError, StoreUnavailableError
from shared.instants import Clock, system_clock
from shared.storage.blobs import Blob, Listed
from shared.storage.requests import request


class MemoryBlobs:
    """Containers as dictionaries; `clock` is the store's own, which dates what is written."""

    def __init__(self, *containers: str, clock: Clock = system_clock) -> None:
        self._containers: dict[str, dict[str, Blob]] = {name: {} for name in containers}
        self._modified: dict[tuple[str, str], datetime] = {}
        self._etags = count(1)
        self.clock = clock

    async def get(self, container: str, name: str) -> Blob | None:
        """One blob, or None."""
        with request(container, "get"):
            return self._container(container).get(name)

    async def etag(self, container: str, name: str) -> str | None:
        """The ETag of a blob, or None."""
        with request(container, "etag"):
            blob = self._container(container).get(name)
        return None if blob is None else blob.etag

    async def put(self, container: str, name: str, content: bytes) -> str:
        """Write a blob whatever was there before."""
        with request(container, "write"):
            etag = f'"{next(self._etags)}"'
            self._container(container)[name] = Blob(name, content, etag)
            self._modified[container, name] = self.clock()
        return etag

    async def replace(self, container: str, name: str, content: bytes, etag: str | None) -> str:
        """Write over the blob that still has this ETag; None: where there is none."""
        blob = self._container(container).get(name)
        if (None if blob is None else blob.etag) != etag:
            raise BlobChangedError(f"container {container}: the blob was changed")
        return await self.put(container, name, content)

    async def delete(self, container: str, name: str, etag: str | None = None) -> bool:
        """Delete a blob; with an ETag only while it still has that one."""
        with request(container, "delete"):
            blob = self._container(container).get(name)
            if blob is None or etag not in (None, blob.etag):
                return False
            del self._container(container)[name]
        return True

    async def names(self, container: str, prefix: str = "") -> AsyncIterator[str]:
        """The names that begin so, in their order."""
        async for blob in self.listed(container, prefix):
            yield blob.name

    async def listed(self, container: str, prefix: str = "") -> AsyncIterator[Listed]:
        """The blobs whose names begin so, in the order of their names, without their content."""
        with request(container, "names"):
            blobs = self._container(container).items()
            found = sorted(
                (name, self._modified[container, name], blob.etag)
                for name, blob in blobs
                if name.startswith(prefix)
            )
        for name, modified, etag in found:
            yield Listed(name, modified, etag)

    async def create_container(self, container: str) -> bool:
        """Make a container if there is none of that name."""
        made = container not in self._containers
        self._containers.setdefault(container, {})
        return made

    async def close(self) -> None:
        """Nothing to give back."""

    def _container(self, name: str) -> dict[str, Blob]:
        try:
            return self._containers[name]
        except KeyError:
            message = f"there is no container {name}"
            raise StoreUnavailableError(message, code="container_missing") from None
