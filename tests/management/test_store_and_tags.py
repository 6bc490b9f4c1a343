"""Making the store and importing tags: all or nothing, and never into a store of others."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import OtherStoreError, SettingError
from shared.storage.containers import ALL_CONTAINERS
from shared.storage.memory import MemoryTables
from shared.storage.memory_blobs import MemoryBlobs
from shared.storage.requests import counted
from shared.storage.tables import ALL_TABLES, STORE, TAGS
from shared.tags.records import tag_from_row
from tests.management.operator import Operator


async def test_a_store_is_made_once() -> None:
    """All tables are made and the store is stamped; again it changes nothing."""
    operator = Operator()
    operator.tables = MemoryTables()
    operator.blobs = MemoryBlobs()

    made = await operator.run("store", "create", "--json")
    again = await operator.run("store", "create", "--json")

    assert tuple(made.all("name")) == (*ALL_TABLES, *ALL_CONTAINERS)
    assert made.all("kind") == ["table"] * len(ALL_TABLES) + ["container"] * len(ALL_CONTAINERS)
    assert (again.code, again.out) == (0, "")
    assert again.err == "0 tables and 0 containers made; the others were there\n"
    roster, stamp = operator.tables.rows(STORE)
    assert (roster.partition, roster.columns["whole"]) == ("roster", True)
    assert stamp.columns == {"schema": 1, "environment": "test", "buckets": 4}


async def test_a_missing_table_is_added() -> None:
    """A release that brings a table needs only this command."""
    operator = Operator()
    operator.tables = MemoryTables(*(name for name in ALL_TABLES if name != TAGS))

    assert (await operator.run("store", "create", "--json")).all("name") == [TAGS]


@pytest.mark.parametrize(
    "wrong",
    [{"EMABLER_ENVIRONMENT": ""}, {"STORE_BUCKETS": "many"}],
    ids=["environment", "buckets"],
)
async def test_no_store_is_made_of_wrong_settings(wrong: dict[str, str]) -> None:
    """A stamp cannot be changed: without what it says, nothing is made."""
    operator = Operator()
    operator.tables = MemoryTables()
    operator.settings |= wrong

    with pytest.raises(SettingError, match=next(iter(wrong))):
        await operator.run("store", "create")

    assert await operator.tables.create_table(STORE)


async def test_the_store_of_another_environment_is_left_alone() -> None:
    """Making a store that belongs to another environment is refused."""
    operator = Operator()
    await operator.run("store", "create")
    operator.settings["EMABLER_ENVIRONMENT"] = "production"

    with pytest.raises(OtherStoreError):
        await operator.run("store", "create")


@pytest.fixture
def tags_csv(tmp_path: Path) -> Path:
    path = tmp_path / "tags.csv"
    path.write_text(
        "tag,blocked,valid_until\n04:A2,no,\n04a2,no,\n05,maybe,\n06,yes,2027-01-01\n",
        encoding="utf-8",
    )
    return path


async def test_wrong_lines_write_nothing(operator: Operator, tags_csv: Path) -> None:
    """Each wrong line is listed, and the file is left for its owner to mend: exit 1."""
    before = operator.tables.rows(TAGS)

    ran = await operator.run("tags", "import", str(tags_csv), "--json")

    assert ran.code == 1
    assert ran.rows == [
        {"line": 3, "fault": "the same tag as in line 2"},
        {"line": 4, "fault": "blocked is none of yes, no, true, false, 1, 0"},
    ]
    assert ran.err.startswith("error: lines_wrong: wrong lines: 2 of 4, so nothing was written.")
    assert operator.tables.rows(TAGS) == before
    assert operator.tables.rows(STORE) == []


async def test_right_lines_are_written_when_asked(operator: Operator, tags_csv: Path) -> None:
    """With --skip-invalid the right lines are in the store; the wrong ones still exit 1."""
    ran = await operator.run("tags", "import", str(tags_csv), "--skip-invalid")

    assert (ran.code, ran.err) == (1, "2 tags: 2 new, 0 changed, 0 same\n")
    tags = [row for row in operator.tables.rows(TAGS) if row.key.startswith("tag|")]
    assert {tag_from_row(row).tag for row in tags} == {"04:A2", "06"}


@pytest.mark.parametrize("more", [(), ("--skip-invalid",)])
async def test_a_dry_run_writes_nothing(
    operator: Operator, tags_csv: Path, more: tuple[str, ...]
) -> None:
    """The same faults and the same exit code, what would come of each line, and no write."""
    with counted() as requests:
        ran = await operator.run("tags", "import", str(tags_csv), "--dry-run", "--json", *more)

    assert ran.code == 1
    assert not [purpose for purpose in requests.by_purpose if "write" in purpose]
    assert ("2 tags: 2 new, 0 changed, 0 same; nothing was written" in ran.err) == bool(more)
    assert [row for row in ran.rows if "outcome" in row] == (
        [{"line": n, "outcome": "new", "changes": []} for n in (2, 5)] if more else []
    )


async def test_a_right_file_is_imported(operator: Operator, tmp_path: Path) -> None:
    """Exit 0, how many on standard error, and no tag on any stream."""
    path = tmp_path / "tags.csv"
    path.write_bytes("\ufefftag\r\nSECRET-1\r\nSECRET-2\r\n".encode())

    dry = await operator.run("tags", "import", str(path), "--dry-run")
    ran = await operator.run("tags", "import", str(path))

    assert dry.code == 0
    assert dry.err == "2 tags: 2 new, 0 changed, 0 same; nothing was written\n"
    assert (ran.code, ran.out, ran.err) == (0, "", "2 tags: 2 new, 0 changed, 0 same\n")
    assert "SECRET" not in dry.out
    assert [row.partition for row in operator.tables.rows(STORE)] == ["stamp"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"tag;blocked\nA;no\n", "unknown: tag;blocked"),
        (b"", "the first line has to name the columns"),
        (b"tag\n\xff\n", "can't decode byte"),
        (None, "No such file or directory"),
    ],
)
async def test_an_unusable_file_is_wrong_usage(
    operator: Operator, tmp_path: Path, content: bytes | None, what: str
) -> None:
    """A file that is none of tags is exit 2 with its name and what is wrong."""
    path = tmp_path / "tags.csv"
    if content is not None:
        path.write_bytes(content)

    ran = await operator.run("tags", "import", str(path))

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: file_unusable: {path}: ")
    assert what in ran.err


async def test_tags_need_a_hash_key(operator: Operator, tags_csv: Path) -> None:
    """Without the key no row could be named: exit 2, and the setting is named."""
    operator.settings["TAG_HASH_KEY"] = "short"

    ran = await operator.run("tags", "import", str(tags_csv))

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: setting_wrong: TAG_HASH_KEY has 5 characters")


async def test_tags_go_to_the_app_s_own_store_only(operator: Operator, tmp_path: Path) -> None:
    """An import into a store of another environment is refused whole."""
    path = tmp_path / "tags.csv"
    path.write_text("tag\nA\n", encoding="utf-8")
    await operator.run("store", "create")
    before = operator.tables.rows(TAGS)
    operator.settings["EMABLER_ENVIRONMENT"] = "production"

    with pytest.raises(OtherStoreError):
        await operator.run("tags", "import", str(path))

    assert operator.tables.rows(TAGS) == before
