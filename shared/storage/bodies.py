"""A message's bytes in the columns of a row: as text where they are text, cut into pieces.

What is too long for a row is packed. Any JSON of a megabyte fits then.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from shared.errors import RowRejectedError
from shared.storage.limits import MAX_BINARY_BYTES
from shared.storage.rows import Value

_TEXT_CHARACTERS = 15_000
"""Characters in a piece: at most 30,000 UTF-16 units, below a column's 32 Ki."""

_MAX_TEXT_BYTES = 128 * 1024
"""Text takes two bytes a character in a row; longer bodies are kept as bytes."""

MAX_BODY_BYTES = 700 * 1024
"""What fits a row beside its other columns, also as it is sent: in base64, below 1 MiB. (The
service counts the bytes themselves, the emulator what is sent.)"""


def body_columns(body: bytes, *, as_bytes: bool = False) -> dict[str, Value]:
    """The columns `body_00`, `body_01` … that hold the bytes as they are.

    Beyond 700 KiB they are `packed_00`, `packed_01` …, the bytes compressed by zlib.

    Args:
        body: The bytes.
        as_bytes: Never as text, for what may be none.

    Raises:
        RowRejectedError: They fit no row, packed or not; `body_too_large`.
    """
    if len(body) > MAX_BODY_BYTES:
        return _packed_columns(body)
    pieces: list[Value] = []
    text = None if as_bytes or len(body) > _MAX_TEXT_BYTES else _text(body)
    if text is None:
        pieces += _cut(body)
    else:
        pieces += [
            text[n : n + _TEXT_CHARACTERS] for n in range(0, max(len(text), 1), _TEXT_CHARACTERS)
        ]
    return {f"body_{n:02d}": piece for n, piece in enumerate(pieces)}


def body_of(columns: Mapping[str, Value]) -> bytes:
    """The bytes that `body_columns` put into a row."""
    packed = [columns[name] for name in sorted(columns) if name.startswith("packed_")]
    if packed:
        return zlib.decompress(b"".join(piece for piece in packed if isinstance(piece, bytes)))
    pieces = [columns[name] for name in sorted(columns) if name.startswith("body_")]
    return b"".join(piece if isinstance(piece, bytes) else str(piece).encode() for piece in pieces)


def _packed_columns(body: bytes) -> dict[str, Value]:
    packed = zlib.compress(body)
    if len(packed) > MAX_BODY_BYTES:
        message = f"a body of {len(body)} bytes fits no row"
        raise RowRejectedError(message, code="body_too_large")
    return {f"packed_{n:02d}": piece for n, piece in enumerate(_cut(packed))}


def _cut(data: bytes) -> list[bytes]:
    return [data[n : n + MAX_BINARY_BYTES] for n in range(0, max(len(data), 1), MAX_BINARY_BYTES)]


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None
