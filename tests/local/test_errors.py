"""Errors for people: one form, and a table of the codes that leaves none out."""

from __future__ import annotations

import re
from pathlib import Path

from local import errors
from local.errors import LocalError

CHECKOUT = Path(__file__).resolve().parents[2]
CODE = re.compile(r'(LocalError|InstallationError|super\(\).__init__)\(\s*"([a-z]+(?:_[a-z]+)+)"')


def codes_in(*files: Path) -> set[str]:
    return {code for file in files for _, code in CODE.findall(file.read_text("utf-8"))}


def codes_of_table(text: str) -> set[str]:
    return set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))


def test_an_error_has_one_form() -> None:
    """Code, what is wrong, and what to do, in one line."""
    error = LocalError("port_in_use", "port 1 is taken", "choose another")
    assert str(error) == "error: port_in_use: port 1 is taken. What to do: choose another."
    quoting = LocalError("start_failed", "it said: away.", "start again.")
    assert str(quoting) == "error: start_failed: it said: away. What to do: start again."


def test_each_code_of_the_local_azure_is_in_its_table() -> None:
    """Every code that the modules beside the table, or the commands, raise is explained there."""
    local = CHECKOUT / "local"
    used = codes_in(*local.glob("*.py"), *(local / "commands").rglob("*.py"))

    assert used >= {"port_in_use", "start_failed", "func_missing", "data_in_use"}
    assert used <= codes_of_table(errors.__doc__ or "")


def test_each_code_of_the_entry_is_in_its_table() -> None:
    """The entry's table has the codes of its installation, and no other."""
    entry = CHECKOUT / "dev.py"
    used = codes_in(entry, *(CHECKOUT / "local" / "installation").glob("*.py"))

    assert used == codes_of_table(entry.read_text("utf-8"))
