"""What a command prints: lines of a table for people, or one JSON object a line for programs.

Rows are printed as they come, whatever their number: nothing is held back to be laid out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from management.words import counted

_CUT = "…"


class Output:
    """Prints rows of named fields, and messages beside them."""

    def __init__(
        self, *, as_json: bool, out: TextIO | None = None, err: TextIO | None = None
    ) -> None:
        self.as_json = as_json
        self._out = out or sys.stdout
        self._err = Console(file=err or sys.stderr, highlight=False, soft_wrap=True, emoji=False)
        self._widths: dict[str, int] = {}
        self._progress: tuple[str, Progress] | None = None

    def columns(self, widths: Mapping[str, int]) -> None:
        """Begin a table: the fields that people see and the characters that each may take.

        A width of 0 takes what it needs: for the last column.
        """
        self._widths = dict(widths)
        if not self.as_json:
            self._line([name.upper().replace("_", " ") for name in widths])

    def row(self, fields: Mapping[str, Any]) -> None:
        """Print one row: the table's columns, or all fields as JSON."""
        if self.as_json:
            print(json.dumps(fields, ensure_ascii=False), file=self._out)
        else:
            self._line([_shown(fields.get(name)) for name in self._widths])

    def _line(self, cells: Sequence[str]) -> None:
        widths = self._widths.values()
        fitted = [_fit(cell, width) for cell, width in zip(cells, widths, strict=True)]
        print("  ".join(fitted).rstrip(), file=self._out)

    def say(self, text: str) -> None:
        """Tell a person something that is no row: on standard error, so that pipes stay clean."""
        self._err.print(text, markup=False)

    def error(self, code: str, message: str) -> None:
        """Tell what went wrong: a stable code, what is wrong, what to do."""
        self.say(f"error: {code}: {message}")

    def progress(self, what: str, total: int | None) -> Progress:
        """A progress bar on standard error, gone when done; nothing where that is no terminal.

        Where the total is not known, the bar tells how many are done.
        """
        progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._err,
            transient=True,
            disable=self.as_json or not self._err.is_terminal,
        )
        progress.add_task(what, total=total)
        self._progress = what, progress
        return progress

    def how_far(self) -> str:
        """How far the last progress had come, in words; empty where nothing was begun."""
        if self._progress is None:
            return ""
        what, progress = self._progress
        (task,) = progress.tasks
        if task.description != what or not task.completed:
            return "" if task.description == what else task.description
        return counted(int(task.completed), what)


def _shown(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float() if value.is_integer():
            return f"{value:.0f}"
        case list() | tuple():
            return ", ".join(map(str, value))
        case _:
            return str(value)


def _fit(text: str, width: int) -> str:
    line = " ".join(text.split())
    if not line.isprintable():
        # Ids and messages come from outside: what commands a terminal is shown, not obeyed.
        line = "".join(each if each.isprintable() else "\ufffd" for each in line)
    if not width:
        return line
    return line.ljust(width) if len(line) <= width else line[: width - 1] + _CUT
