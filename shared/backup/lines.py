"""Rows and blobs as lines of JSON, and back, without loss. Pure.

A row is `[partition, key, {column: value}]`, a blob `[name, base64]`. Texts, numbers and booleans
are JSON's own, a whole number stays one, and bytes are `{"bytes": base64}`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from shared.errors import BackupError
from shared.storage.rows import Row, Value


def line_of_row(row: Row) -> bytes:
    """The line of a row: its keys and columns; what the store adds to it is left out."""
    columns = {name: _told(value) for name, value in row.columns.items()}
    return _line([row.partition, row.key, columns])


def row_of_line(line: bytes) -> Row:
    """The row of a line.

    Raises:
        BackupError: It is no line of a row.
    """
    try:
        partition, key, columns = json.loads(line)
        return Row(partition, key, {name: _read(value) for name, value in columns.items()})
    except (ValueError, TypeError, AttributeError) as error:
        message = "a line of the backup is no row"
        raise BackupError(message, code="backup_damaged") from error


def line_of_blob(name: str, content: bytes) -> bytes:
    """The line of a blob."""
    return _line([name, base64.b64encode(content).decode()])


def blob_of_line(line: bytes) -> tuple[str, bytes]:
    """The name and the content of a line.

    Raises:
        BackupError: It is no line of a blob.
    """
    try:
        name, content = json.loads(line)
        return name, base64.b64decode(content, validate=True)
    except (ValueError, TypeError) as error:
        message = "a line of the backup is no blob"
        raise BackupError(message, code="backup_damaged") from error


def _line(value: list[Any]) -> bytes:
    # ASCII only: a text of a column may hold half of a surrogate pair, which UTF-8 has no form for.
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _told(value: Value) -> Value | Mapping[str, str]:
    return {"bytes": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _read(value: Any) -> Value:  # noqa: ANN401 - JSON is any of its types
    if isinstance(value, dict):
        return base64.b64decode(value["bytes"], validate=True)
    if not isinstance(value, str | int | float):
        raise TypeError(value)
    return value
