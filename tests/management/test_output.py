"""Output: rows for people or for programs on one side, messages on the other."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from management.output import Output


class Printed:
    """An output and what it printed."""

    def __init__(self, *, as_json: bool = False) -> None:
        self._out, self._err = io.StringIO(), io.StringIO()
        self.output = Output(as_json=as_json, out=self._out, err=self._err)

    @property
    def lines(self) -> list[str]:
        return self._out.getvalue().removesuffix("\n").split("\n") if self._out.getvalue() else []

    @property
    def messages(self) -> str:
        return self._err.getvalue()


def test_rows_for_people_are_a_table() -> None:
    """A heading, then a line a row: columns of one width, the last as long as it is."""
    printed = Printed()

    printed.output.columns({"charger": 8, "last_seen": 10, "detail": 0})
    printed.output.row({"charger": "CH-1", "last_seen": None, "detail": "x" * 50, "more": 1})
    printed.output.row({"charger": "CH-1234567", "last_seen": "2026"})

    assert printed.lines == [
        "CHARGER   LAST SEEN   DETAIL",
        f"CH-1                  {'x' * 50}",
        "CH-1234…  2026",
    ]
    assert printed.messages == ""


def test_rows_for_programs_are_one_object_a_line() -> None:
    """All fields of a row, also those that people do not see, and no heading."""
    printed = Printed(as_json=True)

    printed.output.columns({"charger": 8})
    printed.output.row({"charger": "Säule 🚗\n", "flags": ["a"], "socket": None})
    printed.output.row({"charger": "CH-1"})

    assert [json.loads(line) for line in printed.lines] == [
        {"charger": "Säule 🚗\n", "flags": ["a"], "socket": None},
        {"charger": "CH-1"},
    ]
    assert "Säule 🚗" in printed.lines[0]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "yes"),
        (False, "no"),
        (12300.0, "12300"),
        (0.5, "0.5"),
        (7, "7"),
        (["a", "b"], "a, b"),
        (("a",), "a"),
        ([], ""),
        ("a\n b\tc", "a b c"),
        ("x" * 31, "x" * 29 + "…"),
        ("x" * 30, "x" * 30),
    ],
)
def test_values_are_shown_to_people(value: object, shown: str) -> None:
    """Nothing is empty, yes and no are words, whole numbers have no point, long texts are cut."""
    printed = Printed()

    printed.output.columns({"value": 30})
    printed.output.row({"value": value})

    assert printed.lines[1] == shown


@pytest.mark.parametrize("hostile", ["\x1b[2J\x1b]0;title\x07", "a\x9b31m", "\u202etxt", "\x00"])
@pytest.mark.parametrize("width", [0, 60])
def test_what_a_charger_sends_commands_no_terminal(hostile: str, width: int) -> None:
    """Ids and messages come from outside: control characters are shown as a mark, not obeyed."""
    printed = Printed()

    printed.output.columns({"value": width})
    printed.output.row({"value": f"a{hostile}b"})

    assert printed.lines[1].isprintable()
    assert printed.lines[1].startswith("a")
    assert printed.lines[1].endswith("b")


@pytest.mark.parametrize(
    "text", ["[bold]x[/bold]", "at :100: and :smile:", "2026-11-02T09:11:32Z", "x" * 300]
)
def test_messages_are_printed_as_they_are(text: str) -> None:
    """A message is neither marked up nor wrapped, and it goes to standard error."""
    printed = Printed()

    printed.output.say(text)
    printed.output.error("setting_wrong", text)

    assert printed.messages == f"{text}\nerror: setting_wrong: {text}\n"
    assert printed.lines == []


@pytest.mark.parametrize("as_json", [True, False])
def test_progress_is_silent_where_nobody_looks(as_json: bool) -> None:  # noqa: FBT001 - a parameter
    """Where standard error is no terminal, a progress bar prints nothing."""
    printed = Printed(as_json=as_json)

    with printed.output.progress("tags", 3) as progress:
        progress.advance(progress.task_ids[0], 3)

    assert printed.messages == ""
    assert printed.lines == []


def test_json_is_whole_whatever_the_values() -> None:
    """A row for programs is on one line even where its texts are not."""
    printed = Printed(as_json=True)
    row: dict[str, Any] = {"body": '{"a":\n"\x1b\u2028"}', "n": 1.5}

    printed.output.row(row)

    assert [json.loads(line) for line in printed.lines] == [row]
