"""Blobs: what is too large for a row, and the gateway to it in terms of no SDK."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob as it was read."""

    name: str
    content: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A blob as it is listed: its name, when it was written last by the store's clock, its ETag."""

    name: str
    modified: datetime
    etag: str


class Blobs(Protocol):
    """The Blob Storage gateway. The contract suite in `tests/storage` holds its two makers to it.

    All calls raise `StoreUnavailableError` when the store is busy, away, refusing or lacks the
    container.
    """

    async def get(self, container: str, name: str) -> Blob | None:
        """One blob, or None."""
        ...

    async def etag(self, container: str, name: str) -> str | None:
        """The ETag of a blob, or None: tells at a small price whether it changed."""
        ...

    async def put(self, container: str, name: str, content: bytes) -> str:
        """Write a blob whatever was there before; the new ETag."""
        ...

    async def replace(self, container: str, name: str, content: bytes, etag: str | None) -> str:
        """Write over the blob that still has this ETag; None: where there is none. The new ETag.

        Raises:
            BlobChangedError: Somebody else wrote or deleted it meanwhile.
        """
        ...

    async def delete(self, container: str, name: str, etag: str | None = None) -> bool:
        """Delete a blob; with an ETag only while it still has that one. Whether it was deleted."""
        ...

    def names(self, container: str, prefix: str = "") -> AsyncIterator[str]:
        """The names that begin so, in their order."""
        ...

    def listed(self, container: str, prefix: str = "") -> AsyncIterator[Listed]:
        """The blobs whose names begin so, in the order of their names, without their content."""
        ...

    async def create_container(self, container: str) -> bool:
        """Make a private container if there is none of that name; whether it was made."""
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...
