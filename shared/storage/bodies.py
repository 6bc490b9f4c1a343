"""A message's bytes beside its row: in the row's columns where they fit, else in a blob."""

from __future__ import annotations

from collections.abc import Mapping

from shared.errors import StoreUnavailableError
from shared.storage.blobs import Blobs
from shared.storage.containers import BODIES
from shared.storage.limits import MAX_BINARY_BYTES
from shared.storage.rows import Value

_TEXT_CHARACTERS = 15_000
"""Characters in a piece: at most 30,000 UTF-16 units, below a column's 32 Ki."""

_MAX_TEXT_BYTES = 128 * 1024
"""Text takes two bytes a character in a row; longer bodies are kept as bytes."""

MAX_ROW_BODY_BYTES = 512 * 1024
"""A longer body goes into a blob: a row holds 1 MiB with all its columns, a transaction 4 MiB."""


def body_columns(body: bytes, blob_name: str, *, as_bytes: bool = False) -> dict[str, Value]:
    """The columns `body_00`, `body_01` … that hold the bytes as they are, or `body_blob`.

    Args:
        body: The bytes.
        blob_name: The blob that holds them where they fit no row.
        as_bytes: Never as text, for what may be none.
    """
    if len(body) > MAX_ROW_BODY_BYTES:
        return {"body_blob": blob_name}
    pieces: list[Value] = []
    text = None if as_bytes or len(body) > _MAX_TEXT_BYTES else _text(body)
    if text is None:
        pieces += [
            body[n : n + MAX_BINARY_BYTES] for n in range(0, max(len(body), 1), MAX_BINARY_BYTES)
        ]
    else:
        pieces += [
            text[n : n + _TEXT_CHARACTERS] for n in range(0, max(len(text), 1), _TEXT_CHARACTERS)
        ]
    return {f"body_{n:02d}": piece for n, piece in enumerate(pieces)}


async def read_body(blobs: Blobs, columns: Mapping[str, Value]) -> bytes:
    """The bytes that stand beside a row.

    Raises:
        StoreUnavailableError: The blob cannot be read now, or is gone (`blob_missing`).
    """
    if "body_blob" in columns:
        name = str(columns["body_blob"])
        blob = await blobs.get(BODIES, name)
        if blob is None:
            message = f"container {BODIES}: there is no blob {name}"
            raise StoreUnavailableError(message, code="blob_missing")
        return blob.content
    pieces = [columns[name] for name in sorted(columns) if name.startswith("body_")]
    return b"".join(piece if isinstance(piece, bytes) else str(piece).encode() for piece in pieces)


async def body_or_none(blobs: Blobs, columns: Mapping[str, Value]) -> bytes | None:
    """As `read_body`; None where the blob is gone, by retention or before a backup copied it.

    Raises:
        StoreUnavailableError: The blob cannot be read now.
    """
    try:
        return await read_body(blobs, columns)
    except StoreUnavailableError as error:
        if error.code != "blob_missing":
            raise
        return None


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None
