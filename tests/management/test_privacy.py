"""The commands about one person's data: nothing is erased unasked, nothing of the tag is told."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path

import pytest

from shared.backup_room import BackupRoom
from shared.rooms import Rooms
from shared.storage.erasures import ERASED_TAGS
from shared.storage.tables import STORE, TAGS
from tests.management.operator import NOW, Operator


async def test_all_of_a_tag_is_written_to_a_file(operator: Operator, tmp_path: Path) -> None:
    """One JSON object a row, with its message."""
    path = tmp_path / "person.jsonl"

    ran = await operator.run("privacy", "export", "tag-123", "--output", str(path))

    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == f"{len(rows)} rows found (events 5, parked 1, sessions 12, tags 5)\n"
    assert any("TAG123" in row.get("body", "") for row in rows)


async def test_an_erasure_is_counted_asked_and_told(operator: Operator) -> None:
    """Dry first, then in earnest, then there is nothing left."""
    dry = await operator.run("privacy", "erase", "TAG123", "--dry-run")
    unasked = await operator.run("privacy", "erase", "TAG123")
    done = await operator.run("privacy", "erase", "TAG123", "--yes", "--as", "ann", "--json")
    again = await operator.run("privacy", "erase", "TAG123", "--yes")

    assert "rows with the tag (" in dry.err
    assert (unasked.code, unasked.err.split(":")[1]) == (2, " not_confirmed")
    assert done.code == 0
    assert set(done.all("left")) == {0}
    assert again.err == (
        "nothing of this tag is in the store\nthere is no backup that could hold it\n"
    )
    assert operator.tables.rows(TAGS) == []
    assert "TAG123" not in dry.err + unasked.err + done.err + done.out


@pytest.mark.parametrize(("typed", "code"), [("TAG123\n", 0), ("\n", 2)])
async def test_a_tag_can_be_typed(
    monkeypatch: pytest.MonkeyPatch, operator: Operator, typed: str, code: int
) -> None:
    """From standard input it stays out of the shell's history; no tag is wrong usage."""
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))

    ran = await operator.run("privacy", "erase", "-", "--dry-run")

    assert ran.code == code


async def test_a_file_that_cannot_be_written_is_told(operator: Operator, tmp_path: Path) -> None:
    """Wrong usage, with the file's name."""
    ran = await operator.run("privacy", "export", "TAG123", "--output", str(tmp_path))

    assert (ran.code, ran.err.split(":")[1]) == (2, " file_unusable")


async def test_the_last_backup_that_holds_the_tag_is_told(
    operator: Operator,
) -> None:
    """The day on which it is gone for good: its age, the day of its deletion, the soft delete.

    The report in the store names it too, and an erasure of what only backups hold is kept.
    """
    operator.settings |= {"BACKUP_KEEP_DAYS": "20", "BLOB_SOFT_DELETE_DAYS": "7"}
    rooms = Rooms(operator.settings, tables=operator.tables, blobs=operator.blobs)
    await BackupRoom(rooms, clock=lambda: NOW).take(timedelta())

    done = await operator.run("privacy", "erase", "TAG123", "--yes")
    again = await operator.run("privacy", "erase", "TAG123", "--yes")

    gone = (NOW + timedelta(days=20 + 1 + 7)).date().isoformat()
    assert f"the last of them is gone for good on {gone}" in done.err
    assert gone in again.err
    rows = operator.tables.rows(STORE)
    (report,) = [row for row in rows if row.partition == "erasures"]
    assert report.columns["backups_gone"] == gone
    # Before and after the erasure, and for what only the backup holds.
    assert len([row for row in rows if row.partition == ERASED_TAGS]) == 3
