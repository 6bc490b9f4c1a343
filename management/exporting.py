"""Rows into a file as they come: CSV, JSON lines or Parquet, with a bounded number at hand."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TextIO

from shared.errors import PermanentError
from shared.instants import format_instant
from shared.sessions.columns import Column, Kind

FORMATS = ("csv", "jsonl", "parquet")
ROWS_AT_HAND = 1_000
"""Rows that are held as they are read."""

BATCHES_IN_A_GROUP = 10
"""Times so many, as Arrow's columns, a tenth of their size: a row group, which readers take whole.

Smaller groups would cost memory, not save it: the file's end tells of each column of each group,
and is held until then.
"""

_FORMULA = re.compile(r"[=+\-@\t\r](?!(?:(?<=[+\-])\d+(?:\.\d+)?)\Z)")
"""What a spreadsheet takes for the beginning of a formula; a number with a sign is none."""

type Fields = Mapping[str, Any]


class Writer(Protocol):
    """Writes rows of one format."""

    def write(self, rows: Sequence[Fields]) -> None:
        """Write rows after those that were written before."""
        ...

    def close(self) -> None:
        """Write what ends the file; the file itself is the caller's."""
        ...


class _Csv:
    """CSV, UTF-8, RFC 4180, a line of names first.

    A text that a spreadsheet would take for a formula gets an apostrophe in front.
    """

    def __init__(self, out: BinaryIO, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._text = TextIOWrapper(out, "utf-8", newline="")
        self._csv = csv.writer(self._text)
        self._csv.writerow([column.name for column in columns])

    def write(self, rows: Sequence[Fields]) -> None:
        for row in rows:
            self._csv.writerow([_cell(each.kind, row[each.name]) for each in self._columns])
        self._text.flush()

    def close(self) -> None:
        self._text.flush()
        self._text.detach()


def _cell(kind: Kind, value: object) -> object:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return format_instant(value)
        case str() if kind is Kind.TEXT and _FORMULA.match(value):
            return f"'{value}"
        case _:
            return value


class _JsonLines:
    """One JSON object a line; what is not known is null."""

    def __init__(self, out: BinaryIO, _columns: Sequence[Column]) -> None:
        self._out = out

    def write(self, rows: Sequence[Fields]) -> None:
        for row in rows:
            self._out.write(json.dumps(row, default=format_instant).encode() + b"\n")
        self._out.flush()

    def close(self) -> None:
        self._out.flush()


class _Parquet:
    """Parquet, Zstandard: rows become columns at once, and a row group when there are enough."""

    def __init__(self, out: BinaryIO, columns: Sequence[Column]) -> None:
        try:
            import pyarrow as pa  # noqa: PLC0415 - 0.3 s, and only this format needs it
            from pyarrow import parquet  # noqa: PLC0415
        except ImportError as error:
            message = "Parquet needs the package pyarrow. What to do: run `python dev.py setup`"
            raise PermanentError(message, code="package_missing") from error
        kinds = {
            Kind.TEXT: pa.string(),
            Kind.NUMBER: pa.float64(),
            Kind.COUNT: pa.int64(),
            Kind.INSTANT: pa.timestamp("us", tz="UTC"),
            Kind.FLAG: pa.bool_(),
        }
        self._schema = pa.schema([(column.name, kinds[column.kind]) for column in columns])
        self._batch = pa.RecordBatch.from_pylist
        self._table = pa.Table.from_batches
        self._parquet = parquet.ParquetWriter(out, self._schema, compression="zstd")
        self._group: list[Any] = []

    def write(self, rows: Sequence[Fields]) -> None:
        if rows:
            self._group.append(self._batch(list(rows), schema=self._schema))
        if len(self._group) == BATCHES_IN_A_GROUP:
            self._write_group()

    def _write_group(self) -> None:
        if self._group:
            self._parquet.write_table(self._table(self._group, schema=self._schema))
            self._group.clear()

    def close(self) -> None:
        self._write_group()
        self._parquet.close()


_WRITERS: Mapping[str, Callable[[BinaryIO, Sequence[Column]], Writer]] = {
    "csv": _Csv,
    "jsonl": _JsonLines,
    "parquet": _Parquet,
}


async def export(
    rows: AsyncIterator[Fields],
    out: BinaryIO,
    columns: Sequence[Column],
    name: str,
    told: Callable[[int], None],
) -> int:
    """Write rows in the format of that name; how many there were. `told` is called with more.

    Raises:
        PermanentError: `package_missing`: the format needs a package that is not there.
    """
    writer = _WRITERS[name](out, columns)
    # Texts go out as they come, so that a reader of a pipe does not wait; a row group is whole.
    at_hand = ROWS_AT_HAND if name == "parquet" else 1
    batch: list[Fields] = []
    count = 0
    async for row in rows:
        batch.append(row)
        count += 1
        if len(batch) >= at_hand:
            writer.write(batch)
            told(len(batch))
            batch.clear()
            at_hand = min(2 * at_hand, ROWS_AT_HAND)
    writer.write(batch)
    writer.close()
    told(len(batch))
    return count


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name when it is whole; what is cut off leaves nothing.

    What is there already and is no file (a device, a named pipe) is written to as it is.

    Raises:
        OSError: The file cannot be written.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as out:
            yield out
        return
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as out:
            yield out
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_text(path: Path) -> Iterator[TextIO]:
    """The same for a text: UTF-8, its ends of lines as they are written.

    Raises:
        OSError: The file cannot be written.
    """
    with whole_file(path) as out:
        text = TextIOWrapper(out, "utf-8", newline="")
        try:
            yield text
        finally:
            # Writes what is left; the file under it is closed by whom it belongs to.
            text.detach()
