"""Settings of the command line: the environment over the folder's local.settings.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from management.environment import FILE, load_environment
from shared.errors import SettingError


def write(folder: Path, text: str) -> None:
    (folder / FILE).write_text(text, encoding="utf-8")


def test_without_a_file_the_environment_counts(tmp_path: Path) -> None:
    """No file is no fault."""
    assert load_environment(tmp_path, {"A": "1"}) == {"A": "1"}


def test_the_environment_stands_above_the_file(tmp_path: Path) -> None:
    """Both are read; where both name a setting, the environment's counts."""
    write(tmp_path, json.dumps({"IsEncrypted": False, "Values": {"A": "file", "B": "file"}}))

    assert load_environment(tmp_path, {"A": "environment", "C": "environment"}) == {
        "A": "environment",
        "B": "file",
        "C": "environment",
    }


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    """Editors of Windows write one."""
    write(tmp_path, "\ufeff" + json.dumps({"Values": {"A": "1"}}))

    assert load_environment(tmp_path, {}) == {"A": "1"}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("not json", "cannot be read"),
        ("", "cannot be read"),
        ("[]", "has no object Values of texts"),
        ("{}", "has no object Values of texts"),
        ('{"Values": []}', "has no object Values of texts"),
        ('{"Values": {"A": 1}}', "has no object Values of texts"),
        ('{"IsEncrypted": true, "Values": {"A": "1"}}', "is encrypted"),
    ],
)
def test_a_file_that_cannot_be_used_is_told(tmp_path: Path, text: str, what: str) -> None:
    """A wrong file is never ignored: the message names it, what is wrong and what to do."""
    write(tmp_path, text)

    with pytest.raises(SettingError, match=f"{FILE} {what}") as error:
        load_environment(tmp_path, {})

    assert "Example: " in str(error.value) or "What to do: " in str(error.value)


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are no settings."""
    (tmp_path / FILE).write_bytes(b"\xff\xfe\x00")

    with pytest.raises(SettingError, match="cannot be read"):
        load_environment(tmp_path, {})
