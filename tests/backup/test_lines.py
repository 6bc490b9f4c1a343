"""Rows and blobs come back from their lines as they were."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.backup.lines import blob_of_line, line_of_blob, line_of_row, row_of_line
from shared.backup.parts import PartWriter, lines_of
from shared.errors import BackupError
from shared.storage.rows import Row

VALUES = st.one_of(
    st.text(st.characters(codec=None, exclude_categories=())),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.booleans(),
    st.binary(),
)


@given(st.text(), st.text(), st.dictionaries(st.text(min_size=1), VALUES))
def test_a_row_comes_back(partition: str, key: str, columns: dict[str, str | int | bytes]) -> None:
    """Keys, every kind of value and its type: 1 is not 1.0, and half a surrogate pair stays one."""
    line = line_of_row(Row(partition, key, columns, "etag"))

    row = row_of_line(line)

    assert (row.partition, row.key, row.columns) == (partition, key, columns)
    assert [type(value) for value in row.columns.values()] == [type(v) for v in columns.values()]
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert line.isascii()


def test_what_is_no_number_comes_back() -> None:
    """A column may hold NaN, which JSON does not know."""
    value = row_of_line(line_of_row(Row("p", "k", {"n": math.nan}))).columns["n"]

    assert isinstance(value, float)
    assert math.isnan(value)


@given(st.text(min_size=1), st.binary())
def test_a_blob_comes_back(name: str, content: bytes) -> None:
    """Any bytes under any name."""
    assert blob_of_line(line_of_blob(name, content)) == (name, content)


@pytest.mark.parametrize(
    "line", [b"", b"[]", b'["p","k"]', b'["p","k",{"c":null}]', b'["p","k",7]']
)
def test_a_line_that_is_no_row_is_told(line: bytes) -> None:
    """A damaged backup is no weather."""
    with pytest.raises(BackupError) as error:
        row_of_line(line)
    assert error.value.code == "backup_damaged"


def test_a_part_that_was_altered_is_told() -> None:
    """One byte is enough."""
    writer = PartWriter()
    writer.add(b"[1]\n")
    part, content = writer.finish("b", "events", 7)

    assert list(lines_of(part, content)) == [b"[1]\n"]
    assert (part.lines, part.size) == (1, len(content))
    assert part.digest[:16] in part.name
    with pytest.raises(BackupError):
        list(lines_of(part, content[:-1] + b"x"))


def test_equal_lines_make_equal_parts() -> None:
    """Whenever they are written: what a run that was cut off wrote is written over by the same."""
    made = []
    for _ in range(2):
        writer = PartWriter()
        writer.add(b"[1]\n")
        made.append(writer.finish("b", "events", 7))

    assert made[0] == made[1]
