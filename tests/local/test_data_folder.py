"""The data folder: secrets that stay, one run at a time, emptied only when it is ours."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from local.data_folder import SECRET_NAMES, DataFolder
from local.errors import LocalError


def test_secrets_are_made_once(tmp_path: Path) -> None:
    """A restart finds the secrets of before, long enough for the app, in a file of one's own."""
    first = DataFolder.open(tmp_path / "data")
    first.close()
    second = DataFolder.open(tmp_path / "data")
    second.close()

    assert first.secrets == second.secrets
    assert first.secrets.keys() == set(SECRET_NAMES)
    assert all(len(value) >= 32 for value in first.secrets.values())
    assert len(set(first.secrets.values())) == len(SECRET_NAMES)
    if sys.platform != "win32":
        mode = stat.S_IMODE((tmp_path / "data" / "secrets.json").stat().st_mode)
        assert mode == 0o600


def test_a_second_run_is_refused(tmp_path: Path) -> None:
    """While one run has the folder another one is told so; afterwards it may."""
    first = DataFolder.open(tmp_path)
    with pytest.raises(LocalError, match="data_in_use"):
        DataFolder.open(tmp_path)
    first.close()

    DataFolder.open(tmp_path).close()


def test_a_reset_empties_what_is_ours(tmp_path: Path) -> None:
    """`reset` removes the data and the secrets."""
    before = DataFolder.open(tmp_path)
    (tmp_path / "azurite").mkdir()
    (tmp_path / "azurite" / "table.json").write_text("{}")
    before.close()

    after = DataFolder.open(tmp_path, reset=True)
    after.close()

    assert not (tmp_path / "azurite").exists()
    assert before.secrets != after.secrets


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A file where the folder should be is an error with a code."""
    (tmp_path / "file").touch()

    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(LocalError, match="folder_unusable: "):
            DataFolder.open(path)


def test_a_reset_leaves_what_is_not_ours(tmp_path: Path) -> None:
    """A folder with somebody else's files is refused, and nothing in it is touched."""
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(LocalError, match="data_folder_foreign"):
        DataFolder.open(tmp_path, reset=True)

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
