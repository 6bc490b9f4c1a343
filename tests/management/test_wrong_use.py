"""What people type wrong: each is told with a code and what to do, and nothing is done."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from management.main import parser, run
from tests.management.operator import Operator

A_DAY = ("--from", "2026-11-05", "--to", "2026-11-01")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DataStorageConnection", raising=False)


@pytest.mark.parametrize(
    ("typed", "what", "whose"),
    [
        ("", "the following arguments are required: COMMAND", "manage.py"),
        ("events", "the following arguments are required: VERB", "manage.py events"),
        ("events list --frob", "unrecognized arguments: --frob", "manage.py events list"),
        ("events list --limit x", "'x' is no number of rows", "manage.py events list"),
        ("sessions list --finding stop_konflict", "invalid choice", "manage.py sessions list"),
        ("parked replay --reason not_jason", "invalid choice", "manage.py parked replay"),
        ("smoke --url localhost:7071", "'localhost:7071' is no address", "manage.py smoke"),
        ("doctor --endpoint http:///push", "'http:///push' is no address", "manage.py doctor"),
    ],
)
def test_wrong_arguments_have_a_code_and_a_way_on(
    typed: str, what: str, whose: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last line is `error: usage_wrong`, names what is wrong and the help of that command."""
    with pytest.raises(SystemExit) as ended:
        run(typed.split())

    told = capsys.readouterr()
    last = told.err.splitlines()[-1]
    assert (ended.value.code, told.out) == (2, "")
    assert told.err.startswith(f"usage: {whose} [-h]")
    assert last.startswith("error: usage_wrong: ")
    assert what in last
    assert last.endswith(f"What to do: `python {whose} --help` explains each argument")


@pytest.mark.parametrize("typed", ["sessions show CH -x", "sessions list --charger -x"])
def test_an_id_that_begins_with_a_dash_has_a_way(
    typed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """How it is written is said where it was taken for an option; so it is read."""
    with pytest.raises(SystemExit):
        run(typed.split())

    told = capsys.readouterr().err
    assert told.endswith(
        "; an id that begins with a dash comes last, after the word --, or as --charger=-ID\n"
    )
    assert parser().parse_args(["sessions", "show", "--", "-CH", "-x"]).transaction == "-x"
    assert parser().parse_args(["sessions", "list", "--charger=-x"]).charger == "-x"


@pytest.mark.parametrize(
    "typed",
    [
        ("parked", "discard", "--because", " "),
        ("findings", "resolve", "--note", ""),
        ("privacy", "erase", "04A2", "--as", ""),
    ],
)
def test_a_trace_says_something(typed: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Who did it and why cannot be blank."""
    with pytest.raises(SystemExit) as ended:
        run(typed)

    assert ended.value.code == 2
    assert f"argument {typed[-2]}: a text is needed" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    ["events list", "sessions list", "sessions export", "parked list", "findings list", "rebuild"],
)
def test_a_range_the_wrong_way_round_is_no_empty_answer(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--from` behind `--to` is an error in every command, before settings are looked at."""
    assert run([*command.split(), *A_DAY]) == 2

    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: wrong_range: --from is not before --to. Example: ")


def test_a_missing_setting_says_where_settings_come_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a settings file the ways to one are told; with one, that it is to be mended."""
    assert run(["events", "list"]) == 2
    without = capsys.readouterr().err
    (tmp_path / "local.settings.json").write_text('{"Values": {}}', encoding="utf-8")
    assert run(["events", "list"]) == 2
    beside = capsys.readouterr().err

    for told in (without, beside):
        assert told.startswith("error: setting_missing: DataStorageConnection is not set.")
        assert told.count("What to do:") == 1
    assert "there is no local.settings.json in this folder: run `python dev.py up`" in without
    assert "mend it in the environment or in local.settings.json" in beside


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
async def test_an_export_into_a_device_leaves_it_a_device(tmp_path: Path) -> None:
    """What is there and is no file is written to, never replaced: a pipe, `/dev/null`."""
    operator, pipe = Operator(), tmp_path / "pipe"
    os.mkfifo(pipe)
    # Opened for both, so that no opening waits for the other side.
    reading = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)

    ran = await operator.run("sessions", "export", "--output", str(pipe))

    assert ran.code == 0
    assert os.read(reading, 100).startswith(b"charger,transaction,state")
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    os.close(reading)
