"""Exported sessions: whole files, the same in each format, safe to open, in bounded memory."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import sys
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow.parquet
import pytest

from management.exporting import FORMATS, export, whole_file
from shared.errors import StoreUnavailableError
from shared.sessions.columns import COLUMNS, exported
from shared.storage.rows import Row, Value
from tests import payloads
from tests.management.operator import Operator


def names_in(folder: Path) -> list[str]:
    """The files of a folder."""
    return [each.name for each in folder.iterdir()]


async def exported_file(operator: Operator, path: Path, *arguments: str) -> bytes:
    """The file that a command wrote."""
    ran = await operator.run("sessions", "export", "--output", str(path), *arguments)
    assert (ran.code, ran.out) == (0, "")
    return path.read_bytes()  # noqa: ASYNC240 - a small file


def read(content: bytes, name: str) -> list[dict[str, Any]]:
    """What a reader of the format finds."""
    match name:
        case "csv":
            return list(csv.DictReader(io.StringIO(content.decode("utf-8"))))
        case "jsonl":
            return [json.loads(line) for line in content.splitlines()]
        case _:
            rows: list[dict[str, Any]] = pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist()
            return rows


async def test_all_formats_say_the_same(operator: Operator, tmp_path: Path) -> None:
    """The same sessions with the same columns in their order, each in the format's own types."""
    files = {
        name: read(await exported_file(operator, tmp_path / name, "--format", name), name)
        for name in FORMATS
    }

    for rows in files.values():
        assert len(rows) == 4
        assert all(list(row) == [column.name for column in COLUMNS] for row in rows)
    in_csv, in_json, in_parquet = files["csv"], files["jsonl"], files["parquet"]
    for text, told, typed in zip(in_csv, in_json, in_parquet, strict=True):
        assert {name: value for name, value in text.items() if value} == {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in told.items()
            if value is not None
        }
        start = datetime.fromisoformat(told["start"])
        assert (typed["start"], typed["energy_wh"]) == (start, told["energy_wh"])
        assert typed["start"].tzinfo is not None


async def test_filters_choose(operator: Operator, tmp_path: Path) -> None:
    """Those of `sessions list`, and by finding."""
    await operator.ingest(payloads.full_v2(consumptionWh=1))
    path = tmp_path / "x"

    async def chargers(*arguments: str) -> list[str]:
        content = await exported_file(operator, path, "--format", "jsonl", *arguments)
        return sorted(row["charger"] for row in read(content, "jsonl"))

    assert await chargers("--state", "open") == ["CH-0043"]
    assert await chargers("--finding", "stop_conflict") == ["CH-0042"]
    assert await chargers("--finding", "any") == ["CH-0042", "CH-0044", "CH-0045"]
    assert await chargers("--finding", "meter_start_zero") == []
    assert await chargers("--from", "2026-11-03") == ["CH-0044"]
    assert await chargers("--touching", "--from", "2026-11-03T00:00:01Z") == ["CH-0043"]
    assert len(await chargers("--limit", "2")) == 2


@pytest.mark.parametrize("text", ["=1+1", "+1+A1", "-1-A1", "-x", "@x"])
async def test_no_text_becomes_a_formula(operator: Operator, tmp_path: Path, text: str) -> None:
    """What a spreadsheet would run begins with an apostrophe; numbers stay numbers."""
    await operator.ingest(
        payloads.full_v2(chargerId="CH-9", siteId=text, meterReadEnd=-5, consumptionWh=-1)
    )

    content = await exported_file(operator, tmp_path / "x", "--charger", "CH-9")

    (row,) = read(content, "csv")
    assert row["site"] == f"'{text}"
    assert (row["energy_wh"], row["meter_end_wh"]) == ("-1.0", "-5.0")


def test_what_is_cut_off_leaves_nothing(tmp_path: Path) -> None:
    """A file has its name when it is whole; the one of before stays."""
    path = tmp_path / "sessions.csv"
    path.write_bytes(b"before")

    with pytest.raises(TypeError), whole_file(path) as out:
        out.writelines([b"half", None])  # type: ignore[list-item] # what fails in the middle

    assert names_in(tmp_path) == ["sessions.csv"]
    assert path.read_bytes() == b"before"


@pytest.mark.parametrize(
    ("words", "source"),
    [
        ("tags export", "management.commands.tags_reading._tags"),
        ("groups export", "management.commands.groups.all_groups"),
        ("privacy export TAG123 --output", "management.commands.privacy.Search.all"),
        ("sessions export --output", "management.commands.sessions_export.wanted_rows"),
        ("findings export --output", "management.commands.findings_acting.read_findings"),
    ],
)
async def test_no_export_leaves_half_a_file(
    operator: Operator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    source: str,
) -> None:
    """A store that goes away in the middle leaves the file of before, and nothing beside it."""

    async def gone(*_arguments: object) -> AsyncIterator[Any]:
        for nothing in list[Any]():
            yield nothing
        raise StoreUnavailableError("away")

    monkeypatch.setattr(source, gone)
    path = tmp_path / "x"
    path.write_bytes(b"before")

    with pytest.raises(StoreUnavailableError):
        await operator.run(*words.split(), str(path))

    assert names_in(tmp_path) == ["x"]
    assert path.read_bytes() == b"before"


async def test_a_place_that_cannot_be_written_is_wrong_usage(
    operator: Operator, tmp_path: Path
) -> None:
    """Exit 2, with the file's name."""
    ran = await operator.run("sessions", "export", "--output", str(tmp_path / "no" / "x.csv"))

    assert (ran.code, ran.err.split(":")[1]) == (2, " file_unusable")


async def test_rows_go_to_standard_output_as_they_come(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a file, for a pipe: the rows and nothing else."""
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out))

    ran = await operator.run("sessions", "export", "--format", "jsonl")

    assert len(read(out.getvalue(), "jsonl")) == 4
    assert ran.err == "4 sessions\n"


def summary(number: int) -> Row:
    columns: dict[str, Value] = {
        "charger": f"CH-{number % 50_000:05}",
        "transaction": str(number),
        "state": "ended",
        "sources": "start,stop",
        "start": "2026-11-02T09:11:32.400000Z",
        "end": "2026-11-02T10:41:43.633143Z",
        "energy_wh": float(number),
        "tag": f"TAG{number}",
    }
    return Row("1", f"CH-{number % 50_000:05}|{number}|!", columns)


class Counting(io.RawIOBase):
    """Takes bytes and forgets them; notes how many rows were read when the first came out."""

    def __init__(self) -> None:
        super().__init__()
        self.rows_read = 0
        self.first_after: int | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self.rows_read and self.first_after is None:
            self.first_after = self.rows_read
        return len(data)


async def peak(name: str, count: int) -> tuple[int, int | None]:
    """The most memory that an export of so many sessions took, and the rows before the first."""
    sink = Counting()

    async def rows() -> AsyncIterator[dict[str, Any]]:
        for number in range(count):
            sink.rows_read += 1
            yield exported(summary(number))

    out: BinaryIO = io.BufferedWriter(sink)
    tracemalloc.start()
    try:
        assert await export(rows(), out, COLUMNS, name, lambda _more: None) == count
        return tracemalloc.get_traced_memory()[1], sink.first_after
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["csv", "jsonl"])
async def test_memory_does_not_grow_with_the_rows(name: str) -> None:
    """Ten times the sessions take less than 1 MB more for each 10,000; the first comes at once."""
    await peak(name, 10)
    few, _ = await peak(name, 1_500)
    many, first_after = await peak(name, 15_000)

    assert (many - few) / 1.35 < 1_000_000
    assert first_after is not None
    assert first_after <= 2


async def test_parquet_is_written_in_row_groups(tmp_path: Path) -> None:
    """10,000 rows at most are held: a file of 21,000 has three groups."""

    async def rows() -> AsyncIterator[dict[str, Any]]:
        for number in range(21_000):
            if number % 1_000 == 0:
                await asyncio.sleep(0)
            yield exported(summary(number))

    path = tmp_path / "x.parquet"
    with whole_file(path) as out:
        await export(rows(), out, COLUMNS, "parquet", lambda _more: None)

    metadata = pyarrow.parquet.ParquetFile(path).metadata
    assert (metadata.num_row_groups, metadata.num_rows) == (3, 21_000)
    table = pyarrow.parquet.read_table(path, columns=["energy_wh", "start"])
    assert table["energy_wh"].to_pylist()[-1] == 20_999.0
    assert table["start"][0].as_py() == datetime(2026, 11, 2, 9, 11, 32, 400_000, tzinfo=UTC)
