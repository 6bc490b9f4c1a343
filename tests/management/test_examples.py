"""Each command's help shows how it is called, by lines that work."""

from __future__ import annotations

import shlex

import pytest

from management.commands import COMMANDS
from management.examples import EXAMPLES
from management.main import parser
from management.usage import wrong_range

NAMES = [command.name for command in COMMANDS]


def test_each_command_has_examples_and_nothing_else_has() -> None:
    """A command that comes or goes brings or takes its examples."""
    assert list(EXAMPLES) == NAMES
    assert all(EXAMPLES.values())


@pytest.mark.parametrize("name", NAMES)
def test_each_example_is_one_that_the_command_takes(name: str) -> None:
    """What stands before a shell's `|`, `<` or `>` is read as that command, with right values."""
    for example in EXAMPLES[name]:
        words = shlex.split(example)
        ends = [words.index(sign) for sign in ("|", "<", ">") if sign in words]

        options = parser().parse_args(words[: min(ends, default=len(words))])

        assert options.command.name == name
        assert wrong_range(options) is None


@pytest.mark.parametrize("name", NAMES)
def test_help_shows_them(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each stands on a line of its own below the arguments, as it is typed."""
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([*name.split(), "--help"])

    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    for example in EXAMPLES[name]:
        assert f"  python manage.py {example}" in lines
