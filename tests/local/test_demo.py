"""The demo end to end, small: it says so when the store is what it must be, and when it is not."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from asyncio.subprocess import PIPE, STDOUT
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.commands import demo
from local.emabler.fleet.day import Day, Plan, decide_rightly, play_out
from local.emabler.fleet.faults import Rates
from local.errors import LocalError

CHECKOUT = Path(__file__).resolve().parents[2]
SEED, CHARGERS = 3, 3
DECODED = "                event = decode(message.body, message.declared_type)\n"


async def play(tmp_path: Path, *words: str) -> tuple[int | None, str]:
    """Play the demo as a person does; give its exit code and all that it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local.commands.demo", "--seed", str(SEED), "--speed", "max"),
        *("--chargers", str(CHARGERS), "--logs", str(tmp_path / "logs"), *words),
        cwd=CHECKOUT,
        env=os.environ | {"COLUMNS": "160"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
    )
    try:
        told, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, told.decode()


def a_session_that_ends() -> str:
    """An ended session's charger and what follows the id's part that depends on the minute."""
    plan = Plan(seed=SEED, chargers=CHARGERS, begins=datetime(2026, 1, 1, tzinfo=UTC))
    day = Day(plan, Rates.read("off"))
    play_out(day, decide_rightly)
    sessions = [each.session for _, each in sorted(day.truth.sessions.items()) if each.end]
    return sessions[len(sessions) // 2].transaction[-6:]


def test_the_command_line_is_checked_first() -> None:
    """Wrong options are refused before anything is started; right ones are read."""
    read = demo.read_arguments(["--speed", "max", "--push", "webhook", "--faults", "off"])
    assert (read.speed, str(read.push), read.seed) == (None, "webhook", 1)
    for words in (["--speed", "0"], ["--push", "rabbit"], ["--faults", "lots"], ["--x"]):
        with pytest.raises(LocalError, match="usage_wrong"):
            demo.read_arguments(words)


def test_an_app_that_is_not_there_starts_nothing(tmp_path: Path) -> None:
    """The folder after --app is looked at before the first part is started."""
    with pytest.raises(LocalError, match=r"part_missing: there is no function_app\.py in"):
        demo.read_arguments(["--app", str(tmp_path)])


def test_a_folder_for_logs_keeps_what_is_in_it(tmp_path: Path) -> None:
    """Only the logs of the demo before go, since any folder can be named; a file is refused."""
    for name in ("host.log", "thesis.txt"):
        (tmp_path / name).touch()

    demo.make_room_for_logs(tmp_path)

    assert [each.name for each in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(LocalError, match="folder_unusable"):
        demo.make_room_for_logs(tmp_path / "thesis.txt")


@pytest.mark.timeout(300)
async def test_a_day_ends_equal(tmp_path: Path) -> None:
    """With the default faults the demo ends with the verdict equal and exit code 0."""
    code, told = await play(tmp_path)

    assert code == 0, told
    assert "The store holds exactly what it must." in told
    assert "asked of the app: p50" in told
    assert re.search(r"Reconciliation found: \d+ confirmed", told)


@pytest.mark.timeout(300)
async def test_a_stop_that_the_app_drops_is_found(tmp_path: Path) -> None:
    """A copy of the app that drops one stop before the store: unequal, named, exit code 1."""
    app = tmp_path / "app"
    shutil.copytree(CHECKOUT / "shared", app / "shared")
    for name in ("function_app.py", "host.json", "requirements.txt"):
        shutil.copy(CHECKOUT / name, app / name)
    ingest = app / "shared" / "ingestion" / "ingest.py"
    lost = a_session_that_ends()
    text = ingest.read_text(encoding="utf-8")
    assert DECODED in text
    dropped = f'isinstance(event, TransactionStop) and str(event.transaction).endswith("{lost}")'
    planted = f"{DECODED}                if {dropped}: continue\n"
    ingest.write_text(text.replace(DECODED, planted), encoding="utf-8")

    code, told = await play(tmp_path, "--faults", "off", "--app", str(app))

    assert code == 1, told
    assert re.search(r"event \w+ 1?2?/StopTold/\S+ +in the journal once +0 times", told)
    assert re.search(rf"session \d+{lost}: sources +rest, start, stop +rest, start", told)
    assert "The store holds exactly what it must." not in told
