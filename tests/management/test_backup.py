"""The commands about backups: taken by hand, listed; restoring is in tests/backup."""

from __future__ import annotations

from shared.storage.containers import BACKUPS
from tests.management.operator import Operator


async def test_a_backup_is_taken_and_listed(operator: Operator) -> None:
    """Whole, with its rows and blobs by table, its size, and the day after which it is deleted."""
    none = await operator.run("backup", "list")
    taken = await operator.run("backup", "take")
    listed = await operator.run("backup", "list", "--json")

    assert none.err == "0 backups\n"
    assert taken.code == 0
    assert "is whole" in taken.err
    (row,) = listed.rows
    assert (row["state"], row["blobs"]) == ("whole", 0)
    assert row["rows"] == sum(row["counts"].values()) > 20
    assert row["backup"] in taken.err
    assert row["deleted_after"] > row["begun"][:10]
    assert "1 backup; what they hold is gone for good on " in listed.err


async def test_a_damaged_manifest_is_told(operator: Operator) -> None:
    """It is listed as damaged, the others are listed all the same, and the exit code says so."""
    await operator.run("backup", "take")
    await operator.blobs.put(BACKUPS, "manifests/20200101T000000Z.json", b"{")

    listed = await operator.run("backup", "list", "--json")

    assert listed.code == 1
    assert [row["state"] for row in listed.rows] == ["backup_damaged", "whole"]
