"""Stopped in the middle: exit 130 or 143, one line with what became of the work and the way on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from management import main
from management.commands import COMMANDS
from management.output import Output
from management.stopping import _MEANWHILE, NothingDoneError, read_line
from shared.rooms import Rooms
from shared.storage.rows import Row, Tables
from tests.management.operator import ONE_DAY, SETTINGS, Operator

CHECKOUT = Path(__file__).resolve().parents[2]


class Stopped:
    """Tables at whose n-th reading or writing somebody stops the process."""

    def __init__(self, inner: Tables, method: str, after: int) -> None:
        self._inner, self._method, self._left = inner, method, after

    def __getattr__(self, name: str) -> Any:
        if name == self._method:
            self._left -= 1
            if self._left == -1:
                signal.raise_signal(signal.SIGINT)
                return _no_rows if name in ("range", "scan") else _no_answer
        return getattr(self._inner, name)


async def _no_answer(*_arguments: object, **_named: object) -> None:
    await asyncio.Event().wait()


async def _no_rows(*_arguments: object, **_named: object) -> AsyncIterator[Row]:
    await asyncio.Event().wait()
    for nothing in list[Row]():
        yield nothing


@pytest.fixture
def operator() -> Operator:
    """An operator whose store holds a day, and a backup of it."""
    operator = Operator()
    operator.settings = SETTINGS | {"EMABLER_API_KEY": "key"}

    async def fill() -> None:
        await operator.run("store", "create")
        await operator.ingest(*ONE_DAY)
        await operator.run("backup", "take")

    asyncio.run(fill())
    return operator


def run(
    operator: Operator,
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    method: str = "get",
    after: int = 1,
) -> int:
    tables = cast("Tables", Stopped(operator.tables, method, after))

    def rooms(_environ: object) -> Rooms:
        return Rooms(operator.settings, tables=tables, blobs=operator.blobs)

    monkeypatch.setattr(main, "Rooms", rooms)
    return main.run(words.split())


@pytest.mark.parametrize(
    ("words", "method", "after", "told"),
    [
        ("rebuild", "range", 9, "what was mended stays so. What to do: run the command again"),
        ("rebuild --dry-run", "range", 9, "nothing was written. What to do: run the command again"),
        ("privacy erase TAG123 --yes", "write", 2, "the tag may be erased in part. What to do: "),
        ("backup take", "scan", 2, "what was copied stays. What to do: run the command again"),
        (
            "backup restore --beside restored --yes",
            "write",
            3,
            "the backup may be restored in part. What to do: start no app on that",
        ),
        ("sessions list", "range", 2, ". What to do: run the command again"),
        ("groups block fleet", "get", 1, ". What to do: run the command again"),
    ],
)
def test_a_stop_says_what_became_of_the_work(
    operator: Operator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
    method: str,
    after: int,
    told: str,
) -> None:
    """One line on standard error, exit 130; the same command then goes through."""
    assert run(operator, monkeypatch, words, method, after) == 130

    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("stopped")
    assert told in said[-1]
    assert run(operator, monkeypatch, words, after=10_000_000) in (0, 1)


def test_a_stop_says_how_far_it_had_come(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the progress bar counted, in words."""
    words = "backup restore --beside restored --yes"
    assert run(operator, monkeypatch, words, "write", 9) == 130

    line = capsys.readouterr().err.splitlines()[-1]
    assert line.partition(":")[0].startswith("stopped after ")
    assert line.partition(":")[0].endswith(" rows and blobs")


def test_a_stopped_export_leaves_the_file_of_before(
    operator: Operator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Nothing half is left, under the name or beside it."""
    path = tmp_path / "sessions.csv"
    path.write_bytes(b"before")

    assert run(operator, monkeypatch, f"sessions export --output {path}", "range", 2) == 130

    assert [each.name for each in tmp_path.iterdir()] == ["sessions.csv"]
    assert path.read_bytes() == b"before"
    assert "a file that it was to write is as it was before" in capsys.readouterr().err


def test_progress_that_tells_itself_is_told() -> None:
    """Where a bar measures something else than it counts, its own words say how far it is."""
    output = Output(as_json=True)
    with output.progress("session ends", 100) as progress:
        assert output.how_far() == ""
        progress.update(progress.task_ids[0], completed=7, description="2026-11-02, 3 sessions")

    assert output.how_far() == "2026-11-02, 3 sessions"


def test_what_is_said_is_of_commands_that_there_are() -> None:
    """A command that goes takes its words with it."""
    assert set(_MEANWHILE) <= {command.name for command in COMMANDS}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends Ctrl-C otherwise")
def test_a_stop_ends_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is asked and presses Ctrl-C has said no: at once, not after another line."""

    class Asked:
        def readline(self) -> str:
            os.kill(os.getpid(), signal.SIGINT)
            return "7\n"

    monkeypatch.setattr("sys.stdin", Asked())
    before = signal.getsignal(signal.SIGINT)

    with pytest.raises(NothingDoneError):
        read_line()

    assert signal.getsignal(signal.SIGINT) is before


@pytest.fixture
async def silent() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A store's address that takes a call and never answers, and whether one came."""
    called, over = asyncio.Event(), asyncio.Event()

    async def take(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.set()
        await over.wait()
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/devstoreaccount1", called
    over.set()
    server.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends Ctrl-C otherwise")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
async def test_a_signal_ends_the_process_in_good_order(
    silent: tuple[str, asyncio.Event], tmp_path: Path, name: str
) -> None:
    """The real signal while the store is waited for: 130 or 143, one line, no traceback."""
    address, called = silent
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(CHECKOUT / "manage.py"), "rebuild"),
        cwd=tmp_path,
        env=os.environ
        | SETTINGS
        | {
            "DataStorageConnection": "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
            f"AccountKey=a2V5;TableEndpoint={address};BlobEndpoint={address}"
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    await called.wait()
    process.send_signal(signal.Signals[name])

    out, err = await process.communicate()

    assert (process.returncode, out) == (128 + signal.Signals[name], b"")
    assert err.decode().startswith("stopped: what was mended stays so. What to do: ")
    assert err.count(b"\n") == 1
