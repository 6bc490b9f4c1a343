"""A message's bytes in the columns of a row: as text where they are text, cut into pieces."""

from __future__ import annotations

from collections.abc import Mapping

from shared.errors import RowRejectedError
from shared.storage.limits import MAX_BINARY_BYTES
from shared.storage.rows import Value

_TEXT_CHARACTERS = 15_000
"""Characters in a piece: at most 30,000 UTF-16 units, below a column's 32 Ki."""

_MAX_TEXT_BYTES = 128 * 1024
"""Text takes two bytes a character in a row; longer bodies are kept as bytes."""

MAX_BODY_BYTES = 900 * 1024
"""What fits a row beside its other columns."""


def body_columns(body: bytes, *, as_bytes: bool = False) -> dict[str, Value]:
    """The columns `body_00`, `body_01` … that hold the bytes as they are.

    Args:
        body: The bytes.
        as_bytes: Never as text, for what may be none.

    Raises:
        RowRejectedError: They fit no row.
    """
    if len(body) > MAX_BODY_BYTES:
        message = f"a body of {len(body)} bytes fits no row"
        raise RowRejectedError(message, code="body_too_large")
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


def body_of(columns: Mapping[str, Value]) -> bytes:
    """The bytes that `body_columns` put into a row."""
    pieces = [columns[name] for name in sorted(columns) if name.startswith("body_")]
    return b"".join(piece if isinstance(piece, bytes) else str(piece).encode() for piece in pieces)


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None
